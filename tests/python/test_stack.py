"""What a program sees of its own stack: the same as without us, nothing of ours below it."""

import pytest
from support import HOOKS

PROGRAM = """
import atexit, faulthandler, inspect, logging, sys, threading, traceback, warnings

def names(frame):
    return [one.f_code.co_name for one, _ in traceback.walk_stack(frame)]

def show(where):
    print(where, [(one.function, one.lineno) for one in inspect.stack()])
    print(names(sys._getframe()))
    print("".join(traceback.format_stack()))
    for depth in range(12):
        try:
            sys._getframe(depth)
        except ValueError as error:
            print(depth, error)
    warnings.warn("as a user sees it", stacklevel=4)
    logging.warning("%s", logging.getLogger().findCaller())
    faulthandler.dump_traceback(all_threads=False)

def generator():
    yield show("generator")

class Late:
    def __del__(self):
        show("finalizer")

def main_is_below(ready, done):
    ready.wait()
    frame = sys._current_frames()[threading.main_thread().ident]
    while frame.f_code.co_name != "waits":
        frame = frame.f_back
    print(names(frame))
    done.set()

def waits():
    ready, done = threading.Event(), threading.Event()
    threading.Thread(target=main_is_below, args=(ready, done)).start()
    ready.set()
    done.wait()

atexit.register(lambda: print(names(sys._getframe())[:1]))
late = Late()
del late
sorted([1], key=lambda _: show("callback"))
list(generator())
started = threading.Thread(target=show, args=("thread",))
started.start()
started.join()
waits()
if __name__ == "__main__":
    raise SystemExit(3)
"""


def only_ours(err):
    """Standard error without the line that says where the trace is."""
    return [line for line in err.decode().splitlines() if not line.startswith("rtrace: ")]


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("kind", ["script", "code", "module"])
def test_the_stack_is_the_programs_own(record, hook, kind):
    path = record.script(PROGRAM)
    how = {"script": (str(path),), "code": ("-c", PROGRAM), "module": ("-m", path.stem)}[kind]
    native = record.native(how)
    recorded = record(how, "--hook", hook, status=3)
    assert native.returncode == 3
    assert recorded.out.decode() == native.stdout.decode()
    assert only_ours(recorded.err) == native.stderr.decode().splitlines()
    assert recorded.view("verify")["ok"]


@pytest.mark.parametrize("how", ["script", "module"])
@pytest.mark.parametrize("source", ["def broken(:", "1 / 0", "import no_such_module"])
def test_what_python_says_of_a_program_that_fails_at_once(record, source, how):
    path = record.script(source)
    end = (str(path),) if how == "script" else ("-m", path.stem)
    native = record.native(end)
    recorded = record(end, status=native.returncode)
    assert only_ours(recorded.err) == native.stderr.decode().splitlines()


@pytest.mark.parametrize("hook", HOOKS)
def test_the_programs_outermost_frame_is_at_depth_0_in_every_fork(record, hook):
    """A child goes on inside the program: what is below it must be cut off there too."""
    source = """
        import os, sys
        def depth():
            frame, count = sys._getframe(), 0
            while frame:
                frame, count = frame.f_back, count + 1
            return count
        def child():
            print(depth(), flush=True)
        if os.fork() == 0:
            child()
        else:
            os.wait()
            child()
    """
    recorded = record(source, "--hook", hook)
    assert recorded.out.split() == [b"3", b"3"]
    depths = {e["depth"] for e in recorded.events() if e["kind"] == "call" and e["name"] == "child"}
    assert depths == {1}

