"""Some of CPython's own tests, recorded: the same ones pass. `suite.py` runs more of them."""

import importlib.util

import pytest
import suite

MODULES = ["test_generators", "test_contextlib", "test_functools"]


@pytest.mark.parametrize("module", MODULES)
def test_passes_where_it_passes_without(module):
    if importlib.util.find_spec(f"test.{module}") is None:
        pytest.skip("this interpreter has no test package")
    different, count, problem = suite.compare(module, "auto")
    assert count > 20
    assert not different
    assert problem is None
