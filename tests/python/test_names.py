"""Names of callables without Python code: right for every object, whatever its address."""

import pytest
from support import HOOKS, MONITORING, within


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
