"""`tools/rtrace_py`, written from SPEC.md alone, against `rtrace-view`."""

import signal
import sys

import pytest
from support import ROOT, Path

sys.path.insert(0, str(ROOT / "tools"))

from rtrace_py import open_trace, zstd  # noqa: E402
from rtrace_py.dump import dump  # noqa: E402
from rtrace_py.events import events  # noqa: E402

pytestmark = pytest.mark.skipif(not zstd.available(), reason=zstd.MISSING)

VARIED = """\
    import threading, sys
    import rtrace
    def fib(n):
        return n if n < 2 else fib(n - 1) + fib(n - 2)
    def count(n):
        for i in range(n):
            yield i
    def fails(n):
        if n == 0:
            raise ValueError("no \\u00e9 \\x1b \\ud800")
        fails(n - 1)
    def deep(n):
        return deep(n - 1) if n else fib(18)
    def worker():
        fib(15)
    def main():
        threads = [threading.Thread(target=worker, name=f"w{i}") for i in range(3)]
        for t in threads: t.start()
        with rtrace.span("work"):
            rtrace.counter("n", 1.5)
            list(count(50))
            try:
                fails(5)
            except ValueError:
                pass
            deep(100)
            rtrace.mark("done")
        for t in threads: t.join()
    main()
    if "wait" in sys.argv:
        print("ready", flush=True)
        sys.stdin.read()
    """


def compare(recorded, path=None):
    trace = open_trace(str(path or recorded.trace))
    ours = list(events(trace))
    theirs = recorded.events()
    assert not trace.problems
    for number, (one, other) in enumerate(zip(ours, theirs)):
        assert one == other, f"line {number + 1}"
    assert len(ours) == len(theirs)
    assert list(dump(trace))
    return trace


@pytest.mark.parametrize("mode", ["full", "flight"])
def test_finished_recordings_agree(record, mode):
    compare(record(VARIED, "--mode", mode))


def test_wrapped_rings_agree(record):
    recorded = record(VARIED, "--mode", "flight", "--ring-size", "128KiB")
    assert recorded.view("info")["overwritten_events"] > 0
    compare(recorded)


@pytest.mark.parametrize("mode", ["full", "flight"])
def test_rings_of_a_killed_program_agree(record, mode):
    recorded = record.start(VARIED, "--mode", mode, arguments=("wait",))
    recorded.wait_for("ready")
    recorded.kill(signal.SIGKILL)
    if mode == "full":
        # Two readers compare what stands still.
        record.settle()
    compare(recorded)


def test_a_session_directory_is_read_by_itself(record):
    recorded = record.start(VARIED, "--mode", "flight", arguments=("wait",))
    recorded.wait_for("ready")
    recorded.kill(signal.SIGKILL)
    session = [path.parent for path in Path(record.rings).rglob("session")]
    assert len(session) == 1
    compare(recorded, session[0])
