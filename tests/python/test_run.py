"""A program under `rtrace run` behaves as it does without it."""

import json
import signal
import sys

import pytest
from support import MONITORING, view

MODES = ["full", "flight"]


def same(record, source, *flags, given=None, arguments=(), python=(), runs=True):
    """Runs a program both ways and compares everything that a caller can see."""
    native = record.native(source, given, arguments=arguments, python=python)
    recorded = record(source, *flags, given=given, status=None, arguments=arguments, python=python)
    assert recorded.returncode == native.returncode, recorded.err.decode()
    assert recorded.out == native.stdout
    # One line more on stderr says where the trace is.
    lines = recorded.err.splitlines(keepends=True)
    ours = [line for line in lines if str(recorded.trace).encode() in line]
    assert len(ours) == runs, recorded.err.decode()
    lines = [line for line in lines if line not in ours]
    assert b"".join(lines).decode() == native.stderr.decode()
    return recorded


@pytest.mark.parametrize("mode", MODES)
def test_output_and_trace(record, mode):
    recorded = same(
        record, "import sys\nprint('out')\nprint('err', file=sys.stderr)", "--mode", mode
    )
    info = recorded.view("info")
    assert info["processes"][0]["mode"] == mode
    assert info["processes"][0]["end"] == "clean"
    assert info["lost_events"] == 0


@pytest.mark.parametrize("mode", MODES)
def test_uncaught_exception_prints_the_native_traceback(record, mode):
    source = """\
        def deepest(x):
            return 1 / x

        def middle():
            try:
                deepest(0)
            except ZeroDivisionError as error:
                raise ValueError("second") from error

        middle()
        """
    recorded = same(record, source, "--mode", mode)
    assert recorded.returncode == 1


def test_syntax_error_prints_the_native_message(record):
    same(record, "def broken(:\n    pass\n", runs=False)


@pytest.mark.parametrize(
    "expression, status",
    [
        ("sys.exit()", 0),
        ("sys.exit(None)", 0),
        ("sys.exit(7)", 7),
        ("sys.exit('a message')", 1),
        ("sys.exit(300)", 300 & 255),
        ("raise SystemExit(3)", 3),
        ("sys.exit((1, 2))", 1),
    ],
)
def test_exit_codes(record, expression, status):
    recorded = same(record, f"import sys\n{expression}\n")
    assert recorded.returncode == status


def test_keyboard_interrupt_ends_by_the_signal_as_python_does(record):
    source = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nwhile True: pass\n"
    recorded = same(record, source)
    assert recorded.returncode == -signal.SIGINT


def test_default_action_of_a_signal(record):
    recorded = record("import os\nos.kill(os.getpid(), 15)\n", status=-signal.SIGTERM)
    assert recorded.view("info")["processes"][0]["end"] == "killed"


def test_signal_handlers_run(record):
    source = """\
        import os, signal
        def handler(number, frame):
            print("handled", number, frame.f_code.co_name)
        signal.signal(signal.SIGUSR1, handler)
        os.kill(os.getpid(), signal.SIGUSR1)
        print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
        print(signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGCHLD))
        """
    same(record, source)


def test_stdin_is_the_programs(record):
    same(record, "import sys\nprint(sys.stdin.read()[::-1])\n", given=b"abc\ndef")


def test_arguments_are_the_programs(record):
    source = "import sys, json\nprint(json.dumps(sys.argv))\n"
    arguments = ("--json", "-o", "x.bin", "", "--", "-m", "\u00e9")
    recorded = same(record, source, arguments=arguments)
    assert json.loads(recorded.out)[1:] == list(arguments)


MAIN = """\
    import __main__, sys
    for name in ("__name__", "__doc__", "__package__", "__file__", "__cached__", "__builtins__",
                 "__annotations__"):
        print(name, getattr(__main__, name, "absent"))
    print(getattr(__main__.__spec__, "name", None), getattr(__main__.__spec__, "origin", None))
    print(type(__main__.__loader__), sorted(vars(__main__)))
    print(sys.path[0], sys.modules["__main__"] is __main__, sys.argv)
    print(sys.flags, sys.orig_argv[0])
    """


def test_main_module_of_a_script(record):
    same(record, MAIN)


def test_main_module_of_dash_m(record):
    package = record.folder / "package"
    package.mkdir()
    (package / "__init__.py").write_text("print('init', __name__)\n")
    record.script(MAIN.rstrip() + "\n    print(__spec__.name)\n", "package/__main__.py")
    record.script(MAIN, "package/inner.py")
    same(record, ("-m", "package"), arguments=("a", "-b"))
    same(record, ("-m", "package.inner"))


