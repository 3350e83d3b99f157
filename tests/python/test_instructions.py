"""What an event costs, in instructions: the same number on every run, busy machine or not.

The recorder's callbacks run under callgrind, which counts what each executes itself and
calls, but for what the hot path leaves to others once in a few hundred events. The counts are
compared with those of `tests/tallies/instructions.json`. More than a few percent more is a
regression: mend it, or say in the commit what it buys and put the new count there. Fewer is
welcome, and the new count is to be put there as well.

    RTRACE_TELL_INSTRUCTIONS=1 pytest -rP tests/python/test_instructions.py     tells them
"""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections import defaultdict

import pytest
from support import DEFAULT_HOOK, ROOT, environment

BASELINE = ROOT / "tests" / "tallies" / "instructions.json"
# Another release of the compiler may need some more or fewer.
TOLERANCE = 1.06

PROGRAM = """\
import sys, rtrace
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)
def builtins(n):
    text = "text"
    for i in range(n):
        len(text)
        text.upper()
rtrace.start(sys.argv[1], hook=sys.argv[2], c_calls=True)
fib(17)
builtins(2500)
rtrace.stop()
"""

# Left to once in a while: of no weight in an event.
RARE = re.compile(r"cold|_odd_|attend|first_sight|system_clock|weigh")


def callgrind(out, trace):
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]
    command += ["--compress-strings=no", "--compress-pos=no", "--dump-line=no"]
    done = subprocess.run(
        [*command, sys.executable, "-c", PROGRAM, trace, DEFAULT_HOOK],
        env=environment(trace.parent),
        capture_output=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"callgrind cannot run this interpreter: {done.stderr[-500:]!r}")


def counts(out):
    """By callback: how often it ran, and the instructions of one time."""
    own, calls = defaultdict(int), defaultdict(int)
    function = callee = None
    inclusive = False
    for line in out.read_text(errors="replace").splitlines():
        key, _, value = line.partition("=")
        if key == "fn":
            function = value
        elif key == "cfn":
            callee = value
        elif key == "calls":
            calls[callee] += int(value.split()[0])
            inclusive = True
        elif line[:1].isdigit() and function:
            # A line of costs: a place, then the number. After `calls` it is the callee's.
            if not (inclusive and RARE.search(callee)):
                own[function] += int(line.split()[1])
            inclusive = False
    found = {}
    for name, cost in own.items():
        callback = re.search(r"hook::(?:monitoring|profile)::(on_[a-z_]+)$", name)
        if callback and calls[name] > 1000:
            found[callback[1]] = (calls[name], cost / calls[name])
    return found


def test_events_take_no_more_instructions_than_before(tmp_path):
    import rtrace._core

    if shutil.which("valgrind") is None:
        pytest.skip("valgrind is not installed: instructions are not counted")
    if not rtrace._core._optimized:
        pytest.skip("a debug build: its instructions say nothing")
    if platform.machine() != "x86_64":
        pytest.skip("the counts are those of x86-64")
    callgrind(tmp_path / "out", tmp_path / "trace.bin")
    found = counts(tmp_path / "out")
    if os.environ.get("RTRACE_TELL_INSTRUCTIONS"):
        print({name: round(count, 1) for name, (_, count) in sorted(found.items())})
    baseline = json.loads(BASELINE.read_text())[DEFAULT_HOOK]
    assert baseline.keys() <= found.keys(), "callbacks that were not called, or have other names"
    worse = {
        name: (round(found[name][1], 1), before)
        for name, before in baseline.items()
        if found[name][1] > before * TOLERANCE
    }
    assert not worse, f"instructions an event, now and before: {worse}"
