"""`--budget PCT`: hot functions are given up, it is said which, and what is left stays true."""

import sys

import pytest

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="needs sys.monitoring")

# Calls of every kind, in recursion, under exceptions, in generators, threads and callbacks.
PROGRAM = """\
    import threading
    def leaf(n):
        return n + 1
    def fails(n):
        if n % 3:
            raise KeyError(n)
        return n
    def numbers(n):
        for i in range(n):
            yield leaf(i)
    def fib(n):
        return n if n < 2 else fib(n - 1) + fib(n - 2)
    def key(n):
        return -n
    class Thing:
        def method(self):
            return len("abc")
    def through(n):
        try:
            return fails(n)
        except KeyError:
            return 0
    def work(rounds):
        for n in range(rounds):
            sum(numbers(20))
            through(n)
            fib(9)
            sorted(range(20), key=key)
            Thing().method()
    threads = [threading.Thread(target=work, args=(400,)) for _ in range(3)]
    for thread in threads: thread.start()
    work(800)
    for thread in threads: thread.join()
    """


def identity(row):
    return row["module"], row["name"], row["kind"], row["line"]


EXITS = ("return", "yield", "unwind", "c_return", "c_exception")


def check_nesting(events):
    """Every exit is that of the frame on top, at its depth; nothing is left open."""
    stacks, wrong = {}, []
    for event in events:
        lane = (event["thread"], event["fiber"])
        # A forked child begins with what its parent had open.
        before = event["depth"] + (event["kind"] in EXITS)
        stack = stacks.setdefault(lane, [None] * before)
        if event["kind"] in ("call", "resume", "throw", "c_call"):
            if event["depth"] != len(stack):
                wrong.append(event)
            stack.append(event["name"])
        elif event["kind"] in EXITS:
            top = stack.pop() if stack else ""
            if top not in (None, event["name"]) or event["depth"] != len(stack):
                wrong.append(event)
    assert not wrong, wrong[:5]
    return {lane: stack for lane, stack in stacks.items() if stack}


@pytest.mark.parametrize("c_calls", ["--c-calls", "--no-c-calls"])
def test_what_is_left_is_true(record, c_calls):
    recorded = record(PROGRAM, "--budget", "0.5", "--mode", "full", c_calls)
    assert recorded.out == record.native(PROGRAM).stdout
    assert not check_nesting(recorded.events())
    report = recorded.view("report")
    rows = {identity(row): row for row in report["functions"]}
    demoted = {one: row for one, row in rows.items() if row["demoted"]}
    mine = {row["name"]: row for row in rows.values() if row["module"] == "__main__"}
    assert mine["leaf"]["demoted"] and mine["fib"]["demoted"]
    # Until then every call was counted, and every call was recorded.
    for row in demoted.values():
        if row["demoted"]["at_end"]:
            assert row["calls"] == row["demoted"]["calls"], row
        assert row["lower_bound"]
    assert mine["leaf"]["demoted"]["mean_ns"] > 0
    # Far fewer than the 2,000 rounds of 109 calls.
    assert mine["fib"]["calls"] < 200_000
    info = recorded.view("info")
    assert info["lost_events"] == 0
    told = {identity(one) for one in info["processes"][0]["demoted"]}
    assert set(demoted) == told
    assert recorded.view("verify")["ok"]


def test_a_wide_budget_leaves_everything_in(record):
    source = """\
        def leaf():
            pass
        for _ in range(20000):
            leaf()
        """
    recorded = record(source, "--budget", "900", "--no-c-calls")
    rows = {row["name"]: row for row in recorded.view("report")["functions"]}
    assert rows["leaf"]["calls"] == 20000
    assert rows["leaf"]["demoted"] is None and not rows["leaf"]["lower_bound"]


def test_recursion_is_given_up_at_its_outermost_entry_only(record):
    source = """\
        def down(n):
            return n and down(n - 1)
        for _ in range(300):
            down(300)
        """
    recorded = record(source, "--budget", "0.1", "--mode", "full", "--no-c-calls")
    events = [e for e in recorded.events() if e["name"] == "down"]
    calls = [e for e in events if e["kind"] == "call"]
    assert len(calls) % 301 == 0 and 0 < len(calls) < 300 * 301
    assert sum(e["kind"] == "return" for e in events) == len(calls)


def test_threads_that_run_the_same_function_give_it_up_between_two_runs(record):
    source = """\
        import threading
        def fib(n):
            return n if n < 2 else fib(n - 1) + fib(n - 2)
        for _ in range(300):
            threads = [threading.Thread(target=fib, args=(12,)) for _ in range(3)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
        """
    recorded = record(source, "--budget", "1", "--mode", "full", "--no-c-calls")
    rows = {row["name"]: row for row in recorded.view("report")["functions"]}
    # Of 300 times 3 times 465.
    assert rows["fib"]["demoted"]["at_end"] and rows["fib"]["calls"] < 80_000
    check_nesting(recorded.events())


def test_after_a_kill_it_is_known(record):
    source = """\
        import os, signal
        def leaf():
            pass
        def work():
            for _ in range(100_000):
                leaf()
        work()
        os.kill(os.getpid(), signal.SIGKILL)
        """
    recorded = record(source, "--budget", "1", "--mode", "flight", status=-9)
    rows = {row["name"]: row for row in recorded.view("report")["functions"]}
    assert rows["leaf"]["demoted"]["calls"] > 0 and rows["leaf"]["lower_bound"]


def test_a_forked_child_goes_on_with_less(record):
    source = """\
        import os
        def leaf():
            pass
        def work():
            for _ in range(100_000):
                leaf()
        work()
        if os.fork() == 0:
            work()
        else:
            os.wait()
        """
    recorded = record(source, "--budget", "1", "--mode", "full")
    recorded_processes = recorded.view("info")["processes"]
    for process in recorded_processes:
        assert "leaf" in {one["name"] for one in process["demoted"]}, process["demoted"]
    check_nesting(recorded.events())


def test_no_share_of_time_is_wrong_usage(record):
    for wrong in ["0", "-1", "nan", "1000"]:
        assert record("pass", "--budget", wrong, status=None).returncode == 2
    assert record("pass", "--budget", "5", "--hook", "profile", status=None).returncode == 2
