"""The golden files through `rtrace-view`, beside the independent reader."""

import json
import sys

import pytest
from support import ROOT, run_view, view

sys.path.insert(0, str(ROOT / "tools"))

from rtrace_py import open_trace, zstd  # noqa: E402
from rtrace_py.events import events  # noqa: E402
from rtrace_py.stacks import stacks  # noqa: E402

GOLDEN = ROOT / "tests" / "golden"
NAMES = (
    "empty.bin one_call.bin threads.bin exception.bin ring_wrapped ring_fibers truncated.bin"
    " footer_missing.bin"
)


@pytest.mark.skipif(not zstd.available(), reason=zstd.MISSING)
@pytest.mark.parametrize("name", NAMES.split())
def test_events_agree(name):
    path = GOLDEN / name
    ours = list(events(open_trace(str(path))))
    # What a truncated trace still has is shown, and the exit status says that it is not all.
    status = 1 if name == "truncated.bin" else 0
    done = run_view("events", path, "--json", check=status)
    theirs = [json.loads(line) for line in done.stdout.splitlines()]
    for number, (one, other) in enumerate(zip(ours, theirs)):
        assert one == other, f"line {number + 1}"
    assert len(ours) == len(theirs)


def test_info_of_the_wrapped_ring():
    info = view("info", GOLDEN / "ring_wrapped")
    thread = info["processes"][0]["threads"][0]
    assert (thread["serial"], thread["name"]) == (1, "MainThread")
    assert thread["overwritten_events"] == 424
    assert thread["lost_events"] == 5


def test_stack_at_death_of_the_wrapped_ring():
    shown = view("stacks", GOLDEN / "ring_wrapped")["threads"]
    assert [frame["name"] for frame in shown[0]["frames"]] == ["main", "leaf", "len"]


def test_stacks_at_death_of_the_ring_with_fibers():
    shown = view("stacks", GOLDEN / "ring_fibers")["threads"]
    names = {lane["fiber"]: [frame["name"] for frame in lane["frames"]] for lane in shown}
    assert names == {0: ["main"], 1: ["waits"], 2: ["waits", "down"], 3: ["down"] * 39}


@pytest.mark.parametrize("name", ["ring_wrapped", "ring_fibers", "threads.bin"])
def test_stacks_agree(name):
    path = GOLDEN / name
    if zstd.available() or path.is_dir():
        assert list(stacks(open_trace(str(path)))) == view("stacks", path)["threads"]
