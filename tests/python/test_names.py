"""Names of callables without Python code: right for every object, whatever its address."""

import os
import sys

import pytest
from support import HOOKS, MONITORING, ROOT, within

sys.path.insert(0, str(ROOT / "tools"))

from rtrace_py import open_trace, zstd  # noqa: E402


@pytest.mark.parametrize("hook", HOOKS)
def test_bound_methods_of_c_types(record, hook):
    source = """\
        import re
        pattern = re.compile("a")
        def f():
            first, second, third = pattern.match, pattern.search, pattern.fullmatch
            first("a"); second("a"); third("a"); [].append(1); dict.fromkeys("ab")
        f()
        """
    recorded = record(source, "--hook", hook)
    calls = [e["name"] for e in within(recorded.events(), "f") if e["kind"] == "c_call"]
    expected = ["Pattern.match", "Pattern.search", "Pattern.fullmatch", "list.append"]
    assert calls == [*expected, "dict.fromkeys"]


@pytest.mark.skipif(not MONITORING, reason="the profile hook does not see these")
def test_slot_wrappers_bound_to_an_object(record):
    source = """\
        def f():
            (3).__add__(1); [].__len__(); "a".__eq__("b")
        f()
        """
    recorded = record(source)
    calls = [e["name"] for e in within(recorded.events(), "f") if e["kind"] == "c_call"]
    assert calls == ["int.__add__", "list.__len__", "str.__eq__"]


@pytest.mark.skipif(not MONITORING, reason="the profile hook does not see these")
def test_classes_that_take_the_place_of_others(record):
    source = """\
        import gc
        def ff():
            class C: pass
            C()
        def gg():
            class C: pass
            C()
        for _ in range(10):
            ff(); gc.collect(); gg(); gc.collect()
        """
    events = record(source).events()
    for outer in ("ff", "gg"):
        names = {e["name"] for e in within(events, outer) if e["kind"] == "c_call"}
        assert names == {"__build_class__", f"{outer}.<locals>.C"}


def c_calls(events, outer):
    return [e["name"] for e in within(events, outer) if e["kind"] == "c_call"]


@pytest.mark.skipif(not MONITORING, reason="the profile hook does not see types")
def test_classes_made_at_run_time_at_the_same_address(record):
    source = """\
        import gc
        def f():
            for n in range(200):
                made = type(f"Made{n}", (), {"__module__": f"module{n}"})
                made()
                del made
                gc.collect()
        f()
        """
    events = within(record(source).events(), "f")
    made = [(e["module"], e["name"]) for e in events if e["kind"] == "c_call"]
    made = [pair for pair in made if pair[1].startswith("Made")]
    assert made == [(f"module{n}", f"Made{n}") for n in range(200)]


@pytest.mark.skipif(not MONITORING, reason="the profile hook does not see types")
def test_one_class_body_in_many_modules(record):
    source = """\
        import gc
        code = compile("class Same: pass", "<made>", "exec")
        def f():
            for n in range(100):
                space = {"__name__": f"module{n}"}
                exec(code, space)
                space.pop("Same")()
                gc.collect()
        f()
        """
    events = within(record(source).events(), "f")
    made = [e["module"] for e in events if e["kind"] == "c_call" and e["name"] == "Same"]
    assert made == [f"module{n}" for n in range(100)]


@pytest.mark.skipif(not MONITORING, reason="the profile hook does not see types")
def test_a_class_that_is_renamed(record):
    source = """\
        class Old:
            count = 0
        def f():
            Old(); Old.count += 1; Old()
            Old.__qualname__ = "New"
            Old()
            Old.__module__ = "elsewhere"
            Old()
        f()
        """
    events = within(record(source).events(), "f")
    made = [(e["module"], e["name"]) for e in events if e["kind"] == "c_call"]
    assert made == [("__main__", "Old")] * 2 + [("__main__", "New"), ("elsewhere", "New")]


