"""Calls that are shorter than asked for leave no records, and nothing is forgotten of them."""

import pytest
from support import ALL_HOOKS, HOOKS

PROGRAM = """\
    import time
    def tiny():
        return 1
    def parent():
        for _ in range(3):
            tiny()
    def slow():
        end = time.perf_counter() + 0.02
        while time.perf_counter() < end:
            pass
    def around():
        slow()
    def fails():
        raise ValueError("short but not silent")
    def steps():
        yield 1
        yield 2
    for _ in range(500):
        parent()
    for _ in range(5):
        around()
        try:
            fails()
        except ValueError:
            pass
        list(steps())
    """


def rows(recorded):
    return {row["name"]: row for row in recorded.view("report")["functions"]}


@pytest.mark.parametrize("mode", ["flight", "full"])
@pytest.mark.parametrize("hook", ALL_HOOKS)
def test_kept_and_taken_back_are_all_calls(record, hook, mode):
    flags = [] if hook == "trace" else ["--no-c-calls"]
    recorded = record(PROGRAM, "--hook", hook, "--mode", mode, "--min-duration", "10ms", *flags)
    found = rows(recorded)
    for name, calls in [("tiny", 1500), ("parent", 500), ("slow", 5), ("around", 5)]:
        row = found[name]
        assert row["calls"] + row["taken_back_calls"] == calls, row
    for name in ("tiny", "parent"):
        row = found[name]
        # A segment's end may keep one, and so may a machine that stops for ten milliseconds.
        assert row["taken_back_calls"] >= 450 and row["calls"] < 20
        assert row["lower_bound"] and row["taken_back_ns"] > 0
    for name in ("slow", "around"):
        assert found[name]["calls"] == 5 and not found[name]["lower_bound"]
        assert found[name]["min_ns"] >= 19_000_000
    # What raises is told in any case.
    fails = found["fails"]
    assert fails["calls"] == 5 and fails["taken_back_calls"] == 0
    steps = found["steps"]
    assert steps["taken_back_calls"] >= 12
    info = recorded.view("info")
    assert info["lost_events"] == 0
    taken = info["processes"][0]["taken_back"]
    assert taken["calls"] == sum(row["taken_back_calls"] for row in found.values())
    assert taken["functions"] >= 3 and taken["ns"] > 0
    assert recorded.view("verify")["ok"]
    # Depths and nesting of what is left are whole.
    depth = {}
    for event in recorded.events():
        here = depth.setdefault(event["thread"], [])
        if event["kind"] in ("call", "resume", "throw"):
            assert event["depth"] == len(here)
            here.append(event["name"])
        elif event["kind"] in ("return", "yield", "unwind"):
            assert here.pop() == event["name"]


@pytest.mark.parametrize("hook", HOOKS)
def test_c_calls_and_threads(record, hook):
    source = """\
        import threading
        def work():
            for _ in range(2000):
                len("abc")
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        """
    recorded = record(source, "--hook", hook, "--min-duration", "20ms")
    row = rows(recorded)["len"]
    assert row["calls"] + row["taken_back_calls"] >= 8000 and row["calls"] < 100
    assert row["kind"] == "c"


def test_after_a_kill_the_count_is_there(record):
    source = """\
        import os, signal
        def tiny():
            pass
        for _ in range(1000):
            tiny()
        os.kill(os.getpid(), signal.SIGKILL)
        """
    flags = ["--mode", "flight", "--no-c-calls", "--min-duration", "1s"]
    recorded = record(source, *flags, status=-9)
    row = rows(recorded)["tiny"]
    assert row["calls"] + row["taken_back_calls"] == 1000


def test_each_process_counts_its_own(record):
    source = """\
        import os
        def tiny():
            pass
        for _ in range(100):
            tiny()
        if os.fork() == 0:
            for _ in range(50):
                tiny()
        else:
            os.wait()
        """
    recorded = record(source, "--no-c-calls", "--min-duration", "1s")
    taken = [process["taken_back"]["calls"] for process in recorded.view("info")["processes"]]
    # `os` and `threading` have short functions for a fork of their own.
    assert 50 <= min(taken) < 60 and 100 <= max(taken) < 110
    assert rows(recorded)["tiny"]["taken_back_calls"] == 150


def test_what_is_no_time_is_wrong_usage(record):
    for wrong in ["10", "ten", "-1us", "1h", "nanus"]:
        recorded = record("pass", "--min-duration", wrong, status=None)
        assert recorded.returncode == 2, wrong
        assert b"min_duration" in recorded.err or b"min-duration" in recorded.err
