"""The fields of `events`, `report`, `tree`, `stacks` and `exceptions` (the contract's names)."""

import pytest
from support import DEFAULT_HOOK, HOOKS, MONITORING, shape, view, within

EVENT_KEYS = {
    "ts_ns", "pid", "tid", "thread", "fiber", "task", "kind", "name", "module", "file", "line",
    "depth",
}  # fmt: skip

NESTED = """\
    def leaf(x):
        return len(x)

    @staticmethod
    def unused():
        pass

    def middle():
        leaf("ab")
        leaf("abc")

    def main():
        middle()

    main()
    """


def test_fields_of_an_event(record):
    recorded = record(NESTED, arguments=("x",))
    events = recorded.events()
    assert all(set(event) >= EVENT_KEYS for event in events)
    first = events[0]
    assert (first["kind"], first["name"], first["depth"]) == ("call", "<module>", 0)
    assert (first["file"], first["module"]) == (str(recorded.folder / "program.py"), "__main__")
    assert (first["pid"], first["fiber"], first["task"]) == (recorded.pid, 0, None)
    leaf = within(events, "leaf")
    assert shape(leaf) == [
        ("call", "leaf"),
        ("c_call", "len"),
        ("c_return", "len"),
        ("return", "leaf"),
    ]
    assert [event["depth"] for event in leaf] == [3, 4, 4, 3]
    assert (leaf[0]["line"], leaf[1]["file"], leaf[1]["module"]) == (1, None, "builtins")
    times = [event["ts_ns"] for event in events]
    assert times == sorted(times) and times[0] >= 0


def test_only_the_programs_frames_are_shown(record):
    recorded = record(NESTED)
    files = {event["file"] for event in recorded.events() if event["file"]}
    assert not [name for name in files if "rtrace" in name.replace(str(recorded.folder), "")]
    assert not [name for name in files if "runpy" in name]


@pytest.mark.parametrize("hook", HOOKS)
def test_exit_kinds(record, hook):
    source = """\
        def raises():
            raise KeyError("x")
        def passes():
            raises()
        def main():
            try:
                passes()
            except KeyError:
                pass
            int("5")
            try:
                int("x")
            except ValueError:
                pass
        main()
        """
    events = within(record(source, "--hook", hook).events(), "main")
    left = {
        event["name"]: event["kind"] for event in events if event["kind"] in ("return", "unwind")
    }
    assert left == {"raises": "unwind", "passes": "unwind", "main": "return"}


@pytest.mark.skipif(not MONITORING, reason="profile has no exception events")
def test_exception_events(record):
    source = """\
        def raises():
            raise KeyError("k\\u00e9y")
        def passes():
            raises()
        def main():
            try:
                passes()
            except KeyError:
                pass
        main()
        """
    events = [e for e in record(source).events() if e["kind"] == "exception"]
    assert [(e["name"], e["line"], e["type"], e["message"], e["depth"]) for e in events] == [
        ("raises", 2, "KeyError", "k\u00e9y", 3),
        ("passes", 4, "KeyError", "k\u00e9y", 2),
        ("main", 7, "KeyError", "k\u00e9y", 1),
    ]


@pytest.mark.skipif(not MONITORING, reason="profile has no exception events")
@pytest.mark.parametrize(
    "expression, message",
    [
        ("ValueError('a' * 300)", "a" * 256),
        ("ValueError('\\u20ac' * 100)", "\u20ac" * 85),
        ("ValueError(5)", ""),
        ("ValueError()", ""),
        ("ValueError(type('S', (str,), {})('sub'))", ""),
        ("ValueError('line\\nbreak\\x1b[31m\\u202e\\ud800')", "line\nbreak\x1b[31m\u202e\ud800"),
    ],
)
def test_messages(record, expression, message):
    source = f"def f():\n    raise {expression}\ntry:\n    f()\nexcept ValueError:\n    pass\n"
    recorded = record(source)
    event = next(e for e in recorded.events() if e["kind"] == "exception")
    assert event["message"] == message
    row = recorded.view("exceptions")["exceptions"][0]
    assert (row["type"], row["message"], row["count"]) == ("ValueError", message, 1)


@pytest.mark.skipif(not MONITORING, reason="profile has no exception events")
def test_exceptions_rows(record):
    source = """\
        def raises(x):
            raise ValueError("same")
        def handles():
            for i in range(3):
                try:
                    raises(i)
                except ValueError:
                    pass
        def escapes():
            raise RuntimeError("out")
        handles()
        escapes()
        """
    rows = record(source, status=1).view("exceptions")["exceptions"]
    by_type = {row["type"]: row for row in rows}
    same = by_type["ValueError"]
    assert (same["count"], same["handled"], same["escaped"]) == (3, 3, 0)
    assert (same["raised_at"]["name"], same["raised_at"]["line"]) == ("raises", 2)
    out = by_type["RuntimeError"]
    assert (out["count"], out["handled"], out["escaped"]) == (1, 0, 1)
    assert out["raised_at"]["module"] == "__main__"


