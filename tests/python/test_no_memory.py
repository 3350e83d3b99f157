"""Where an allocation fails in our code: no error of it, nothing printed, no half name."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest
from support import ALL_HOOKS

BYSTANDER = str(Path(__file__).with_name("bystander.py"))

if importlib.util.find_spec("_testcapi") is None:
    pytest.skip("this interpreter cannot let allocations fail", allow_module_level=True)

FUNCTIONS = """\
import sys
from _testcapi import remove_mem_hooks, set_nomemory
space = {"__name__": "made"}
for n in range(120):
    exec(f"def f_{n}(x):\\n    return x.bit_length()", space)
    exec(f"class C_{n}(list):\\n    pass", space)
made = [(space[f"f_{n}"], space[f"C_{n}"]()) for n in range(120)]
def fail(n, function, value):
    set_nomemory(n, n + 1)
    try:
        function(value)
    except (MemoryError, SystemError):
        pass  # The latter of CPython, where it cannot make a frame object for any profile function.
    finally:
        remove_mem_hooks()
for n, (function, one) in enumerate(made):
    fail(n % 40, function, 1)
    fail(n % 40, one.append, 1)
for function, one in made:
    function(1)
    one.append(1)
print("ran on")
"""


@pytest.mark.parametrize("hook", ALL_HOOKS)
def test_one_allocation_fails(record, hook):
    beside = record.native((BYSTANDER, hook, str(record.script(FUNCTIONS))))
    if beside.returncode < 0:
        pytest.skip("CPython crashes beside a tool that does nothing (3.15)")
    recorded = record(FUNCTIONS, "--hook", hook)
    assert recorded.out == b"ran on\n"
    (line,) = recorded.err.decode().splitlines()
    assert line.startswith("rtrace: the trace is ")
    assert recorded.view("verify")["ok"]
    if sys.version_info < (3, 12):
        return  # On 3.11 no event arrives any more after such a failure.
    events = recorded.events()
    functions = [e for e in events if e["module"] == "made"]
    assert all(re.fullmatch(r"[fC]_\d+", e["name"]) for e in functions if e["name"] != "<module>")
    calls = [e["name"] for e in functions if e["kind"] == "call" and e["name"].startswith("f_")]
    assert calls[-120:] == [f"f_{n}" for n in range(120)]
    assert not [e for e in events if "name" in e and e["name"] == ""]
    # What was dropped is told.
    if len(calls) < 240:
        assert not recorded.view("report")["complete"]
