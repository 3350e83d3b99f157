"""Each hook by itself: what it sees, where it begins and ends, whom it gives way to."""

import sys

import pytest
from support import ALL_HOOKS, HOOKS, MONITORING, run_view, shape, view, within

# What a program may set in a thread, by the hook that uses the same place.
SETTERS = {"profile": "setprofile", "trace": "settrace"}


def lost(events):
    return [event for event in events if event["kind"] == "lost"]


def test_trace_sees_calls_lines_exceptions_and_returns(record):
    source = """\
        def inner(x):
            y = x
            raise ValueError("no " + "good")
        def main():
            try:
                inner(len("ab"))
            except ValueError:
                pass
            return 1
        main()
        """
    recorded = record(source, "--hook", "trace")
    assert recorded.view("info")["processes"][0]["hook"] == "trace"
    events = within(recorded.events(), "main")
    got = [(e["kind"], e["name"], e["line"]) for e in events]
    assert got == [
        ("call", "main", 4),
        ("line", "main", 5),
        ("line", "main", 6),
        ("call", "inner", 1),
        ("line", "inner", 2),
        ("line", "inner", 3),
        ("exception", "inner", 3),
        ("unwind", "inner", 1),
        ("exception", "main", 6),
        ("line", "main", 7),
        ("line", "main", 8),
        ("line", "main", 9),
        ("return", "main", 4),
    ]
    raised = [e for e in events if e["kind"] == "exception"]
    assert [(e["type"], e["message"]) for e in raised] == [("ValueError", "no good")] * 2
    assert [e["depth"] for e in raised] == [2, 1]
    rows = recorded.view("exceptions")["exceptions"]
    assert [(r["type"], r["message"], r["count"], r["raised_at"]["name"]) for r in rows] == [
        ("ValueError", "no good", 1, "inner")
    ]


# CPython's own trace function in Python, told nothing but to log.
LOGGED = """\
import sys
log = []
def count(n):
    try:
        for i in range(n):
            yield i
    except KeyError:
        yield "thrown"
def outer():
    got = yield from count(2)
    return got
async def step():
    return 1
async def steps():
    return await step() + await step()
def boom():
    raise OSError(2, "two")
def main():
    total = 0
    for value in outer():
        total += value
    g = count(3)
    next(g)
    g.throw(KeyError)
    list(g)
    h = count(3)
    next(h)
    h.close()
    try:
        steps().send(None)
    except StopIteration as stop:
        total += stop.value
    try:
        boom()
    except OSError:
        total += 1
    finally:
        total += 1
    return [(lambda x: x)(y) for y in range(2)], total
"""
TRACED = """
def trace(frame, event, argument):
    if frame.f_code.co_filename == __file__ and frame.f_code.co_name != "<module>":
        if OPCODES:
            frame.f_trace_opcodes = True
        place = {"line": frame.f_lineno, "exception": frame.f_lineno, "opcode": frame.f_lasti}
        more = place.get(event)
        if event == "exception":
            more = (more, argument[0].__qualname__)
        log.append((event, frame.f_code.co_qualname, more))
    return trace
OPCODES = "opcodes" in sys.argv
if OPCODES:
    sys._getframe().f_trace_opcodes = True  # 3.12 looks at this when the function is set
sys.settrace(trace)
main()
sys.settrace(None)
import json
print(json.dumps(log))
"""


@pytest.mark.parametrize("opcodes", [False, True], ids=["lines", "opcodes"])
def test_trace_is_what_settrace_sees(record, opcodes):
    import json

    native = record.native(LOGGED + TRACED, arguments=["opcodes"] if opcodes else [])
    expected = [tuple(map(repr, entry)) for entry in json.loads(native.stdout)]
    flags = ["--opcodes"] if opcodes else []
    events = record(LOGGED + "main()\n", "--hook", "trace", *flags).events()
    inside = within([e for e in events if e["file"].endswith("program.py")], "main")
    got = []
    for event in inside:
        # The oracle's language has one word for being left.
        kind = "return" if event["kind"] == "unwind" else event["kind"]
        more = {
            "line": lambda e: e["line"],
            "exception": lambda e: [e["line"], e["type"]],
            "opcode": lambda e: e["offset"],
        }.get(kind, lambda _: None)(event)
        got.append((repr(kind), repr(event["name"]), repr(more)))
    assert got == expected
    assert opcodes == any(e["kind"] == "opcode" for e in events)


