"""How deep a program may recurse is as without us, but for what CPython itself does."""

import pytest
from support import MONITORING

DEEP = """\
import sys, functools
sys.setrecursionlimit(30_000)
def deco(f):
    @functools.wraps(f)
    def wrapper(*args, **kwargs):
        return f(*args, **kwargs)
    return wrapper
@deco
def down(n):
    return n if n == 0 else down(n - 1)
def reaches(n):
    try:
        down(n)
        return True
    except RecursionError:
        return False
print(reaches(12_000))
"""


@pytest.mark.skipif(not MONITORING, reason="3.11 counts calls between C and Python anyway")
@pytest.mark.parametrize("hook", ["monitoring", "trace"])
def test_without_c_calls_nothing_is_lost(record, hook):
    native = record.native(DEEP)
    flags = ["--no-c-calls"] if hook == "monitoring" else []
    recorded = record(DEEP, "--hook", hook, *flags)
    assert recorded.out == native.stdout == b"True\n"
