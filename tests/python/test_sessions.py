"""Sessions of the dead: found, kept under a budget by packing, never destroyed."""

import os
import re
import time

from support import environment, run_view, view

DIES = """\
    import os
    def leaf(n): return n
    for n in range(20_000): leaf(n)
    os.kill(os.getpid(), 9)
    """
WAITS = """\
    import sys
    print("ready", flush=True)
    sys.stdin.read()
    """


def died(record, name):
    recorded = record.start(DIES, "--mode", "flight", trace=name).finish()
    assert recorded.returncode == -9
    return recorded


def events(trace):
    return len(view("events", trace))


def settle(record, sessions, timeout=20):
    limit = time.monotonic() + timeout
    while len(list(record.rings.rglob("session"))) > sessions:
        assert time.monotonic() < limit, "nobody packed them"
        time.sleep(0.05)


def test_the_dead_are_listed(record):
    died(record, "dead.bin")
    record("print(1)\n", "--mode", "flight", trace="clean.bin")
    out = run_view(check=0, cwd=record.folder, env=environment(record.rings)).stdout
    lines = [line for line in out.splitlines() if str(record.folder) in line or ".bin" in line]
    dead = next(line for line in lines if "dead.bin" in line)
    assert re.search(r"^dead +\d{4}-\d\d-\d\dT.*killed.*[KM]iB.*ram\.py", dead), dead
    assert any("clean.bin" in line and line.startswith("finished") for line in lines)


def test_a_recording_has_the_dead_packed(record):
    dead = [died(record, f"dead-{n}.bin") for n in range(3)]
    before = [events(one.trace) for one in dead]
    live = record.start(WAITS, "--mode", "flight", trace="live.bin")
    live.wait_for("ready")
    # Of this one nothing is left but the rings.
    orphan = died(record, "orphan.bin")
    orphan.trace.unlink()
    assert len(list(record.rings.rglob("session"))) == 5
    record("print(1)\n", "--mode", "flight", trace="next.bin", env={"RTRACE_KEEP": "1"})
    settle(record, 2)
    left = {path.parent.name.split("-")[1] for path in record.rings.rglob("session")}
    assert left == {str(live.pid), str(orphan.pid)}
    for one, count in zip(dead, before):
        assert events(one.trace) == count
        info = one.view("info")
        assert info["processes"][0]["end"] == "killed" and info["lost_events"] == 0
    live.finish(b"")
    assert live.view("info")["processes"][0]["end"] == "clean"


def test_under_the_budget_they_stay(record):
    died(record, "dead.bin")
    record("print(1)\n", "--mode", "flight", trace="next.bin", env={"RTRACE_KEEP": str(1 << 30)})
    time.sleep(0.5)
    assert len(list(record.rings.rglob("session"))) == 1


def test_starting_again_on_the_same_output_keeps_the_crash(record):
    first = died(record, "trace.bin")
    count = events(first.trace)
    again = record("print(1)\n", "--mode", "flight", trace="trace.bin")
    assert "the unfinished trace that was there is now" in again.err.decode()
    (renamed,) = record.folder.glob(f"trace.*.{first.pid}.bin")
    assert events(renamed) == count
    # It is packed where it is now, and its session with it.
    record("print(2)\n", "--mode", "flight", trace="other.bin", env={"RTRACE_KEEP": "1"})
    settle(record, 0)
    assert events(renamed) == count
    assert os.path.getsize(renamed) > 4096