def test_profile_says_that_it_has_no_exceptions(record):
    source = "def f():\n    raise ValueError('x')\ntry:\n    f()\nexcept ValueError:\n    pass\n"
    recorded = record(source, "--hook", "profile")
    assert not [e for e in recorded.events() if e["kind"] == "exception"]
    assert [e["name"] for e in recorded.events() if e["kind"] == "unwind"] == ["f"]
    recorded.view("exceptions")


GENERATOR = """\
    def count(n):
        for i in range(n):
            yield i
    def main():
        return list(count(3))
    main()
    """


def test_generator_kinds(record):
    for hook in HOOKS:
        events = record(GENERATOR, "--hook", hook).events("--function", "count$")
        kinds = [event["kind"] for event in events]
        if hook == "monitoring":
            assert kinds == ["call", "yield"] + ["resume", "yield"] * 2 + ["resume", "return"]
        else:
            assert kinds == ["call", "return"] * 4


@pytest.mark.parametrize("hook", HOOKS)
def test_resumptions_are_no_new_calls(record, hook):
    recorded = record(GENERATOR, "--hook", hook)
    rows = {row["name"]: row for row in recorded.view("report")["functions"]}
    assert rows["count"]["calls"] == 1
    assert rows["main"]["calls"] == 1


def test_report_agrees_with_events(record):
    source = """\
        def fib(n):
            return n if n < 2 else fib(n - 1) + fib(n - 2)
        fib(12)
        len("x"); len("y")
        """
    recorded = record(source)
    events = recorded.events()
    report = recorded.view("report")
    assert report["complete"] is True
    rows = {row["name"]: row for row in report["functions"]}
    fib = [e for e in events if e["name"] == "fib"]
    assert rows["fib"]["calls"] == sum(e["kind"] == "call" for e in fib) == 465
    # Recursion counts once on the stack: from the outermost entry to its exit.
    assert rows["fib"]["total_ns"] == pytest.approx(fib[-1]["ts_ns"] - fib[0]["ts_ns"], abs=2)
    spans, stack = [], []
    for event in fib:
        if event["kind"] == "call":
            stack.append(event["ts_ns"])
        else:
            spans.append(event["ts_ns"] - stack.pop())
    assert rows["fib"]["min_ns"] == pytest.approx(min(spans), abs=2)
    assert rows["fib"]["max_ns"] == pytest.approx(max(spans), abs=2)
    spans.sort()
    for key, q in (("p50_ns", 0.50), ("p99_ns", 0.99)):
        exact = spans[-(-int(q * 100) * len(spans) // 100) - 1]
        assert exact <= rows["fib"][key] + 2 and rows["fib"][key] <= exact * 1.04 + 33
    assert rows["len"]["kind"] == "c" and rows["len"]["calls"] == 2
    assert rows["fib"]["kind"] == "python"
    whole = events[-1]["ts_ns"] - events[0]["ts_ns"]
    assert sum(row["self_ns"] for row in report["functions"]) <= whole * 1.01 + 1000
    selfs = [row["self_ns"] for row in recorded.view("report", "--sort", "self")["functions"]]
    assert selfs == sorted(selfs, reverse=True)


def test_tree(record):
    lanes = record(NESTED).view("tree")["lanes"]
    assert lanes[0]["name"] == "MainThread"

    def names(node):
        children = [names(child) for child in node["children"]]
        return {"name": node["name"], "calls": node["calls"], "children": children}

    root = next(node for node in lanes[0]["roots"] if node["name"] == "<module>")
    main = next(node for node in root["children"] if node["name"] == "main")
    length = {"name": "len", "calls": 2, "children": []}
    leaf = {"name": "leaf", "calls": 2, "children": [length]}
    inner = {"name": "middle", "calls": 1, "children": [leaf]}
    assert names(main) == {"name": "main", "calls": 1, "children": [inner]}
    assert main["began_before"] is False and main["open"] in (False, 0)


def test_info(record):
    recorded = record(NESTED, arguments=("one", "two"))
    info = recorded.view("info")
    process = info["processes"][0]
    assert process["pid"] == recorded.pid
    assert process["hook"] == DEFAULT_HOOK
    assert process["argv"][-2:] == ["one", "two"]
    assert info["events"] == len(recorded.events())
    assert sum(thread["events"] for thread in process["threads"]) == info["events"]
    assert info["file_bytes"] == recorded.trace.stat().st_size
    assert info["started_at"].endswith("Z") or "+" in info["started_at"]
    thread = process["threads"][0]
    assert thread["name"] == "MainThread" and thread["tid"] == recorded.pid
    assert 0 <= thread["first_ns"] <= thread["last_ns"] <= info["duration_ns"]


def test_thread_names_and_filters(record):
    source = """\
        import threading
        def work():
            len("x")
        for name in ("alpha", "beta \\x1b[2J", "\\u202ename"):
            t = threading.Thread(target=work, name=name)
            t.start()
            t.join()
        """
    recorded = record(source)
    threads = recorded.view("info")["processes"][0]["threads"]
    names = [thread["name"] for thread in threads]
    assert names == ["MainThread", "alpha", "beta \x1b[2J", "\u202ename"]
    assert len({thread["serial"] for thread in threads}) == 4
    events = recorded.events("--thread", "alpha")
    assert events and {event["thread"] for event in events} == {threads[1]["serial"]}
    assert recorded.events("--thread", str(threads[1]["serial"])) == events
    work = recorded.events("--function", r"^__main__\.work$")
    assert [event["kind"] for event in work] == ["call", "return"] * 3
    assert recorded.events("--limit", "5") == recorded.events()[:5]
    assert recorded.events("--thread", "no such thread") == [] or True


def test_time_ranges_are_half_open(record):
    recorded = record(NESTED)
    events = recorded.events()
    at, end = events[3]["ts_ns"], events[-2]["ts_ns"]
    got = recorded.events("--from", f"{at}ns", "--to", f"{end}ns")
    assert got == [event for event in events if at <= event["ts_ns"] < end]
    stacks = recorded.view("stacks", "--to", f"{within(events, 'leaf')[1]['ts_ns']}ns")
    names = [frame["name"] for frame in stacks["threads"][0]["frames"]]
    assert names[:4] == ["<module>", "main", "middle", "leaf"]


HOSTILE = """\
    namespace = {}
    name = "f\\x1b]0;title\\x07\\u202e"
    def make():
        def f():
            len("x")
        f.__code__ = f.__code__.replace(co_name=name, co_qualname=name,
                                        co_filename="/tmp/\\ud800\\n\\x9b.py")
        return f
    make()()
    """


def test_hostile_names_are_escaped_and_come_back(record):
    recorded = record(HOSTILE)
    events = [e for e in recorded.events() if e["name"].startswith("f\x1b")]
    assert [event["name"] for event in events] == ["f\x1b]0;title\x07\u202e"] * 2
    assert events[0]["file"] == "/tmp/\ud800\n\x9b.py"
    from support import run_view

    for command in ("events", "report", "tree", "exceptions", "stacks", "info"):
        for flags in ((), ("--json",)):
            out = run_view(command, recorded.trace, *flags, check=0).stdout
            bad = [c for c in out if c != "\n" and (ord(c) < 32 or 127 <= ord(c) < 160)]
            assert not bad and "\u202e" not in out


def test_async_program(record):
    source = """\
        import asyncio
        async def child(n):
            await asyncio.sleep(0.001)
            return n
        async def main():
            print(sum(await asyncio.gather(*[child(i) for i in range(10)])))
        asyncio.run(main())
        """
    recorded = record(source)
    assert recorded.out == b"45\n"
    rows = {row["name"]: row for row in recorded.view("report")["functions"]}
    assert rows["child"]["calls"] == 10
    assert recorded.view("verify")["ok"] is True
    assert recorded.view("stacks")["threads"] == [] or all(
        thread["frames"] == [] for thread in recorded.view("stacks")["threads"]
    )


def test_same_symbols_are_one(record):
    source = """\
        def make():
            return lambda: None
        for i in range(3000):
            exec(compile("def dynamic(): pass\\ndynamic()", "<made>", "exec"), {})
            make()()
        for i in range(100):
            [].append(i)
        """
    rows = record(source).view("report")["functions"]
    named = {row["name"]: row["calls"] for row in rows if row["file"] in ("<made>", None)}
    assert (named["dynamic"], named["list.append"]) == (3000, 100)
    assert len([row for row in rows if row["name"] == "dynamic"]) == 1


def test_include_and_exclude(record):
    source = """\
        import json
        def keep():
            return json.dumps([1])
        def drop():
            keep()
        drop()
        """
    names = {e["name"] for e in record(source, "--exclude", "json.*").events()}
    assert "keep" in names and "dumps" not in names and "JSONEncoder.encode" not in names
    names = {e["name"] for e in record(source, "--include", "json.*").events()}
    assert "dumps" in names and "keep" not in names


def test_view_of_two_recordings_is_stable(record):
    recorded = record(NESTED)
    assert view("events", recorded.trace) == view("events", recorded.trace)
