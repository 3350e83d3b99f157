"""Events against CPython's own callbacks on the same program, one by one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support import HOOKS, environment

# Each program defines main(); what happens inside it is compared. Imports stand
# outside, because what an import executes depends on what was imported before.
PROGRAMS = {
    "calls": """
        class Point:
            def __init__(self, x):
                self.x = x
            def moved(self, by):
                return Point(self.x + by)
            @property
            def double(self):
                return self.x * 2
            @classmethod
            def make(cls, *args, **kwargs):
                return cls(*args, **kwargs)
            @staticmethod
            def free():
                return (lambda: 3)()
        def main():
            p = Point(1).moved(2)
            q = Point.make(x=3)
            return p.double + q.double + Point.free() + sum(i for i in range(3))
        """,
    "builtins": """
        import functools, operator, collections
        def key(x):
            return -x
        def main():
            items = sorted([3, 1, 2], key=key)
            items.append(len(items))
            list.append(items, 9)
            text = "a,b".split(",")
            numbers = list(map(key, items))
            total = functools.reduce(operator.add, numbers)
            d = dict(a=1)
            d.update(b=2)
            class Sub(dict):
                def __init__(self, *args):
                    super().__init__(*args)
            counter = Sub(a=1) if False else Sub({"b": 2})
            queue = collections.deque([1, 2])
            queue.rotate(1)
            (5).__add__(6)
            int.__add__(5, 6)
            type("Made", (), {})()
            part = functools.partial(max, 3)(5)
            return isinstance(total, int), int("3"), str(total), print, text, counter, part
        """,
    "exceptions": """
        def boom(n):
            if n == 0:
                raise ValueError("boom")
            return boom(n - 1)
        def reraised():
            try:
                boom(1)
            except ValueError:
                raise
        def cleaned():
            try:
                boom(0)
            finally:
                len("cleanup")
        def main():
            for function in (reraised, cleaned):
                try:
                    function()
                except ValueError:
                    pass
            try:
                int("no")
            except ValueError:
                pass
            try:
                {}["missing"]
            except KeyError:
                pass
            return next(iter([]), None)
        """,
    "generators": """
        def count(n):
            try:
                for i in range(n):
                    got = yield i
            except KeyError:
                yield "thrown"
        def outer():
            got = yield from count(2)
            return got
        def main():
            list(count(3))
            g = count(5)
            next(g)
            g.send("x")
            g.throw(KeyError)
            for _ in g:
                pass
            list(outer())
            h = count(9)
            next(h)
            h.close()
            return sum(x * 2 for x in range(4))
        """,
    "coroutines": """
        class Wait:
            def __await__(self):
                got = yield "waiting"
                return got
        async def inner(n):
            return await Wait() + n
        async def outer():
            total = 0
            for i in range(2):
                total += await inner(i)
            return total
        async def numbers():
            for i in range(2):
                yield i
        async def consume():
            return [x async for x in numbers()]
        def drive(coroutine):
            value = None
            try:
                while True:
                    coroutine.send(value)
                    value = 1
            except StopIteration as stop:
                return stop.value
        def main():
            return drive(outer()), drive(consume())
        """,
    "threads": """
        import threading
        def fib(n):
            return n if n < 2 else fib(n - 1) + fib(n - 2)
        def worker(n):
            return fib(n)
        def main():
            threads = [threading.Thread(target=worker, args=(5 + i,), name=f"w{i}")
                       for i in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        """,
}


def oracle(record, hook, program):
    path = record.script(program)
    log = record.folder / "oracle.json"
    command = [
        sys.executable,
        str(Path(__file__).with_name("oracle.py")),
        hook,
        str(path),
        str(log),
    ]
    subprocess.run(command, check=True, env=environment(), cwd=record.folder)
    return [tuple(entry) for entry in json.loads(log.read_text())]


def between(entries, name):
    """(kind, name) from the entry of function `name` to its exit."""
    out, open_calls = [], 0
    for kind, found in entries:
        if not out and (kind, found) != ("call", name):
            continue
        out.append((kind, found))
        if found == name:
            if kind == "call":
                open_calls += 1
            elif kind in ("return", "unwind"):
                open_calls -= 1
                if open_calls == 0:
                    return out
    raise AssertionError(f"{name} never ended: {out[-3:]}")


def as_the_hook_says(hook, kind):
    """setprofile has one word for leaving a frame, whatever the reason."""
    return "return" if hook == "profile" and kind == "unwind" else kind


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "threads"])
def test_one_thread(record, hook, name):
    program = PROGRAMS[name].replace("\n        ", "\n") + "\nmain()\n"
    expected = between([entry[1:] for entry in oracle(record, hook, program)], "main")
    recorded = record(program, "--hook", hook)
    assert recorded.view("info")["lost_events"] == 0
    events = recorded.events()
    got = [(as_the_hook_says(hook, e["kind"]), e["name"]) for e in events]
    assert between(got, "main") == expected


@pytest.mark.parametrize("hook", HOOKS)
def test_several_threads(record, hook):
    program = PROGRAMS["threads"].replace("\n        ", "\n") + "\nmain()\n"
    log = oracle(record, hook, program)
    recorded = record(program, "--hook", hook)
    for name in ("w0", "w1", "w2"):
        expected = between([entry[1:] for entry in log if entry[0] == name], "worker")
        events = recorded.events("--thread", name)
        got = [(as_the_hook_says(hook, e["kind"]), e["name"]) for e in events]
        assert between(got, "worker") == expected


@pytest.mark.parametrize("hook", HOOKS)
def test_without_c_calls(record, hook):
    program = PROGRAMS["builtins"].replace("\n        ", "\n") + "\nmain()\n"
    expected = between([entry[1:] for entry in oracle(record, hook, program)], "main")
    recorded = record(program, "--hook", hook, "--no-c-calls")
    got = [(as_the_hook_says(hook, e["kind"]), e["name"]) for e in recorded.events()]
    assert between(got, "main") == [entry for entry in expected if not entry[0].startswith("c_")]
