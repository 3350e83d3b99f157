"""What is left when a recording does not end well."""

import os
import signal
import sys
import time

import pytest
from support import run_view, view

MODES = ["full", "flight"]

WAITS = """\
    import sys, time, threading
    def deepest(n):
        for i in range(2000):
            abs(i)
        if n:
            return deepest(n - 1)
        print("ready", flush=True)
        while True:
            time.sleep(0.05)
    def worker():
        while True:
            time.sleep(0.05)
    threading.Thread(target=worker, name="helper", daemon=True).start()
    def main():
        deepest(3)
    main()
    """


@pytest.mark.parametrize("mode", MODES)
def test_sigkill(record, mode):
    recorded = record.start(WAITS, "--mode", mode)
    recorded.wait_for("ready")
    time.sleep(0.2)
    recorded.kill(signal.SIGKILL)
    info = recorded.view("info")
    process = info["processes"][0]
    assert (process["pid"], process["end"]) == (recorded.pid, "killed")
    assert info["lost_events"] == 0
    stacks = {thread["name"]: thread for thread in recorded.view("stacks")["threads"]}
    main = [frame["name"] for frame in stacks["MainThread"]["frames"]]
    assert main[:6] == ["<module>", "main"] + ["deepest"] * 4
    assert "worker" in [frame["name"] for frame in stacks["helper"]["frames"]]
    opened = [frame["open_ns"] for frame in stacks["MainThread"]["frames"]]
    assert opened == sorted(opened, reverse=True)
    events = recorded.events("--thread", "MainThread")
    calls = [e for e in events if (e["kind"], e["name"]) == ("c_call", "abs")]
    assert len(calls) == 4 * 2000
    assert recorded.view("verify")["ok"] is True
    assert recorded.view("report")["functions"]
    assert len(recorded.events()) == info["events"]


@pytest.mark.parametrize("mode", MODES)
def test_looking_changes_nothing(record, mode):
    recorded = record.start(WAITS, "--mode", mode)
    recorded.wait_for("ready")
    recorded.kill(signal.SIGKILL)
    time.sleep(1.5)

    def files():
        found = {}
        for folder, _names, names in os.walk(record.rings):
            for name in names:
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    found[path] = file.read()
        found["trace"] = recorded.trace.read_bytes()
        return found

    before = files()
    for command in ("info", "events", "report", "stacks", "tree", "exceptions", "verify"):
        run_view(command, recorded.trace, check=0)
    assert files() == before


@pytest.mark.parametrize("mode", MODES)
def test_os_exit(record, mode):
    source = "import os\ndef f():\n    len('x')\n    os._exit(3)\nf()\n"
    recorded = record(source, "--mode", mode, status=3)
    assert recorded.view("info")["processes"][0]["end"] == "killed"
    names = [frame["name"] for frame in recorded.view("stacks")["threads"][0]["frames"]]
    assert names[:2] == ["<module>", "f"]
    last = recorded.events()[-1]
    assert (last["kind"], last["name"]) in [("c_call", "_exit"), ("c_call", "posix._exit")]


@pytest.mark.parametrize("mode", MODES)
def test_segmentation_fault(record, mode):
    source = "import ctypes\ndef f():\n    ctypes.string_at(0)\nf()\n"
    recorded = record(source, "--mode", mode, status=-signal.SIGSEGV)
    stack = [frame["name"] for frame in recorded.view("stacks")["threads"][0]["frames"]]
    assert stack[:3] == ["<module>", "f", "string_at"]


@pytest.mark.parametrize("mode", MODES)
def test_packing_a_dead_session(record, mode):
    recorded = record.start(WAITS, "--mode", mode)
    recorded.wait_for("ready")
    recorded.kill(signal.SIGKILL)
    before = recorded.events()
    packed = record.folder / "packed.bin"
    run_view("pack", recorded.trace, "-o", packed, check=0)
    after = [e for e in run_view("events", packed, "--json", check=0).stdout.splitlines()]
    assert len(after) == len(before)


def test_running_program(record):
    recorded = record.start(WAITS)
    recorded.wait_for("ready")
    info = recorded.view("info")
    assert info["processes"][0]["end"] == "running"
    assert info["events"] > 8000
    names = [frame["name"] for frame in recorded.view("stacks")["threads"][0]["frames"]]
    assert names[:2] == ["<module>", "main"]
    first = len(recorded.events())
    time.sleep(0.5)
    assert len(recorded.events()) >= first


BUSY = """\
    import sys
    def leaf(n):
        return n
    def work():
        print("ready", flush=True)
        n = 0
        while True:
            leaf(n)
            n += 1
    work()
    """


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("delay", [0.0, 0.05, 0.3])
def test_killed_while_writing(record, mode, delay):
    size = "256KiB" if mode == "flight" else "64MiB"
    recorded = record.start(BUSY, "--mode", mode, "--ring-size", size)
    recorded.wait_for("ready")
    time.sleep(delay)
    recorded.kill(signal.SIGKILL)
    assert recorded.view("verify")["ok"] is True
    assert recorded.view("info")["lost_events"] == 0
    leaves = recorded.events("--function", r"\.leaf$")
    kinds = [event["kind"] for event in leaves]
    # Strictly alternating, whatever the instant: nothing lost or made up in between.
    assert all(a != b for a, b in zip(kinds, kinds[1:]))
    frames = recorded.view("stacks")["threads"][0]["frames"]
    assert [frame["name"] for frame in frames][:2] == ["<module>", "work"]


