"""Some of CPython's own tests, recorded: the same ones pass. `suite.py` runs more of them."""

import importlib.util
import sys

import pytest
import suite

MODULES = ["test_generators", "test_contextlib", "test_functools"]


@pytest.mark.parametrize("module", MODULES)
def test_passes_where_it_passes_without(module):
    if importlib.util.find_spec(f"test.{module}") is None:
        pytest.skip("this interpreter has no test package")
    found = suite.Comparison(module, "auto")
    assert found.count > 20
    assert not found.ours + found.listed + found.cpythons
    assert found.problem is None


def test_what_differs_under_any_tool_is_told_apart():
    if importlib.util.find_spec("test.test_sys_setprofile") is None:
        pytest.skip("this interpreter has no test package")
    found = suite.Comparison("test_sys_setprofile", "auto")
    assert not found.ours + found.listed
    names = [name.rpartition(":")[2] for name, _, _ in found.cpythons]
    if sys.version_info >= (3, 13):
        assert names == ["test_method_with_c_function"]