def test_trace_tells_first_entries_from_resumptions(record):
    recorded = record(LOGGED + "main()\n", "--hook", "trace")
    calls = {row["name"]: row["calls"] for row in recorded.view("report")["functions"]}
    assert (calls["count"], calls["outer"], calls["step"]) == (3, 1, 2)


def test_trace_has_no_c_calls(record):
    refused = record("print('never')", "--hook", "trace", "--c-calls", status=2)
    assert refused.out == b"" and len(refused.err.splitlines()) == 1
    recorded = record("len('x')\n", "--hook", "trace")
    assert not [e for e in recorded.events() if e["kind"].startswith("c_")]
    source = """\
        import rtrace
        for options in ({"hook": "trace", "c_calls": True}, {"hook": "profile", "lines": True}):
            try:
                rtrace.start("a.bin", **options)
            except ValueError:
                print("refused")
        """
    assert record.python(source).stdout.split() == [b"refused"] * 2


def test_a_message_runs_no_code(record):
    source = """\
        class Odd(Exception):
            args = property(lambda self: print("args was read"))
            def __str__(self):
                print("str was called")
        class Text(str):
            def __str__(self):
                print("str was called")
        def main():
            for error in (Odd("plain"), ValueError(Text("sub")), ValueError("x" * 300)):
                try:
                    raise error
                except Exception:
                    pass
        main()
        """
    for hook in ALL_HOOKS:
        if hook == "profile":
            continue
        recorded = record(source, "--hook", hook)
        assert recorded.out == b""
        raised = [e for e in recorded.events() if e["kind"] == "exception"]
        raised = [e for e in raised if e["name"] == "main"]
        assert [e["message"] for e in raised] == ["plain", "", "x" * 256], hook


THREADS = """\
import threading, time, rtrace
def leaf():
    return 1
def early(ready, go):
    ready.set()
    go.wait()
    leaf()
def late():
    leaf()
def main():
    ready, go = threading.Event(), threading.Event()
    old = threading.Thread(target=early, args=(ready, go), name="early")
    old.start()
    ready.wait()
    rtrace.start("a.bin", hook="{hook}")
    go.set()
    new = threading.Thread(target=late, name="late")
    new.start()
    old.join(), new.join()
    rtrace.stop()
    assert threading.getprofile() is None and threading.gettrace() is None
    after = threading.Thread(target=late, name="after")
    after.start(), after.join()
main()
"""


@pytest.mark.parametrize("hook", ALL_HOOKS)
def test_threads_before_and_after_start(record, hook):
    record.python(THREADS.format(hook=hook))
    events = view("events", record.folder / "a.bin")
    names = {
        thread["serial"]: thread["name"]
        for thread in view("info", record.folder / "a.bin")["processes"][0]["threads"]
    }
    leaves = [(names[e["thread"]], e["kind"]) for e in events if e["name"] == "leaf"]
    leaves = [entry for entry in leaves if entry[1] != "line"]
    assert sorted(leaves) == [
        ("early", "call"),
        ("early", "return"),
        ("late", "call"),
        ("late", "return"),
    ]
    assert not lost(events)


ENDS = """\
import threading, time, rtrace
def blocked(ready, go):
    ready.set()
    go.acquire()
    after()
def after():
    pass
def holder(lock):
    with lock:
        pass
def main():
    first = threading.Lock(), threading.Event()
    first[0].acquire()
    at_start = threading.Thread(target=blocked, args=(first[1], first[0]), name="at_start")
    at_start.start()
    first[1].wait()
    rtrace.start("a.bin", hook="{hook}", c_calls={c_calls})
    second = threading.Lock(), threading.Event()
    second[0].acquire()
    at_stop = threading.Thread(target=blocked, args=(second[1], second[0]), name="at_stop")
    at_stop.start()
    second[1].wait()
    time.sleep(0.05)
    rtrace.stop()
    first[0].release(), second[0].release()
    at_start.join(), at_stop.join()
main()
"""


