"""Threads of every kind: who has a ring, under which name, and how it ends."""

import shutil
import subprocess

import pytest
from support import HOOKS, MONITORING, ROOT, view_program

MODES = ["full", "flight"]

# A library whose threads are none of `threading`'s: each calls back into Python, some from a
# destructor of the thread's own data, some leave in the middle of a Python call.
C_SOURCE = r"""
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

typedef void (*callback)(int);
struct task { callback call; int number, times, late; };
static pthread_key_t key;

static void at_end(void *value) {
    struct task *task = value;
    if (task->late) task->call(-task->number);
    free(task);
}

static void *run(void *value) {
    struct task *task = value;
    pthread_setspecific(key, task);
    for (int i = 0; i < task->times; i++) task->call(task->number);
    return 0;
}

int start(callback call, int number, int times, int late, uint64_t *thread) {
    static int once;
    if (!once++) pthread_key_create(&key, at_end);
    struct task *task = malloc(sizeof *task);
    *task = (struct task){call, number, times, late};
    return pthread_create((pthread_t *)thread, 0, run, task);
}

int join(uint64_t thread) { return pthread_join((pthread_t)thread, 0); }
void leave(void) { pthread_exit(0); }
"""

C_PROGRAM = """
import ctypes, sys, threading
lib = ctypes.CDLL(sys.argv[1])
TYPE = ctypes.CFUNCTYPE(None, ctypes.c_int)

def start(call, number, times, late):
    thread = ctypes.c_uint64()
    assert lib.start(call, number, times, late, ctypes.byref(thread)) == 0
    return thread

def join(thread):
    assert lib.join(thread) == 0
"""


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("threads")
    source, built = folder / "threads.c", folder / "threads.so"
    source.write_text(C_SOURCE)
    command = [compiler, "-shared", "-fPIC", "-pthread", "-o", built, source]
    subprocess.run(command, check=True)
    return str(built)


def threads_of(recording):
    return [thread for process in recording.view("info")["processes"] for thread in process["threads"]]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("hook", HOOKS)
