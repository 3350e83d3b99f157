"""Trees of forks: from threads, from C, before and after their parents' ends."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from support import HOOKS, MONITORING, run_view, shape, view, within

STRICT = ("-W", "error") if MONITORING else ()


def of(events, pid):
    return [event for event in events if event["pid"] == pid]


def wait_until(condition, what, timeout=30):
    limit = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < limit, what
        time.sleep(0.05)


def test_nested_forks(record):
    source = """\
        import os, sys
        def level(n):
            if n == 0:
                return
            pid = os.fork()
            if pid == 0:
                level(n - 1)
                sys.exit(n)
            _, status = os.waitpid(pid, 0)
            assert os.waitstatus_to_exitcode(status) == n
        level(4)
        """
    recorded = record(source)
    processes = recorded.view("info")["processes"]
    assert [p["ppid"] for p in processes[1:]] == [p["pid"] for p in processes[:-1]]
    assert {process["end"] for process in processes} == {"clean"}
    assert recorded.view("verify")["ok"] is True


@pytest.mark.parametrize("mode", ["full", "flight"])
def test_a_daemon_whose_parent_ends_first(record, mode):
    """`run` returns with the program; the trace is complete when the daemon ends."""
    go = record.folder / "go"
    source = f"""\
        import os, sys, time
        def serve():
            while not os.path.exists({str(go)!r}):
                time.sleep(0.01)
            return len("late")
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                null = os.open("/dev/null", os.O_RDWR)
                for n in range(3):
                    os.dup2(null, n)
                serve()
                sys.exit(0)
            os._exit(0)
        os.wait()
        """
    began = time.monotonic()
    recorded = record(source, "--mode", mode)
    assert time.monotonic() - began < 20
    ends = [process["end"] for process in recorded.view("info")["processes"]]
    assert ends == ["clean", "killed", "running"]
    go.touch()
    daemon = recorded.view("info")["processes"][2]["pid"]

    def is_over():
        return recorded.view("info")["processes"][2]["end"] == "clean"

    wait_until(is_over, "the daemon did not end")
    record.settle()
    mine = of(recorded.events(), daemon)
    assert ("return", "serve") in shape(mine)
    assert ("c_return", "len") in shape(mine)
    assert recorded.view("verify")["ok"] is True


@pytest.mark.parametrize("mode", ["full", "flight"])
def test_a_master_that_forks_its_workers_before(record, mode):
    """As web servers do: workers are told to end by SIGTERM, one is killed."""
    source = """\
        import os, signal, sys, time
        def handle(n):
            return n + 1
        def work(number):
            def leave(*_):
                sys.exit(0)
            signal.signal(signal.SIGTERM, leave)
            for n in range(1000):
                handle(n)
            os.write(ready, b"x")
            while True:
                time.sleep(1)
        told, ready = os.pipe()
        workers = []
        for number in range(4):
            pid = os.fork()
            if pid == 0:
                work(number)
            workers.append(pid)
        for _ in workers:
            os.read(told, 1)
        os.kill(workers[0], signal.SIGKILL)
        for pid in workers[1:]:
            os.kill(pid, signal.SIGTERM)
        print(workers, [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in workers])
        """
    recorded = record(source, "--mode", mode)
    workers, codes = json.loads(f"[{recorded.out.decode().replace('] [', '], [')}]")
    assert codes == [-9, 0, 0, 0]
    processes = {process["pid"]: process for process in recorded.view("info")["processes"]}
    assert [processes[pid]["end"] for pid in workers] == ["killed", "clean", "clean", "clean"]
    events = recorded.events("--function", "^__main__.handle$")
    calls = [event["pid"] for event in events if event["kind"] == "call"]
    assert {pid: calls.count(pid) for pid in workers} == dict.fromkeys(workers, 1000)
    assert recorded.view("info")["lost_events"] == 0


def test_gunicorn(record):
    pytest.importorskip("gunicorn", reason="gunicorn is not installed")
    record.script(
        """\
        import os
        def app(environ, start_response):
            start_response("200 OK", [])
            return [str(os.getpid()).encode()]
        """,
        "web.py",
    )
    socket = record.folder / "socket"
    recorded = record.start(
        ("-m", "gunicorn", "-w", "2", "-b", f"unix:{socket}", "--no-control-socket", "web:app")
    )
    import http.client
    import socket as sockets

    def ask():
        connection = http.client.HTTPConnection("localhost")
        connection.sock = sockets.socket(sockets.AF_UNIX)
        connection.sock.settimeout(10)
        connection.sock.connect(str(socket))
        connection.request("GET", "/")
        return int(connection.getresponse().read())

    def answers():
        try:
            return ask()
        except OSError:
            return None

    wait_until(answers, "no answer")
    pids = {ask() for _ in range(20)}
    recorded.process.send_signal(signal.SIGTERM)
    recorded.finish()
    assert recorded.returncode == 0
    processes = {process["pid"]: process for process in recorded.view("info")["processes"]}
    assert pids <= set(processes)
    assert {process["end"] for process in processes.values()} == {"clean"}
    calls = recorded.events("--function", "^web.app$")
    assert {event["pid"] for event in calls} == pids


@pytest.mark.parametrize("hook", HOOKS)
def test_a_thousand_forks_while_threads_record(record, hook):
    source = """\
        import os, sys, threading
        # The interpreter would give each busy thread five milliseconds a time.
        sys.setswitchinterval(1e-4)
        go_on = True
        def busy():
            names = {}
            while go_on:
                exec("def f(): return len('x')", names)
                names["f"]()
        threads = [threading.Thread(target=busy) for _ in range(2)]
        for thread in threads:
            thread.start()
        def child_work():
            return len("child")
        for n in range(1000):
            pid = os.fork()
            if pid == 0:
                child_work()
                os._exit(n % 7)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == n % 7
        go_on = False
        for thread in threads:
            thread.join()
        """
    flags = ("--mode", "flight", "--ring-size", "64KiB", "--hook", hook)
    recorded = record(source, *flags, "--max-memory", "512MiB")
    info = recorded.view("info")
    assert len(info["processes"]) == 1001
    calls = recorded.events("--function", "^__main__.child_work$")
    assert len({event["pid"] for event in calls}) == 1000
    assert recorded.view("verify")["ok"] is True


FORKER = r"""
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static void *forker(void *count) {
    for (long n = 0; n < (long)count; n++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(7);
        int status;
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 7 << 8)
            return (void *)1;
    }
    return NULL;
}
static pthread_t thread;
int forker_start(long count) { return pthread_create(&thread, NULL, forker, (void *)count); }
long forker_join(void) {
    void *result;
    pthread_join(thread, &result);
    return (long)result;
}
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_forks_by_a_thread_of_c_without_the_gil(record):
    """Other threads are in the middle of events, and hold whatever locks there are."""
    (record.folder / "forker.c").write_text(FORKER)
    library = record.folder / "forker.so"
    command = ["cc", "-shared", "-fPIC", "-pthread", "-o", library, record.folder / "forker.c"]
    subprocess.run(command, check=True)
    source = f"""\
        import ctypes, sys, threading
        sys.setswitchinterval(1e-4)
        forker = ctypes.CDLL({str(library)!r})
        forker.forker_start.argtypes = [ctypes.c_long]
        go_on = True
        def busy():
            names = {{}}
            n = 0
            while go_on:
                n += 1
                exec(f"def f{{n % 5000}}(): return len('x')", names)
                names[f"f{{n % 5000}}"]()
        def brief():
            while go_on:
                thread = threading.Thread(target=len, args=("x",))
                thread.start()
                thread.join()
        threads = [threading.Thread(target=work) for work in (busy, busy, brief)]
        for thread in threads:
            thread.start()
        assert forker.forker_start(500) == 0
        print(forker.forker_join(), flush=True)
        go_on = False
        for thread in threads:
            thread.join()
        """
    flags = ("--mode", "flight", "--ring-size", "64KiB", "--max-memory", "512MiB")
    recorded = record(source, *flags)
    assert recorded.out == b"0\n"
    assert len(recorded.view("info")["processes"]) == 501
    assert recorded.view("verify")["ok"] is True