@pytest.mark.parametrize("hook", ALL_HOOKS)
@pytest.mark.parametrize("c_calls", [False, True])
def test_frames_open_at_both_ends(record, hook, c_calls):
    if hook == "trace" and c_calls:
        pytest.skip("the hook trace sees no C calls")
    record.python(ENDS.format(hook=hook, c_calls=c_calls))
    trace = record.folder / "a.bin"
    stacks = {thread["name"]: thread["frames"] for thread in view("stacks", trace)["threads"]}
    main = [(f["name"], f["began_before"]) for f in stacks["MainThread"] if f["kind"] == "python"]
    assert main == [("<module>", True), ("main", True)]
    before = [(f["name"], f["began_before"]) for f in stacks["at_start"]]
    # A C function that was open already is not to be seen.
    assert before[-1] == ("blocked", True) and all(began for _, began in before)
    within_recording = stacks["at_stop"]
    python = [f for f in within_recording if f["kind"] == "python"]
    assert python[-1]["name"] == "blocked" and not python[-1]["began_before"]
    assert python[-1]["open_ns"] >= 50_000_000
    if c_calls:
        assert within_recording[-1]["name"] == "lock.acquire"
        assert within_recording[-1]["kind"] == "c"
    events = view("events", trace)
    assert ("call", "blocked") in shape(events) and ("return", "blocked") not in shape(events)
    tree = {lane["name"]: lane["roots"] for lane in view("tree", trace)["lanes"]}
    assert tree["at_start"][0]["began_before"] and tree["at_start"][0]["open"]


TAKEN = """\
import sys, threading, rtrace
seen = []
def mine(frame, event, argument):
    seen.append(event)
    return mine
def work():
    return len("x")
def other():
    work()
    at.set()
    go.wait()
    work()
rtrace.start("a.bin", hook="{hook}", c_calls={c_calls})
at, go = threading.Event(), threading.Event()
thread = threading.Thread(target=other, name="other")
thread.start()
at.wait()
assert (sys.gettrace(), sys.getprofile()) == (None, None)
work()
sys.{setter}(mine)
work()
assert seen
go.set()
thread.join()
{stop}
assert (sys.gettrace(), sys.getprofile()) == {after}
count = len(seen)
work()
assert len(seen) > count
sys.{setter}(None)
"""


@pytest.mark.parametrize("hook", ["profile", "trace"])
@pytest.mark.parametrize("ending", ["stop", "exit"])
def test_a_function_set_meanwhile_stays(record, hook, ending):
    source = TAKEN.format(
        hook=hook,
        c_calls=False,
        setter=SETTERS[hook],
        stop="rtrace.stop()" if ending == "stop" else "",
        after="(mine, None)" if hook == "trace" else "(None, mine)",
    )
    done = record.python(source)
    assert done.stderr == b""
    trace = record.folder / "a.bin"
    events = view("events", trace)
    (gap,) = lost(events)
    assert (gap["cause"], gap["count"]) == ("hook", 0)
    main = [e for e in events if e["thread"] == gap["thread"]]
    assert main[-1] == gap, "it says from where on"
    assert len([e for e in main if e["name"] == "work" and e["kind"] == "call"]) == 1
    other = [e for e in events if e["thread"] != gap["thread"]]
    assert len([e for e in other if e["name"] == "work" and e["kind"] == "call"]) == 2
    said = run_view("info", trace, check=0).stdout
    assert "hook: nobody knows how many" in said
    assert view("report", trace)["complete"] is False
    assert view("verify", trace)["ok"]


@pytest.mark.parametrize("hook", ["profile", "trace"])
def test_a_thread_that_ends_with_another_function_has_lost(record, hook):
    source = f"""\
        import sys, threading
        def work():
            pass
        def robbed():
            work()
            sys.{SETTERS[hook]}(lambda *event: None)
            work()
        def left_alone():
            work()
            work()
        for target in (robbed, left_alone):
            thread = threading.Thread(target=target, name=target.__name__)
            thread.start()
            thread.join()
        """
    recorded = record(source, "--hook", hook, "--no-c-calls")
    threads = recorded.view("info")["processes"][0]["threads"]
    serials = {thread["name"]: thread["serial"] for thread in threads}
    events = recorded.events()
    (gap,) = lost(events)
    assert (gap["thread"], gap["cause"], gap["count"]) == (serials["robbed"], "hook", 0)
    for name, calls in (("robbed", 1), ("left_alone", 2)):
        mine = [e for e in events if e["thread"] == serials[name] and e["name"] == "work"]
        assert [e["kind"] for e in mine if e["kind"] != "line"] == ["call", "return"] * calls
    assert recorded.view("verify")["ok"]