@pytest.mark.parametrize("hook", HOOKS)
def test_inherited_c_methods_of_classes_that_die(record, hook):
    """Named where they are defined, whatever class they are called on."""
    source = """\
        import gc
        class Base:
            def __init_subclass__(cls):
                super().__init_subclass__()
        def f():
            for n in range(20):
                made = type(f"List{n}", (list, Base), {})
                bound = made().append
                bound(1)
                del made, bound
                gc.collect()
        f()
        """
    names = c_calls(record(source, "--hook", hook).events(), "f")
    assert names.count("list.append") == 20
    assert names.count("object.__init_subclass__") == 20
    assert not [name for name in names if name.startswith("List") and "." in name]


@pytest.mark.parametrize("hook", HOOKS)
def test_c_functions_freed_and_made_again(record, hook):
    """A binding that allocates its definitions: the same memory is another function."""
    source = """\
        import ctypes
        class Definition(ctypes.Structure):
            _fields_ = [("name", ctypes.c_char_p), ("call", ctypes.c_void_p),
                        ("flags", ctypes.c_int), ("doc", ctypes.c_char_p)]
        api = ctypes.pythonapi
        call = ctypes.cast(api.PyObject_Repr, ctypes.c_void_p)
        api.PyCFunction_NewEx.restype = ctypes.py_object
        api.PyCFunction_NewEx.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.py_object]
        text = ctypes.create_string_buffer(16)
        definition = Definition(None, call, 8, None)
        ctypes.c_void_p.from_buffer(definition).value = ctypes.addressof(text)
        def f():
            for n in range(50):
                text.value = b"made%d" % n
                api.PyCFunction_NewEx(ctypes.addressof(definition), 3, f"binding{n % 2}")(n)
                # Bound to an int, it is named by its type; to nothing, by its module.
        f()
        """
    recorded = record(source, "--hook", hook)
    names = [name for name in c_calls(recorded.events(), "f") if "made" in name]
    assert names == [f"int.made{n}" for n in range(50)]


@pytest.mark.parametrize("hook", HOOKS)
def test_code_that_dies_and_whose_address_is_used_again(record, hook):
    source = """\
        def f():
            for n in range(300):
                space = {"__name__": f"module{n}"}
                exec(f"def made{n}(): pass", space)
                space[f"made{n}"]()
                eval(f"lambda: {n}", space)()
        f()
        """
    events = within(record(source, "--hook", hook).events(), "f")
    made = [(e["module"], e["name"]) for e in events if e["kind"] == "call"]
    made = [pair for pair in made if pair[1].startswith("made")]
    assert made == [(f"module{n}", f"made{n}") for n in range(300)]


@pytest.mark.parametrize("hook", HOOKS)
def test_replaced_code_and_reloaded_modules(record, hook):
    source = """\
        import importlib, pathlib, sys, types
        sys.path.insert(0, ".")
        def write(lines):
            pathlib.Path("reloaded.py").write_text("\\n" * lines + "def inner(): pass\\n")
        def g(): pass
        def f():
            g.__code__ = g.__code__.replace(co_name="h", co_qualname="x.h", co_firstlineno=77)
            g()
            write(1)
            import reloaded
            reloaded.inner()
            write(5)
            importlib.reload(reloaded).inner()
        f()
        """
    events = within(record(source, "--hook", hook).events(), "f")
    calls = [(e["name"], e["line"]) for e in events if e["kind"] == "call"]
    assert ("x.h", 77) in calls
    assert [line for name, line in calls if name == "inner"] == [2, 6]


@pytest.mark.parametrize("hook", HOOKS)
def test_strange_file_names(record, hook):
    """Surrogates, control characters and 100,000 characters: kept, or cut at the bound."""
    source = r"""
        def f():
            for n, name in enumerate(["a\udc80b.py", "\x1b[31m\u202e", "x" * 100_000, ""]):
                space = {}
                exec(compile(f"def n{n}(): pass", name, "exec"), space)
                space[f"n{n}"]()
        f()
        """
    recorded = record(source, "--hook", hook)
    assert recorded.view("verify")["ok"]
    events = within(recorded.events(), "f")
    files = [e["file"] for e in events if e["kind"] == "call" and e["name"].startswith("n")]
    assert files[:3] == ["a\udc80b.py", "\x1b[31m\u202e", "x" * 16384]
    assert not files[3]


