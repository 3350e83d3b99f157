"""`--max-memory` holds at every moment, and what it costs is said."""

import os
import threading
import time
from pathlib import Path

import pytest
from support import view

MIB = 1 << 20


class Meter:
    """Measures what a session's files occupy while a program runs.

    Files are only ever added, grown or removed for good. So if the same names are there
    before and after the sizes were read, all these sizes stood together at the end.
    """

    def __init__(self, rings):
        self.rings = rings
        self.most = self.samples = 0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def sample(self):
        for session in self.rings.rglob("session"):
            try:
                before = set(os.listdir(session.parent))
                sizes = [os.stat(session.parent / name).st_blocks * 512 for name in before]
                after = set(os.listdir(session.parent))
            except FileNotFoundError:
                continue
            if before == after:
                self.most = max(self.most, sum(sizes))
                self.samples += 1

    def run(self):
        while not self.done.is_set():
            self.sample()
            time.sleep(0.001)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


def measured(record, source, limit, *flags):
    with Meter(record.rings) as meter:
        recording = record(source, "--max-memory", f"{limit}", *flags)
    assert meter.samples > 3, "it was over before it could be measured"
    assert 0 < meter.most <= limit, f"{meter.most} of {limit}"
    return recording, meter


CHURN = """
    import os, pathlib, threading, time
    def leaf(i): pass
    def work(i):
        for _ in range(5):
            leaf(i)
    def churn(count, at_once, after=None):
        for begin in range(0, count, at_once):
            some = range(begin, begin + at_once)
            threads = [threading.Thread(target=work, args=(i,), name=f"t{i}") for i in some]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            if after: after(begin, threads)
"""


@pytest.mark.parametrize("at_once", [1, 50])
def test_ten_thousand_threads_in_flight_mode(record, at_once):
    """The latest are there, the others are counted, and none had to do without."""
    source = CHURN + f"    churn(10000, {at_once})\n    time.sleep(0.05)\n"
    recording, meter = measured(record, source, 16 * MIB, "--mode", "flight")
    info = recording.view("info")
    process = info["processes"][0]
    names = [t["name"] for t in process["threads"]]
    assert info["lost_events"] == 0
    assert len(names) + process["overwritten_threads"] == 10_001
    kept = [f"t{i}" for i in range(10_000)][-(len(names) - 1) :]
    if at_once == 1:
        # A thread ends a moment after `join` returns: nearly in the order of their starts.
        latest = {f"t{i}" for i in range(10_000)[-(len(names) + 20) :]}
        assert set(names) <= {"MainThread", *latest}
    assert len(names) > 100 and "MainThread" in names and "t9999" in names
    each = {t["events"] for t in process["threads"] if t["name"] in kept[:50]}
    assert info["overwritten_events"] >= min(each) * process["overwritten_threads"]
    assert meter.most > 8 * MIB, "room was left unused"
    report = recording.view("report")
    assert not report["complete"]
    assert recording.view("verify")["ok"]


@pytest.mark.parametrize("at_once", [1, 50])
def test_ten_thousand_threads_in_full_mode(record, at_once):
    """The collector gives the room back, and nothing is missing."""
    source = CHURN + f"""
    [session] = pathlib.Path(os.environ["RTRACE_RING_DIR"]).rglob("session")
    def pause(begin, threads):
        # They do not all fit, and the collector may not get its turn for seconds.
        limit = time.monotonic() + 60
        while begin % 500 == 0 and len(os.listdir(session.parent)) > 1000:
            assert time.monotonic() < limit, "the collector gave nothing back"
            time.sleep(0.05)
    churn(10000, {at_once}, pause)
    """
    # The main thread's ring has room for all that it does meanwhile.
    flags = ["--mode", "full", "--ring-size", "16MiB"]
    recording, _ = measured(record, source, 256 * MIB, *flags)
    info = recording.view("info")
    assert (info["lost_events"], info["overwritten_events"]) == (0, 0)
    names = {t["name"] for t in info["processes"][0]["threads"]}
    assert names == {"MainThread", *(f"t{i}" for i in range(10_000))}
    report = recording.view("report", "--function", "leaf$")
    assert report["complete"] and report["functions"][0]["calls"] == 50_000


