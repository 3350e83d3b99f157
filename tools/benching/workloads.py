"""What is run: functions of no argument, made by name in the process that is measured."""


def fib():
    def fib(n):
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    return lambda: fib(24)


def builtins():
    def work():
        for n in range(150_000):
            abs(n)
            len("abc")

    return work


def mixed():
    import json
    import re
    from dataclasses import dataclass

    @dataclass(order=True)
    class Point:
        x: int
        y: int

    words = re.compile(r"\w+")

    def work():
        for n in range(60):
            points = sorted(Point(k % 17, k % 5) for k in range(150))
            text = json.dumps([{"x": p.x, "y": p.y, "text": "some words here"} for p in points])
            for row in json.loads(text):
                words.findall(row["text"])

    return work


def objects():
    class Node:
        def __init__(self, value):
            self.value = value

        def add(self, other):
            return Node(self.value + other.value)

        @property
        def double(self):
            return self.value * 2

    def work():
        node = Node(1)
        for _ in range(60_000):
            node = node.add(Node(1))
            node.double  # noqa: B018

    return work


def exceptions():
    def fails(n):
        if n % 2:
            raise KeyError(n)
        return n

    def work():
        for n in range(80_000):
            try:
                fails(n)
            except KeyError:
                pass

    return work


def generators():
    def numbers(n):
        for k in range(n):
            yield k

    def through(source):
        for k in source:
            yield k + 1

    return lambda: [sum(through(numbers(200))) for _ in range(300)]


def threads():
    from threading import Thread

    one = fib()

    def work():
        running = [Thread(target=one) for _ in range(3)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()

    return work


def asyncio():
    import asyncio

    async def step(n):
        await asyncio.sleep(0)
        return n

    async def main():
        for _ in range(40):
            await asyncio.gather(*(step(n) for n in range(60)))

    return lambda: asyncio.run(main())


def stdlib():
    """tokenize and ast over the standard library."""
    import ast
    import io
    import os
    import tokenize
    from pathlib import Path

    texts = [path.read_text("utf-8") for path in sorted(Path(os.__file__).parent.glob("*.py"))]
    texts = [text for text in texts if len(text) < 12_000][:12]

    def work():
        for text in texts:
            ast.unparse(ast.parse(text))
            for _ in tokenize.generate_tokens(io.StringIO(text).readline):
                pass

    return work


def _pyperformance(name):
    import importlib.util
    import sys
    from pathlib import Path

    import pyperformance

    folder = Path(pyperformance.__file__).parent / "data-files" / "benchmarks" / f"bm_{name}"
    sys.path.insert(0, str(folder))
    spec = importlib.util.spec_from_file_location(f"bm_{name}", folder / "run_benchmark.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def richards():
    module = _pyperformance("richards")
    return lambda: module.Richards().run(4)


def deltablue():
    module = _pyperformance("deltablue")
    return lambda: module.delta_blue(2000)


def raytrace():
    module = _pyperformance("raytrace")
    return lambda: module.bench_raytrace(1, 60, 60, None)


def nothing():
    return lambda: None


def ten_million():
    """Ten million events of Python functions."""
    one = fib()

    def work():
        for _ in range(34):
            one()

    return work


def fib_once():
    return fib()


def mixed_once():
    return mixed()


# Run once, without a round before.
SPECIAL = {
    "nothing": nothing,
    "ten_million": ten_million,
    "fib_once": fib_once,
    "mixed_once": mixed_once,
}

ALL = {
    made.__name__: made
    for made in (
        fib,
        builtins,
        mixed,
        objects,
        exceptions,
        generators,
        threads,
        asyncio,
        stdlib,
        richards,
        deltablue,
        raytrace,
    )
}

BUDGET = ["fib", "stdlib", "mixed", "asyncio", "threads"]