def test_live_reading_of_a_busy_program(record):
    recorded = record.start(BUSY, "--mode", "flight", "--ring-size", "256KiB")
    recorded.wait_for("ready")
    # What is copied while the ring goes round many times is one run without holes.
    for _ in range(10):
        kinds = [event["kind"] for event in recorded.events("--function", r"\.leaf$")]
        bad = [at for at, pair in enumerate(zip(kinds, kinds[1:])) if pair[0] == pair[1]]
        assert not bad
        assert recorded.view("verify")["ok"] is True


DEEP_FLIGHT = """\
    import sys
    sys.setrecursionlimit(5000)
    def leaf(n):
        return n
    def outer():
        return inner(60)
    def inner(n):
        if n:
            return inner(n - 1)
        for i in range(200_000):
            leaf(i)
        print("ready", flush=True)
        if "wait" in sys.argv:
            sys.stdin.read()
    def main():
        outer()
    main()
    """


@pytest.mark.parametrize("ending", ["clean", "killed", "running"])
def test_a_small_flight_ring_keeps_the_last_part(record, ending):
    arguments = () if ending == "clean" else ("wait",)
    flags = ("--mode", "flight", "--ring-size", "1MiB")
    recorded = record.start(DEEP_FLIGHT, *flags, arguments=arguments)
    if ending == "clean":
        recorded.finish()
        assert recorded.returncode == 0, recorded.err
    else:
        recorded.wait_for("ready")
    if ending == "killed":
        recorded.kill()
    info = recorded.view("info")
    thread = info["processes"][0]["threads"][0]
    assert info["processes"][0]["end"] == ending
    assert info["overwritten_events"] > 0 and info["lost_events"] == 0
    assert thread["overwritten_events"] == info["overwritten_events"]
    events = recorded.events()
    assert 60_000 < len(events) < 140_000
    assert events[-1]["kind"] == ("return" if ending == "clean" else "c_call")
    leaf = next(event for event in events if event["name"] == "leaf")
    assert leaf["depth"] == 64
    # At a moment inside the ring the outermost frames are known by their keyframe.
    at = events[len(events) // 2]["ts_ns"]
    frames = recorded.view("stacks", "--to", f"{at}ns")["threads"][0]["frames"]
    names = [frame["name"] for frame in frames]
    assert names[:3] == ["<module>", "main", "outer"]
    assert recorded.view("report")["complete"] is False


def truncations(size):
    steps = sorted({0, 1, 7, 8, 63, 64, 65, 95, 96, 100, size // 3, size // 2, size - 1, size - 32})
    return [cut for cut in steps if cut < size]


def test_a_truncated_trace_never_crashes_the_viewer(record):
    recorded = record("def f():\n    len('x')\nfor i in range(3000):\n    f()\n")
    whole = recorded.trace.read_bytes()
    total = recorded.view("info")["events"]
    cut_trace = record.folder / "cut.bin"
    for cut in truncations(len(whole)):
        cut_trace.write_bytes(whole[:cut])
        done = run_view("events", cut_trace, "--json")
        assert done.returncode in (0, 1), (cut, done.stderr)
        assert "panicked" not in done.stderr
        if done.returncode == 1 and cut < 64:
            assert len(done.stderr.splitlines()) == 1 and "cut.bin" in done.stderr
        assert len(done.stdout.splitlines()) <= total


def test_flipped_bytes_never_crash_the_viewer(record):
    recorded = record("def f():\n    len('x')\nfor i in range(300):\n    f()\n")
    whole = bytearray(recorded.trace.read_bytes())
    damaged = record.folder / "damaged.bin"
    for at in range(0, len(whole), max(1, len(whole) // 60)):
        changed = bytearray(whole)
        changed[at] ^= 0xFF
        damaged.write_bytes(changed)
        for command in ("events", "verify"):
            done = run_view(command, damaged, "--json")
            assert done.returncode in (0, 1), (at, done.stderr)
            assert "panicked" not in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_full_mode_of_a_killed_program_is_finished_by_the_collector(record):
    recorded = record.start(WAITS, "--mode", "full")
    recorded.wait_for("ready")
    recorded.kill()
    record.settle()
    assert recorded.view("info")["processes"][0]["end"] == "killed"
    assert [f["name"] for f in recorded.view("stacks")["threads"][0]["frames"]][:2] == [
        "<module>",
        "main",
    ]


@pytest.mark.parametrize("depth", [40, 41, 50, 53])
def test_packing_keeps_every_frame_of_a_deep_stack_at_death(record, depth):
    source = f"""\
        import os
        def fill():
            for _ in range(30000): pass_by()
        def pass_by(): pass
        def deep(n):
            if n: deep(n - 1)
            else: fill(); os.kill(os.getpid(), 9)
        deep({depth})
        """
    recorded = record(source, "--mode", "flight", "--ring-size", "64KiB", status=-9)
    before = recorded.view("stacks")["threads"][0]["frames"]
    assert [frame["name"] for frame in before].count("deep") == depth + 1
    packed = record.folder / "packed.bin"
    run_view("pack", recorded.trace, "-o", packed, check=0)
    assert view("stacks", packed)["threads"][0]["frames"] == before
