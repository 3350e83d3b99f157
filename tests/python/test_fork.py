"""Process trees: one session, one trace.bin."""

import sys

import pytest
from support import HOOKS, MONITORING, shape, view, within

STRICT = ("-W", "error") if MONITORING else ()

FORKS = """\
    import os
    def child_work():
        return len("child")
    def parent_work():
        return len("parent")
    def main():
        pid = os.fork()
        if pid == 0:
            child_work()
            os._exit(0)
        os.waitpid(pid, 0)
        parent_work()
        print(pid)
    main()
    """


@pytest.mark.parametrize("mode", ["full", "flight"])
def test_fork_under_warnings_as_errors(record, mode):
    recorded = record(FORKS, "--mode", mode, python=STRICT)
    child = int(recorded.out)
    processes = {process["pid"]: process for process in recorded.view("info")["processes"]}
    assert set(processes) == {recorded.pid, child}
    assert processes[child]["ppid"] == recorded.pid
    assert processes[recorded.pid]["end"] == "clean"
    events = recorded.events()
    mine = [event for event in events if event["pid"] == child]
    assert shape(within(mine, "child_work")) == [
        ("call", "child_work"),
        ("c_call", "len"),
        ("c_return", "len"),
        ("return", "child_work"),
    ]
    assert within(mine, "child_work")[0]["depth"] == 2
    assert not [event for event in mine if event["name"] == "parent_work"]
    parents = [event for event in events if event["pid"] == recorded.pid]
    assert within(parents, "parent_work")
    assert not [event for event in parents if event["name"] == "child_work"]
    assert recorded.view("info")["lost_events"] == 0
    assert recorded.view("verify")["ok"] is True


def test_no_children(record):
    recorded = record(FORKS, "--no-children")
    processes = recorded.view("info")["processes"]
    assert [process["pid"] for process in processes] == [recorded.pid]
    assert not [event for event in recorded.events() if event["name"] == "child_work"]


def test_a_child_that_outlives_its_parent(record):
    source = """\
        import os, sys, time
        def child_work():
            time.sleep(0.5)
            len("late")
        pid = os.fork()
        if pid == 0:
            os.close(0); os.close(1); os.close(2)
            child_work()
            os._exit(0)
        print(pid)
        """
    recorded = record(source)
    import time

    time.sleep(1.5)
    child = int(recorded.out)
    late = [event for event in recorded.events() if event["pid"] == child]
    assert ("return", "child_work") in shape(late)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(record, method):
    source = f"""\
        import multiprocessing
        def square(n):
            return n * n
        if __name__ == "__main__":
            context = multiprocessing.get_context("{method}")
            with context.Pool(2) as pool:
                print(sum(pool.map(square, range(10))))
        """
    recorded = record(source)
    assert recorded.out == b"285\n"
    assert recorded.view("verify")["ok"] is True
    if method == "fork":
        calls = [e for e in recorded.events() if (e["kind"], e["name"]) == ("call", "square")]
        assert len(calls) == 10
        assert recorded.pid not in {event["pid"] for event in calls}


def test_subprocess_is_not_disturbed(record):
    source = f"""\
        import subprocess
        print(subprocess.run([{sys.executable!r}, "-c", "print(6 * 7)"],
                             capture_output=True, check=True).stdout)
        """
    assert record(source).out == b"b'42\\n'\n"


def test_fork_in_a_thread(record):
    source = """\
        import os, threading
        def child_work():
            return len("child")
        def worker():
            pid = os.fork()
            if pid == 0:
                child_work()
                os._exit(0)
            os.waitpid(pid, 0)
        t = threading.Thread(target=worker)
        t.start()
        t.join()
        """
    recorded = record(source)
    events = [event for event in recorded.events() if event["name"] == "child_work"]
    assert [event["kind"] for event in events] == ["call", "return"]
    assert events[0]["pid"] != recorded.pid


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("again", [False, True])
def test_a_child_that_is_not_recorded_loses_the_hook(record, hook, again):
    source = f"""\
        import os, sys, rtrace
        def work():
            return 1
        def hooks():
            monitoring = getattr(sys, "monitoring", None)
            tools = [monitoring.get_tool(id) for id in range(6)] if monitoring else []
            return [tool for tool in tools if tool], sys.getprofile(), sys.gettrace()
        rtrace.start("a.bin", children=False, hook={hook!r})
        work()
        hooks()
        pid = os.fork()
        if pid == 0:
            if {again}:
                rtrace.start("b.bin", hook={hook!r})
                work()
                rtrace.stop()
            else:
                work()
            os._exit(0 if hooks() == ([], None, None) else 7)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        work()
        rtrace.stop()
        """
    assert record.python(source).stderr == b""
    for name in ["a.bin", "b.bin"] if again else ["a.bin"]:
        events = view("events", record.folder / name)
        assert ("call", "work") in shape(events)
        assert not [event for event in events if event["kind"] == "lost"]
