"""Torn pages: a ring and a trace put together from 4 KiB pages of different moments.

What a machine that loses its power leaves of files on a disk. Whatever segment is whole
is read, the rest is reported, and nothing is made up.
"""

import json
import random
import shutil
import subprocess
import sys
import time

import pytest
from support import ROOT, environment, run_view

sys.path.insert(0, str(ROOT / "tools"))

from killing import check, run, truth  # noqa: E402
from rtrace_py import events, segment  # noqa: E402
from rtrace_py.cursor import FormatError  # noqa: E402
from rtrace_py.trace import open_trace  # noqa: E402

PAGE = 4096
TRIALS = 30


@pytest.fixture
def moments(record, tmp_path):
    """A session's directory, its ring at several moments, its trace at several."""
    shared = tmp_path / "shared"
    shared.write_bytes(bytes(4096))
    trace = tmp_path / "trace.bin"
    command = [sys.executable, "-m", "rtrace", "run", "-o", str(trace), "--mode", "flight"]
    told = (shared, 1, 3, 1 << 20, "wait", 0)
    process = subprocess.Popen(
        [*command, "--ring-size", "128KiB", str(run.PROGRAM), *map(str, told)],
        env=environment(record.rings),
        stdin=subprocess.DEVNULL,
    )
    try:
        limit = time.monotonic() + 60
        while check.Shared(shared).published(0) < 4 * 500 and time.monotonic() < limit:
            time.sleep(0.001)
        (session,) = [path.parent for path in record.rings.rglob("session")]
        rings = []
        for _ in range(4):
            rings.append((session / "ring-0").read_bytes())
            time.sleep(0.004)
    finally:
        process.kill()
        process.wait()
    rings.append((session / "ring-0").read_bytes())
    return session, rings, trace


def mixed(versions, die):
    length = max(map(len, versions))
    padded = [one.ljust(length, b"\0") for one in versions]
    weight = die.random()
    last = len(versions) - 1
    pages = range(0, length, PAGE)
    chosen = [die.randrange(last + 1)]
    for _ in pages[1:]:
        # Neighbours are often written together.
        chosen.append(chosen[-1] if die.random() < weight else die.randrange(last + 1))
    return b"".join(padded[which][at : at + PAGE] for which, at in zip(chosen, pages))


def held_against_the_steps(path):
    """What is false in the events of a recording."""
    done = run_view("events", path, "--json")
    assert done.returncode in (0, 1) and "panicked" not in done.stderr, done.stderr
    if done.returncode:
        return []
    found = [json.loads(line) for line in done.stdout.splitlines()]
    told = [(e["kind"], e["name"]) for e in found if e["kind"] == "lost" or check.ours(e)]
    runs = truth.follow([event for event in told if event[0] in truth.KINDS], c_calls=True)
    return [one for one in runs[2] if one != "no step"]


def segments(ring):
    """The sealed segments of a ring that are whole, and how many places hold none."""
    whole, broken = {}, 0
    for at in range(2 * PAGE, len(ring), 4 * PAGE):
        try:
            found = segment.parse(ring[at : at + 4 * PAGE], at)
        except FormatError:
            broken += 1
            continue
        if found and found.flags & 1:
            end = found.body + 8 * found.words_used
            whole[found.lap] = ring[at : at + end]
    return whole, broken


def read_by_both(path):
    """The events, by the viewer and by the reader that shares no code with it."""
    done = run_view("events", path, "--json", check=0)
    ours = [json.loads(line) for line in done.stdout.splitlines()]
    theirs = events.events(open_trace(str(path)))
    wanted = ("ts_ns", "kind", "name", "depth", "count", "cause")
    return [[tuple(e.get(key) for key in wanted) for e in these] for these in (ours, theirs)]


def test_a_ring_of_different_moments(moments, tmp_path):
    """A sealed segment is read if it is whole, and else reported. The last one, which is not
    sealed, has no checksum: it is what was there when the process died."""
    session, rings, _trace = moments
    die = random.Random(5)
    copy = tmp_path / session.name
    shutil.copytree(session, copy)
    true = {}
    for ring in rings:
        for lap, content in segments(ring)[0].items():
            true.setdefault(lap, set()).add(content)
    reported = 0
    for _ in range(TRIALS):
        ring = mixed(rings, die)
        (copy / "ring-0").write_bytes(ring)
        whole, broken = segments(ring)
        assert all(content in true[lap] for lap, content in whole.items())
        ours, theirs = read_by_both(copy)
        assert ours == theirs and len(ours) >= 500 * len(whole)
        verdict = json.loads(run_view("verify", copy, "--json").stdout)
        assert (len(verdict["problems"]) > 0) == (broken > 0), (verdict, broken)
        reported += broken
    assert reported > TRIALS


def test_a_trace_of_different_moments(moments, tmp_path):
    session, _rings, trace = moments
    die = random.Random(6)
    before = trace.read_bytes()
    run_view("pack", trace, "-o", trace, check=0)
    versions = [before, trace.read_bytes()]
    versions.insert(1, versions[1][: len(versions[1]) // 2])
    torn = tmp_path / "torn.bin"
    wrong = []
    for _ in range(TRIALS):
        torn.write_bytes(mixed(versions, die))
        wrong += held_against_the_steps(torn)
    assert not wrong, wrong[:3]