def test_setprofile_is_seen_when_it_is_called(record):
    source = """\
        import os, signal, sys
        def f():
            pass
        f()
        sys.setprofile(lambda *event: None)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    recorded = record(source, "--hook", "profile", status=None)
    record.settle()
    assert recorded.returncode == -9
    events = recorded.events()
    assert shape(events)[-2:] == [("c_call", "setprofile"), ("lost", None)]


@pytest.mark.parametrize("hook", ["profile", "trace"])
def test_functions_of_the_other_kind_are_no_matter(record, hook):
    other = "settrace" if hook == "profile" else "setprofile"
    source = TAKEN.format(
        hook=hook,
        c_calls=hook == "profile",
        setter=other,
        stop="rtrace.stop()",
        after="(mine, None)" if hook == "profile" else "(None, mine)",
    )
    record.python(source)
    events = view("events", record.folder / "a.bin")
    assert not lost(events)
    assert len([e for e in events if e["name"] == "work" and e["kind"] == "call"]) == 4


@pytest.mark.parametrize("hook", ["profile", "trace"])
@pytest.mark.parametrize("where", ["sys", "threading", "another thread"])
def test_a_function_set_before_keeps_its_place(record, hook, where):
    setter = SETTERS[hook]
    source = f"""\
        import sys, threading, rtrace
        seen = []
        def mine(frame, event, argument):
            seen.append(event)
            return mine
        def work():
            return len("x")
        def other():
            if "{where}" == "another thread":
                sys.{setter}(mine)
            at.set()
            go.wait()
            work()
        if "{where}" == "sys":
            sys.{setter}(mine)
        elif "{where}" == "threading":
            threading.{setter}(mine)
        at, go = threading.Event(), threading.Event()
        thread = threading.Thread(target=other)
        thread.start()
        at.wait()
        rtrace.start("a.bin", hook="{hook}")
        count = len(seen)
        work()
        go.set()
        thread.join()
        assert len(seen) > count
        rtrace.stop()
        print("ran on")
        """
    done = record.python(source)
    assert done.stdout == b"ran on\n"
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("rtrace: not recording: ") and "mine" in line and setter in line
    assert not (record.folder / "a.bin").exists()
    assert not list(record.rings.rglob("session"))


@pytest.mark.parametrize("hook", ["profile", "trace"])
def test_start_and_stop_while_threads_come_and_go(record, hook):
    source = f"""\
        import threading, rtrace
        def work():
            return sum(range(3))
        def churn():
            while not done.is_set():
                thread = threading.Thread(target=work)
                thread.start()
                thread.join()
        done = threading.Event()
        churners = [threading.Thread(target=churn) for _ in range(4)]
        for thread in churners:
            thread.start()
        for i in range(60):
            rtrace.start("a.bin", hook="{hook}", ring_size="64k")
            work()
            rtrace.stop()
        done.set()
        for thread in churners:
            thread.join()
        print("fine")
        """
    assert record.python(source).stdout == b"fine\n"
    assert view("verify", record.folder / "a.bin")["ok"]


needs_monitoring = pytest.mark.skipif(not MONITORING, reason="needs sys.monitoring")


@needs_monitoring
def test_all_tool_ids_in_use(record):
    source = """\
        import sys, rtrace
        for id in range(6):
            sys.monitoring.use_tool_id(id, f"tool{id}")
        rtrace.start("a.bin")
        print([sys.monitoring.get_tool(id) for id in range(6)])
        rtrace.stop()
        rtrace.start("b.bin", hook="profile")
        rtrace.stop()
        """
    done = record.python(source)
    assert done.stdout.decode().strip() == str([f"tool{i}" for i in range(6)])
    (line,) = done.stderr.decode().splitlines()
    assert all(f"tool{i}" in line for i in (2, 3, 4, 5)) and "not recording" in line
    assert not (record.folder / "a.bin").exists()
    assert view("verify", record.folder / "b.bin")["ok"]


@needs_monitoring
@pytest.mark.parametrize("given", [True, False], ids=["taken", "freed"])
def test_a_tool_id_taken_from_us(record, given):
    source = f"""\
        import sys, rtrace
        m = sys.monitoring
        seen = []
        def work():
            return 1
        rtrace.start("a.bin")
        work()
        (id,) = [id for id in range(6) if m.get_tool(id) == "rtrace"]
        m.free_tool_id(id)
        if {given}:
            m.use_tool_id(id, "robber")
            m.register_callback(id, m.events.PY_START, lambda code, offset: seen.append(code))
            m.set_events(id, m.events.PY_START)
            work()
            assert seen
        rtrace.stop()
        assert m.get_tool(id) == ("robber" if {given} else None)
        count = len(seen)
        work()
        assert len(seen) == count + {given}
        if {given}:
            assert m.get_events(id) == m.events.PY_START
        rtrace.start("b.bin")
        work()
        rtrace.stop()
        """
    assert record.python(source).stderr == b""
    events = view("events", record.folder / "a.bin")
    (gap,) = lost(events)
    assert (gap["cause"], gap["count"]) == ("hook", 0)
    again = view("events", record.folder / "b.bin")
    assert ("call", "work") in shape(again) and not lost(again)


@needs_monitoring
def test_other_monitoring_tools(record):
    source = """\
        import sys
        m = sys.monitoring
        seen = []
        def work(n):
            return len("x") + n
        for id in (3, 0):
            m.use_tool_id(id, f"tool{id}")
            m.register_callback(id, m.events.PY_START, lambda code, offset: seen.append(code))
            m.set_events(id, m.events.PY_START)
        for i in range(50):
            work(i)
            m.restart_events()
        for id in (3, 0):
            m.set_events(id, 0)
        print(len([code for code in seen if code is work.__code__]))
        """
    import textwrap

    inner = textwrap.indent(textwrap.dedent(source), "    ")
    recorded = record(
        "import rtrace\nrtrace.stop()\nimport sys\nsys.monitoring.use_tool_id(2, 'x')\n"
        "sys.monitoring.free_tool_id(2)\nif True:\n" + inner
    )
    assert recorded.out == b"100\n"
    # Tool id 3 is ours under `run`; the program then gets the error it would get from anyone.
    recorded = record(source.replace("(3, 0)", "(4, 0)"))
    assert recorded.out == b"100\n"
    works = [e for e in recorded.events() if e["name"] == "work" and e["kind"] == "call"]
    assert len(works) == 50


@pytest.mark.skipif(sys.version_info < (3, 12), reason="needs the call for all threads")
@pytest.mark.parametrize("hook", ["profile", "trace"])
def test_a_function_set_in_all_threads(record, hook):
    setter = f"{SETTERS[hook]}_all_threads"
    source = f"""\
        import threading, rtrace
        seen = set()
        def mine(frame, event, argument):
            seen.add(threading.get_ident())
            return mine
        def work():
            return 1
        def other():
            work()
            at.set()
            go.wait()
            work()
        rtrace.start("a.bin", hook="{hook}")
        at, go = threading.Event(), threading.Event()
        thread = threading.Thread(target=other)
        thread.start()
        at.wait()
        threading.{setter}(mine)
        work()
        rtrace.stop()
        go.set()
        thread.join()
        threading.{setter}(None)
        print(len(seen))
        """
    assert record.python(source).stdout == b"2\n"
    assert {e["cause"] for e in lost(view("events", record.folder / "a.bin"))} == {"hook"}


@pytest.mark.parametrize("hook", HOOKS)
def test_nothing_is_imported_by_the_programs_own_import(record, hook):
    source = """\
        import builtins
        real, seen = builtins.__import__, []
        def mine(name, *more, **others):
            seen.append(name)
            return real(name, *more, **others)
        builtins.__import__ = mine
        import threading
        thread = threading.Thread(target=len, args=("a",))
        thread.start()
        thread.join()
        builtins.__import__ = real
        print([name for name in seen if name.startswith("rtrace")])
        """
    assert record(source, "--hook", hook).out == b"[]\n"


@needs_monitoring
def test_calls_in_code_that_is_not_recorded_become_free(record):
    source = """\
        import rtrace
        try:
            from _opcode_metadata import opmap
        except ImportError:
            import dis
            opmap = {name: op for op, name in enumerate(dis.opname)}
        CALLS = {op for name, op in opmap.items() if name.startswith("INSTRUMENTED_CALL")}
        def calls(function):
            code = function.__code__._co_code_adaptive
            return len([op for op in code[::2] if op in CALLS])
        def hidden():
            return len("a")
        def seen():
            return len("a")
        rtrace.start("a.bin", exclude=["hidden"], c_calls=True)
        hidden(); seen()
        hidden(); seen()
        print(calls(hidden), calls(seen))
        rtrace.stop()
        """
    assert record.python(source).stdout == b"0 1\n"
