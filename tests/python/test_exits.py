"""However a program ends, it ends as it does without us: output, errors, exit code."""

import re
import signal
import sys

import pytest
from support import MONITORING

# Each is a program whose output, errors and exit code are compared.
PROGRAMS = {
    "exit None": "import sys; sys.exit()",
    "exit 0": "raise SystemExit(0)",
    "exit 300": "import sys; sys.exit(300)",
    "exit -1": "import sys; sys.exit(-1)",
    "exit True": "import sys; sys.exit(True)",
    "exit text": "import sys; sys.exit('why')",
    "exit empty text": "import sys; sys.exit('')",
    "exit a tuple": "import sys; sys.exit((1, 2))",
    "exit a huge number": "import sys; sys.exit(1 << 70)",
    "exit builtin": "exit(5)",
    "os._exit": "import os; print('lost in the buffer'); os._exit(9)",
    "exit in a thread": """
        import sys, threading
        t = threading.Thread(target=sys.exit, args=(3,))
        t.start(); t.join()
        print("on")
        """,
    "raised": "def f(): raise ValueError('x')\nf()",
    "raised, with a cause": """
        def f():
            try:
                1 / 0
            except ZeroDivisionError as error:
                raise KeyError("k") from error
        f()
        """,
    "raised, no code that prints": """
        class Odd(Exception):
            def __str__(self): raise ValueError("never")
        raise Odd
        """,
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "SIGTERM": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "SIGINT": "import os, signal; os.kill(os.getpid(), signal.SIGINT); input()",
    "SIGKILL": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "SIGPIPE restored": """
        import os, signal
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        r, w = os.pipe()
        os.close(r)
        os.write(w, b"x")
        """,
    "SIGTERM handled": """
        import os, signal, sys
        def handle(number, frame):
            print("got", number, frame.f_code.co_name)
            sys.exit(7)
        signal.signal(signal.SIGTERM, handle)
        def main():
            os.kill(os.getpid(), signal.SIGTERM)
            while True: pass
        main()
        """,
    "SIGALRM handled": """
        import signal
        hits = []
        signal.signal(signal.SIGALRM, lambda *_: hits.append(1))
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        while len(hits) < 5: pass
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(signal.getsignal(signal.SIGINT), signal.pthread_sigmask(signal.SIG_BLOCK, []))
        """,
    "atexit order": """
        import atexit
        for n in range(3): atexit.register(print, n)
        atexit.register(lambda: 1 / 0)
        print("end")
        """,
    "atexit exits": """
        import atexit, sys
        atexit.register(sys.exit, 4)
        """,
    "finalizer raises": """
        class Bad:
            def __del__(self): raise ValueError("in a finalizer")
        Bad()
        x = Bad()
        print("end")
        """,
    "finalizer at shutdown": """
        import os
        class Late:
            def __del__(self): os.write(1, b"late")
        keep = Late()
        cycle = [keep]; cycle.append(cycle)
        """,
    "daemon threads at shutdown": """
        import threading, time
        def busy():
            while True: len("x")
        def idle():
            time.sleep(100)
        for target in (busy, idle, busy):
            threading.Thread(target=target, daemon=True).start()
        print("end")
        """,
    "threads that go on": """
        import threading, time
        def late():
            time.sleep(0.1)
            print("late")
        threading.Thread(target=late).start()
        print("end")
        """,
    "stdout closed": "import sys; sys.stdout.close()",
    "descriptors closed": "import os; os.closerange(3, 256); print('end')",
    "generators open at the end": """
        def gen():
            try:
                yield 1
            finally:
                print("closed")
        g = gen(); next(g)
        """,
    "exec of another program": """
        import os, sys
        os.execv("/bin/sh", ["sh", "-c", "echo other; exit 6"])
        """,
    "exec of Python": """
        import os, sys
        os.execv(sys.executable, [sys.executable, "-c", "print('other'); raise SystemExit(8)"])
        """,
    "fork and both end": """
        import os, sys
        pid = os.fork()
        if pid == 0:
            sys.exit(2)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """,
    "warnings": """
        import warnings
        warnings.warn("careful")
        open("/dev/null")
        """,
    "a file left open": "f = open('/dev/null')",
}


def clean(text):
    """Addresses differ from run to run, and one line is ours."""
    text = re.sub(r"^rtrace: .*\n", "", text.decode(), flags=re.M)
    return re.sub(r"0x[0-9a-f]+", "0x", text)


def same(record, source, python, **options):
    alone = record.native(source, python=python, **options)
    recorded = record(source, python=python, status=None, **options)
    assert recorded.out == alone.stdout
    assert clean(recorded.err) == clean(alone.stderr)
    assert recorded.returncode == alone.returncode


@pytest.mark.parametrize("name", PROGRAMS)
def test_ends_as_without_us(record, name):
    same(record, PROGRAMS[name], ())


# What warns by itself when it is run so is not of use here.
QUIET = [name for name in PROGRAMS if name not in ("warnings", "finalizer raises")]


@pytest.mark.parametrize("name", QUIET)
@pytest.mark.parametrize("python", [("-X", "dev"), ("-W", "error")], ids=" ".join)
def test_ends_as_without_us_where_python_is_strict(record, name, python):
    same(record, PROGRAMS[name], python)


@pytest.mark.skipif(not MONITORING, reason="Python warns of threads from 3.12 on")
@pytest.mark.parametrize("mode", ["full", "flight"])
def test_no_thread_of_ours_makes_a_fork_warn(record, mode):
    source = """\
        import os
        for _ in range(3):
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            os.waitpid(pid, 0)
        print(len(os.listdir("/proc/self/task")))
        """
    recorded = record(source, "--mode", mode, python=("-W", "error"))
    assert recorded.out == b"1\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("ignored", [False, True])
def test_signals_from_outside(record, number, ignored):
    handler = "signal.SIG_IGN" if ignored else "signal.SIG_DFL"
    source = f"""\
        import signal, sys, time
        signal.signal({int(number)}, {handler})
        print("up", flush=True)
        sys.stdin.readline()
        print("end")
        """
    recorded = record.start(source)
    recorded.wait_for("up")
    recorded.process.send_signal(number)
    recorded.finish(b"\n")
    assert recorded.returncode == (0 if ignored else -number)
    assert (b"end" in recorded.out) == ignored
    end = recorded.view("info")["processes"][0]["end"]
    assert end == ("clean" if ignored else "killed")


@pytest.mark.parametrize("code", [0, 3, 255])
def test_the_exit_code_is_known(record, code):
    recorded = record(f"import sys; sys.exit({code})", status=code)
    assert recorded.view("info")["processes"][0]["end"] == "clean"


def test_a_program_that_is_recorded_in_a_child_ends_so_too(record):
    """The same, for a process that joined."""
    for name in ("exit text", "raised", "atexit order", "finalizer raises", "SIGTERM handled"):
        path = record.script(PROGRAMS[name], "child.py")
        alone = record.native((str(path),))
        record.script(
            f"""\
            import subprocess
            done = subprocess.run([{sys.executable!r}, {str(path)!r}], capture_output=True)
            print((done.stdout, done.stderr, done.returncode))
            """,
        )
        recorded = record((str(record.folder / "program.py"),))
        out, err, code = eval(recorded.out)
        assert (out, clean(err), code) == (alone.stdout, clean(alone.stderr), alone.returncode)