def test_main_module_of_dash_c(record):
    code = "import sys, __main__\nprint(sys.argv, sys.path[0], __name__)\n"
    code += "print(hasattr(__main__, '__file__'))"
    same(record, ("-c", code), arguments=("one", "--two"))
    recorded = same(record, ("-c", "def f():\n    1 / 0\nf()\n"))
    assert recorded.returncode == 1


def test_a_missing_script_is_said_as_python_says_it(record):
    recorded = record(("nowhere.py",), status=None)
    assert recorded.returncode == 2
    assert b"nowhere.py" in recorded.err and b"Traceback" not in recorded.err


def test_a_missing_module_is_said(record):
    recorded = record(("-m", "no_such_module_here"), status=None)
    assert recorded.returncode == 1
    assert b"no_such_module_here" in recorded.err and b"Traceback" not in recorded.err


@pytest.mark.parametrize(
    "flags",
    [
        ("--mode", "nonsense"),
        ("--hook", "nonsense"),
        ("--ring-size", "many"),
        ("--no-such-option",),
        ("--hook", "profile", "--lines"),
        ("--hook", "trace", "--c-calls"),
    ],
)
def test_wrong_usage_is_status_2(record, flags):
    recorded = record("print('never')", *flags, status=2)
    assert recorded.out == b"" and recorded.err and b"Traceback" not in recorded.err


@pytest.mark.skipif(MONITORING, reason="3.12 and later have sys.monitoring")
def test_monitoring_needs_312(record):
    assert record("print(1)", "--hook", "monitoring", status=2).out == b""


def test_no_program_is_status_2(record):
    assert record((), status=2).out == b""


def test_threads_and_daemons_end_as_usual(record):
    source = """\
        import threading, time, atexit
        atexit.register(print, "atexit")
        def work():
            time.sleep(0.2)
            print("worker done")
        threading.Thread(target=work).start()
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        print("main done")
        """
    recorded = same(record, source)
    assert recorded.out.split() == b"main done worker done atexit".split()


def test_no_thread_and_no_child_of_ours_in_the_program(record):
    source = """\
        import os, threading
        print(len(os.listdir("/proc/self/task")), threading.active_count())
        try:
            print(os.waitpid(-1, os.WNOHANG))
        except ChildProcessError:
            print("no children")
        """
    for mode in MODES:
        same(record, source, "--mode", mode)


def test_a_users_profile_and_trace_functions_still_work(record):
    source = """\
        import sys
        seen = []
        def tracer(frame, event, argument):
            seen.append((event, frame.f_code.co_name))
            return tracer
        def f():
            return 1
        sys.settrace(tracer)
        f()
        sys.settrace(None)
        print(seen)
        """
    same(record, source)


def test_open_files_and_environment_are_the_programs(record):
    source = """\
        import os
        print(sorted(key for key in os.environ if "RTRACE" in key and key != "RTRACE_RING_DIR"))
        def is_ours(fd):
            try:
                return "rtrace-test-" not in os.readlink(f"/proc/self/fd/{fd}")
            except OSError:
                return False
        print(min(fd for fd in range(3, 100) if not os.path.exists(f"/proc/self/fd/{fd}")) < 20)
        """
    record(source)


def test_recursion_error_is_raised_and_survived(record):
    source = """\
        import sys
        def down(n):
            return down(n + 1)
        try:
            down(0)
        except RecursionError:
            print("caught")
        """
    recorded = same(record, source)
    assert recorded.view("verify")["ok"]
    depths = [e["depth"] for e in recorded.events("--function", "down$") if e["kind"] == "call"]
    assert max(depths) > 900


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.12 and later warn at fork")
def test_warnings_as_errors(record):
    same(record, "import os\nprint(sum(range(10)))\n", python=("-W", "error"))


@pytest.mark.skipif(not MONITORING, reason="another tool can only hold sys.monitoring")
def test_a_program_runs_on_where_others_hold_every_place(record):
    (record.folder / "sitecustomize.py").write_text(
        "import sys\nfor i in range(6): sys.monitoring.use_tool_id(i, 'other')\n"
    )
    path = {"PYTHONPATH": str(record.folder)}
    recorded = record("import sys\nprint('ran')\nsys.exit(3)\n", status=3, env=path)
    assert recorded.out == b"ran\n"
    first = recorded.err.splitlines()[0]
    assert first.startswith(b"rtrace: not recording: ") and b"other" in first


def test_the_runner_is_never_shown(record):
    source = """\
        import rtrace
        def f():
            rtrace.stop()
            rtrace.start("again.bin")
            g()
        def g(): pass
        f()
        """
    record(source)
    roots = view("tree", record.folder / "again.bin")["lanes"][0]["roots"]
    assert roots[0]["name"] == "<module>" and roots[0]["module"] == "__main__"
    assert roots[0]["children"][0]["name"] == "f"