def test_the_collector_gives_room_back(record):
    """A small budget serves any number of threads that the collector keeps up with."""
    source = CHURN + """
    rings = pathlib.Path(os.environ["RTRACE_RING_DIR"])
    for _ in range(60):
        churn(20, 20)
        limit = time.monotonic() + 30
        while len(list(rings.rglob("ring-*"))) > 20 and time.monotonic() < limit:
            time.sleep(0.01)
    """
    recording, _ = measured(record, source, 4 * MIB, "--mode", "full", "--ring-size", "64KiB")
    info = recording.view("info")
    # The main thread's small ring may be overrun; no thread may have gone without one.
    assert "budget" not in {e["cause"] for e in recording.events() if e["kind"] == "lost"}
    assert len(info["processes"][0]["threads"]) == 1201


def test_more_threads_at_once_than_there_is_room_for(record):
    source = """
        import threading
        barrier = threading.Barrier(401)
        def leaf(): pass
        def work():
            for _ in range(10): leaf()
            barrier.wait()
            barrier.wait()
            late()
        def late(): pass
        threads = [threading.Thread(target=work) for _ in range(400)]
        for thread in threads: thread.start()
        barrier.wait()
        barrier.wait()
        for thread in threads: thread.join()
    """
    recording, _ = measured(record, source, 8 * MIB, "--mode", "flight")
    info = recording.view("info")
    assert info["lost_events"] > 0
    lost = [e for e in recording.events() if e["kind"] == "lost"]
    assert {e["cause"] for e in lost} == {"budget"}
    assert sum(e["count"] for e in lost) == info["lost_events"]
    # Threads that ended left their room to those that had none.
    assert len(info["processes"][0]["threads"]) > 100
    assert recording.view("verify")["ok"]