def test_reading_a_name_runs_no_code(record):
    """Whatever a class computes about itself is not asked for."""
    source = """\
        LOG = []
        class Text(str):
            def __str__(self): LOG.append("str"); return "wrong"
            def encode(self, *a): LOG.append("encode"); return b"wrong"
            def __eq__(self, other): LOG.append("eq"); return True
            def __hash__(self): LOG.append("hash"); return 1
        class Meta(type):
            def __getattribute__(cls, name):
                LOG.append(name)
                raise RuntimeError(name)
            def __repr__(cls): LOG.append("repr"); return "wrong"
        class Plain(metaclass=Meta):
            pass
        class Odd(Exception, metaclass=Meta):
            def __str__(self): LOG.append("str"); return "wrong"
            def __getattribute__(self, name): LOG.append(name); raise RuntimeError(name)
        class Renamed:
            pass
        Renamed.__module__ = Text("module")
        Renamed.__qualname__ = Text("Name")
        class Called:
            def __call__(self): pass
            def __getattribute__(self, name): LOG.append(name); raise RuntimeError(name)
        def f():
            Plain(); Renamed(); Called()()
            try:
                raise Odd("text")
            except Odd:
                pass
        LOG.clear()
        f()
        print(LOG)
        """
    recorded = record(source)
    assert recorded.out == record.native(source).stdout
    if MONITORING:
        names = c_calls(recorded.events(), "f")
        assert {"Plain", "Name", "Called"} <= set(names)
        assert recorded.view("exceptions")["exceptions"][0]["message"] == "text"


@pytest.mark.parametrize("hook", HOOKS)
def test_100_000_functions(record, hook):
    source = """\
        N = 100_000
        def f():
            for start in range(0, N, 1000):
                space = {"__name__": "many"}
                exec("\\n".join(f"def n{i}(): pass" for i in range(start, start + 1000)), space)
                for i in range(start, start + 1000):
                    space[f"n{i}"]()
        f()
        """
    recorded = record(source, "--hook", hook, "--no-c-calls")
    rows = recorded.view("report", "--function", r"\.n\d+$", "--limit", "200000")["functions"]
    assert sorted(int(row["name"][1:]) for row in rows) == list(range(100_000))
    assert {row["calls"] for row in rows} == {1}
    assert recorded.view("info")["lost_events"] == 0


@pytest.mark.skipif(not zstd.available(), reason=zstd.MISSING)
def test_symbols_carry_the_last_line_and_the_file_as_it_was(record):
    source = """\
        def outer():
            def inner():
                return [
                    1,
                    2]
            return inner
        outer()(); (lambda: 1)()
        """
    recorded = record(source)
    program = recorded.folder / "program.py"
    symbols = open_trace(recorded.trace).file.symbols.values()
    found = {s.qualname.decode(): s for s in symbols if s.file == os.fsencode(program)}
    lines = {name: (s.first_line, s.last_line) for name, s in found.items()}
    assert lines["outer"] == (1, 6)
    assert lines["outer.<locals>.inner"] == (2, 5)
    assert lines["<module>"] == (1, 7) or lines["<module>"] == (0, 7)
    about = program.stat()
    assert {s.source_size for s in found.values()} == {about.st_size}
    assert {s.source_mtime for s in found.values()} == {about.st_mtime_ns}


@pytest.mark.parametrize("hook", HOOKS)
def test_a_class_may_have_the_name_of_any_type(record, hook):
    source = """\
        class Base:
            __slots__ = ("a", "b", "c")
            def __call__(self):
                return 1
        Named = type("method-wrapper", (Base,), {"__slots__": ()})
        named = Named()
        named.a, named.b = 1234567, 3
        def f():
            return named()
        print(f())
        """
    recorded = record(source, "--hook", hook)
    assert recorded.out == b"1\n"
    assert recorded.view("verify")["ok"] is True