@pytest.mark.parametrize("mode", ["full", "flight"])
def test_what_is_shown_while_children_run(record, mode):
    source = """\
        import os, time
        pid = os.fork()
        if pid == 0:
            print("up", os.getpid(), flush=True)
            time.sleep(60)
        os.wait()
        """
    recorded = record.start(source, "--mode", mode)
    recorded.wait_for("up")
    child = int(recorded.out.split()[1])
    ends = {p["pid"]: p["end"] for p in recorded.view("info")["processes"]}
    assert ends == {recorded.pid: "running", child: "running"}
    os.kill(child, signal.SIGKILL)
    recorded.finish()
    ends = {p["pid"]: p["end"] for p in recorded.view("info")["processes"]}
    assert ends == {recorded.pid: "clean", child: "killed"}


def test_multiprocessing_children_that_do_not_end_by_themselves(record):
    """Only those are `killed`: os._exit leaves no chance to say anything."""
    source = """\
        import multiprocessing, os, signal, sys
        def leave():
            os._exit(3)
        def kill():
            os.kill(os.getpid(), signal.SIGKILL)
        def fail():
            raise ValueError("no")
        def quit():
            sys.exit(5)
        context = multiprocessing.get_context("fork")
        for target in (leave, kill, fail, quit):
            process = context.Process(target=target)
            process.start()
            process.join()
            print(process.pid, process.exitcode)
        """
    recorded = record(source)
    ends = {p["pid"]: p["end"] for p in recorded.view("info")["processes"]}
    lines = [tuple(map(int, line.split())) for line in recorded.out.splitlines()]
    assert [code for _, code in lines] == [3, -9, 1, 5]
    assert [ends[pid] for pid, _ in lines] == ["killed", "killed", "clean", "clean"]


def test_finalizers_of_the_program_are_recorded_in_multiprocessing_children(record):
    source = """\
        import multiprocessing, multiprocessing.util
        def last():
            return len("last")
        def work():
            multiprocessing.util.Finalize(None, last, exitpriority=-1000)
        context = multiprocessing.get_context("fork")
        process = context.Process(target=work)
        process.start()
        process.join()
        """
    recorded = record(source)
    assert within(recorded.events(), "last")


def test_a_child_forked_by_a_joined_process_says_who_its_parent_is(record):
    record.script(
        """\
        import os
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
        """,
        "child.py",
    )
    recorded = record(f"""\
        import subprocess
        subprocess.call([{sys.executable!r}, "child.py"])
        """)
    processes = recorded.view("info")["processes"]
    assert [p["ppid"] for p in processes[1:]] == [p["pid"] for p in processes[:-1]]
    assert processes[2]["argv"] == processes[1]["argv"]
    run_view("info", recorded.trace, check=0)
    assert view("info", recorded.trace)["lost_events"] == 0