def test_a_ring_grows_into_the_room_of_ended_threads(record):
    source = CHURN + """
    churn(300, 1)
    for i in range(400_000): leaf(i)
    """
    recording, _ = measured(record, source, 16 * MIB, "--mode", "flight", "--no-c-calls")
    info = recording.view("info")
    process = info["processes"][0]
    main = next(t for t in process["threads"] if t["name"] == "MainThread")
    # Three quarters of the budget less what it could not double into: 4 MiB of records at least.
    assert main["events"] > 4 * MIB / 8
    assert len(process["threads"]) + process["overwritten_threads"] == 301


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.parametrize("ending", ["os._exit(0)", "sys.exit(0)", "os.kill(os.getpid(), 9)"])
def test_children_that_fork_and_end(record, ending):
    """Their rings are the first to go; the parent and the last child are there."""
    source = CHURN + f"""
    import os, sys
    for i in range(60):
        pid = os.fork()
        if not pid:
            work(i)
            churn(3, 3)
            {ending}
        os.waitpid(pid, 0)
        leaf(i)
    time.sleep(0.05)
    """
    recording, _ = measured(record, source, 3 * MIB, "--mode", "flight")
    info = recording.view("info")
    assert info["lost_events"] == 0
    assert len(info["processes"]) == 61
    threads = sum(len(p["threads"]) for p in info["processes"])
    given_up = sum(p["overwritten_threads"] for p in info["processes"])
    assert threads + given_up == 1 + 60 * 4
    report = recording.view("report", "--function", "leaf$")
    assert report["functions"][0]["calls"] >= 60
    assert recording.view("verify")["ok"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.parametrize("mode, count", [("flight", 9000), ("full", 1000)])
def test_ten_thousand_threads_a_thousand_at_once_and_children(record, mode, count):
    """Whatever a tree does, its files stay under the limit, and everybody's end is there."""
    source = CHURN + f"""
    import signal
    stop, up = threading.Event(), threading.Semaphore(0)
    def last_words(i): pass
    def stays(i):
        for _ in range(20):
            leaf(i)
        up.release()
        stop.wait()
        last_words(i)
    def child(begin):
        pid = os.fork()
        if not pid:
            churn(100, 20)
            os.kill(os.getpid(), signal.SIGKILL) if begin % 2000 else os._exit(0)
        os.waitpid(pid, 0)
    def main_end(): pass
    threading.stack_size(128 << 10)
    staying = [threading.Thread(target=stays, args=(i,), name=f"s{{i}}") for i in range(1000)]
    for thread in staying: thread.start()
    for _ in staying: up.acquire()
    churn({count}, 50, lambda begin, threads: begin % 1000 or child(begin))
    stop.set()
    for thread in staying: thread.join()
    main_end()
    """
    recording, meter = measured(record, source, 64 * MIB, "--mode", mode, "--no-c-calls")
    info = recording.view("info")
    assert len(info["processes"]) == 1 + count // 1000
    told = [e for e in recording.events() if e["kind"] in ("lost", "call")]
    assert info["lost_events"] == sum(e["count"] for e in told if e["kind"] == "lost")
    causes = {e["cause"] for e in told if e["kind"] == "lost"}
    assert causes <= ({"budget"} if mode == "flight" else {"budget", "collector_behind"})
    ends = {e["thread"] for e in told if e["name"] == "last_words"}
    assert recording.view("verify")["ok"]
    assert "main_end" in {e["name"] for e in told}
    # Threads that come and go have taken nothing from those that stay.
    assert len(ends) == 1000
    assert mode == "full" or meter.most > 48 * MIB, "room was left unused"


@pytest.mark.parametrize("mode", ["flight", "full"])
def test_names_count_too(record, mode):
    """A program that makes functions without end is bounded as well."""
    source = """
        import time
        for i in range(20000):
            scope = {}
            exec(f"def function_with_a_long_name_{'x' * 200}_{i}(): pass", scope)
            scope[f"function_with_a_long_name_{'x' * 200}_{i}"]()
        time.sleep(0.05)
    """
    recording, _ = measured(record, source, 8 * MIB, "--mode", mode)
    names = {f["name"] for f in recording.view("report", "--limit", "100000")["functions"]}
    assert "(overflow)" in names and len(names) > 1000


@pytest.mark.parametrize("replace", [False, True])
def test_a_ring_that_somebody_removes(record, replace):
    """It grows no more; nothing is made or changed in its place, and the program goes on."""
    source = """
        import sys
        def leaf(): pass
        def work(n):
            for _ in range(n): leaf()
        work(10)
        print("ready", flush=True)
        sys.stdin.readline()
        work(100_000)
        print("done", flush=True)
    """
    recording = record.start(source, "--mode", "flight", "--no-c-calls")
    recording.wait_for("ready")
    [session] = [path.parent for path in record.rings.rglob("session")]
    ring = session / "ring-0"
    kept = ring.rename(session / "kept")
    size = kept.stat().st_size
    if replace:
        ring.write_bytes(kept.read_bytes())
    recording.finish(b"go\n")
    assert recording.returncode == 0 and b"done" in recording.out
    view("info", recording.trace)
    assert size <= 64 * 1024, "it had grown before, so nothing was tested"


def test_a_session_that_somebody_removes(record):
    source = """
        import sys, threading
        def leaf(): pass
        def work(n):
            for _ in range(n): leaf()
        work(10)
        print("ready", flush=True)
        sys.stdin.readline()
        work(100_000)
        for _ in range(20):
            thread = threading.Thread(target=work, args=(10_000,))
            thread.start()
            thread.join()
        print("done", flush=True)
    """
    import shutil

    recording = record.start(source, "--mode", "flight", "--no-c-calls")
    recording.wait_for("ready")
    [session] = [path.parent for path in record.rings.rglob("session")]
    shutil.rmtree(session)
    recording.finish(b"go\n")
    assert recording.returncode == 0 and b"done" in recording.out
    assert not session.exists()
    assert not list(Path(record.rings).rglob("ring-*"))