def test_each_short_thread_is_itself(record, hook, mode):
    """The system gives the numbers of an ended thread to the next one; the trace does not."""
    source = """
        import rtrace, threading
        idents, tids = set(), set()
        def work(i):
            rtrace.mark(f"t{i}")
        for i in range(300):
            thread = threading.Thread(target=work, args=(i,), name=f"t{i}")
            thread.start()
            thread.join()
            idents.add(thread.ident)
        print(len(idents))
    """
    recording = record(source, "--mode", mode, "--hook", hook)
    assert int(recording.out) < 300, "no number was used again, so nothing was tested"
    names = {thread["serial"]: thread["name"] for thread in threads_of(recording)}
    assert len(names) == 301
    marks = {}
    for event in recording.events():
        if event["kind"] == "mark":
            marks.setdefault(event["thread"], []).append(event["name"])
    assert len(marks) == 300
    for serial, marked in marks.items():
        assert marked == [names[serial]]
    assert recording.view("verify")["ok"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("hook", HOOKS)
def test_a_renamed_thread_has_its_last_name(record, hook, mode):
    source = """
        import threading
        def rename_itself():
            threading.current_thread().name = "itself"
        def renamed(ready, go):
            ready.set()
            go.wait()
        threading.Thread(target=rename_itself, name="a").start()
        ready, go = threading.Event(), threading.Event()
        other = threading.Thread(target=renamed, args=(ready, go), name="b")
        other.start()
        ready.wait()
        other.name = "by another"
        go.set()
        other.join()
        threading.current_thread().name = "the main one"
    """
    recording = record(source, "--mode", mode, "--hook", hook)
    assert {thread["name"] for thread in threads_of(recording)} == {
        "the main one",
        "itself",
        "by another",
    }


@pytest.mark.skipif(not MONITORING, reason="a profile function is not called in threads of C code")
@pytest.mark.parametrize("mode", MODES)
def test_threads_of_c_code(record, library, mode):
    """A thread state for each call, one lane for each thread."""
    program = (
        C_PROGRAM
        + """
def called(number):
    seen(number)
def seen(number):
    calls.append(number)
calls = []
callback = TYPE(called)
threads = [start(callback, number, 5, number % 2) for number in range(1, 41)]
for thread in threads:
    join(thread)
print(len(calls))
"""
    )
    recording = record(program, "--mode", mode, arguments=(library,))
    # 40 threads of 5 calls, and 20 that call once more from a destructor.
    assert recording.out == b"220\n"
    threads = [thread for thread in threads_of(recording) if thread["serial"] != 0]
    assert len(threads) == 40
    assert len({thread["serial"] for thread in threads}) == 40
    calls = [e for e in recording.events("--function", "seen") if e["kind"] == "call"]
    by_thread = {}
    for event in calls:
        by_thread[event["thread"]] = by_thread.get(event["thread"], 0) + 1
    assert sorted(by_thread.values()) == [5] * 20 + [6] * 20
    assert recording.view("info")["lost_events"] == 0
    assert recording.view("verify")["ok"]


@pytest.mark.skipif(not MONITORING, reason="a profile function is not called in threads of C code")
@pytest.mark.parametrize("mode", MODES)
def test_a_thread_that_leaves_in_the_middle_of_a_call(record, library, mode):
    """Killed before the end: `set_events`, whoever calls it, walks the dead threads' C stacks."""
    program = (
        C_PROGRAM
        + """
import os, rtrace
def called(number):
    deep(3)
def deep(n):
    deep(n - 1) if n else lib.leave()
callback = TYPE(called)
for number in range(20):
    join(start(callback, number, 1, 0))
print("left", flush=True)
if sys.argv[2] == "flight":
    rtrace.snapshot("now.bin")
os.kill(os.getpid(), 9)
"""
    )
    recording = record(program, "--mode", mode, arguments=(library, mode), status=-9)
    assert recording.out == b"left\n"
    stacks = recording.view("stacks")["threads"]
    left = [s for s in stacks if "deep" in [frame["name"] for frame in s["frames"]]]
    assert len(left) == 20
    for stack in left:
        names = [f["name"] for f in stack["frames"] if f["kind"] == "python"]
        assert names == ["called", "deep", "deep", "deep", "deep"]
    assert recording.view("verify")["ok"]


def test_start_and_stop_while_threads_end(record):
    """Ends of threads, which have no GIL, against everything that goes through all threads."""
    source = """
        import os, rtrace, sys, threading
        from support import view
        done = False
        def work():
            pass
        def churn():
            while not done:
                thread = threading.Thread(target=work)
                thread.start()
                thread.join()
        churns = [threading.Thread(target=churn) for _ in range(8)]
        for thread in churns:
            thread.start()
        for i in range(30):
            rtrace.start("one.bin")
            for _ in range(i * 20):
                work()
            if i % 3 == 0:
                rtrace.snapshot("snap.bin")
            if i % 5 == 0 and not os.fork():
                work()
                os._exit(0)
            trace = rtrace.stop()
            assert view("verify", trace)["ok"]
        done = True
        for thread in churns:
            thread.join()
        print("through")
    """
    env = {"PYTHONPATH": str(ROOT / "tests" / "python"), "RTRACE_VIEW": view_program()}
    done = record.python(source, python=("-W", "ignore"), env=env)
    assert done.stdout == b"through\n"


@pytest.mark.parametrize("mode", MODES)
def test_daemon_threads_at_exit(record, mode):
    """They run when recording stops, and when the interpreter ends."""
    source = """
        import threading, time
        def leaf(): pass
        def spin():
            while True: leaf()
        def sleeper():
            while True: time.sleep(0.0001)
        for target in (spin, sleeper) * 10:
            threading.Thread(target=target, daemon=True).start()
        time.sleep(0.05)
        print("end")
    """
    for _ in range(4):
        recording = record(source, "--mode", mode)
        assert (recording.out, recording.returncode) == (b"end\n", 0)
        assert recording.err.count(b"\n") == 1, recording.err.decode()
        record.settle()
        process = recording.view("info")["processes"][0]
        assert process["end"] == "clean"
        assert len(process["threads"]) == 21
        assert recording.view("verify")["ok"]
        running = {s["serial"] for s in recording.view("stacks")["threads"] if s["frames"]}
        assert len(running) >= 20


def test_daemon_threads_of_a_program_that_stops_by_itself(record):
    """The hook is gone, the threads go on, and the interpreter ends under them."""
    source = """
        import rtrace, threading, time
        def leaf(): pass
        def spin():
            while True: leaf()
        rtrace.start("trace.bin")
        for _ in range(10):
            threading.Thread(target=spin, daemon=True).start()
        time.sleep(0.05)
        print(rtrace.stop())
        time.sleep(0.02)
    """
    for _ in range(4):
        done = record.python(source)
        assert done.stdout.endswith(b"trace.bin\n") and not done.stderr


@pytest.mark.parametrize("hook", HOOKS)
def test_a_thousand_threads_at_once(record, hook):
    source = """
        import threading
        barrier = threading.Barrier(1001)
        def work(i):
            leaf(i)
            barrier.wait()
        def leaf(i): pass
        threads = [threading.Thread(target=work, args=(i,), name=f"t{i}") for i in range(1000)]
        for thread in threads: thread.start()
        barrier.wait()
        for thread in threads: thread.join()
    """
    recording = record(source, "--mode", "flight", "--hook", hook)
    info = recording.view("info")
    assert (info["lost_events"], info["overwritten_events"]) == (0, 0)
    names = {thread["name"] for thread in info["processes"][0]["threads"]}
    assert names == {"MainThread", *(f"t{i}" for i in range(1000))}
    report = recording.view("report", "--function", "leaf$")
    assert report["complete"] and report["functions"][0]["calls"] == 1000
