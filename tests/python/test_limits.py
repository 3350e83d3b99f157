"""The recursion limit, and recursion without one: the program finds what it finds without us."""

import pytest
from support import HOOKS

COUNT = """\
    import sys
    def down():
        global depth
        depth += 1
        down()
    for limit in (None, 100, 5000):
        if limit:
            sys.setrecursionlimit(limit)
        depth = 0
        try:
            down()
        except RecursionError as error:
            print(depth, error)
    """


@pytest.mark.parametrize("hook", HOOKS)
def test_recursion_error_at_the_same_depth(record, hook):
    recorded = record(COUNT, "--hook", hook)
    assert recorded.out == record.native(COUNT).stdout
    depth = max(int(line.split()[0]) for line in recorded.out.splitlines())
    rows = recorded.view("report", "--function", "^__main__.down$")["functions"]
    assert rows[0]["calls"] > depth
    unwinds = [e for e in recorded.events("--function", "^__main__.down$") if e["kind"] == "unwind"]
    assert len(unwinds) == rows[0]["calls"]


@pytest.mark.parametrize("hook", HOOKS)
def test_100_000_levels(record, hook):
    source = """\
        import sys, threading
        sys.setrecursionlimit(200_000)
        threading.stack_size(512 << 20)
        def down(n):
            return n and down(n - 1)
        thread = threading.Thread(target=down, args=(100_000,))
        thread.start()
        thread.join()
        print("done")
        """
    recorded = record(source, "--hook", hook)
    assert recorded.out == b"done\n"
    rows = recorded.view("report", "--function", "^__main__.down$")["functions"]
    assert rows[0]["calls"] == 100_001
    assert recorded.view("info")["lost_events"] == 0
    assert recorded.view("verify")["ok"]
