"""What the generated programs share: a little of each thing that Python can do."""

import asyncio
import collections
import contextlib
import copy
import functools
import json
import operator
import re
import sys
import threading
import types
import weakref

# How many entries of units are left to a program: what keeps it from growing without end.
FUEL = threading.local()


class Empty(Exception):
    pass


class Odd(Exception):
    """Raises where somebody looks at it."""

    def __init__(self):
        super().__init__("odd")

    def __str__(self):
        return add(1, 2) and "odd"


def burn():
    FUEL.left -= 1
    if FUEL.left < 0:
        raise Empty("no fuel")


def key(x=0):
    return -x if isinstance(x, int) else 0


def add(a, b):
    return a


def many(a, *rest, k=1, **more):
    return a


def replace(match):
    return match.group(0).upper()


def gone(reference):
    key(1)


def boom(x=None):
    raise ValueError("boom")


def deep_boom(n):
    if n:
        return deep_boom(n - 1)
    try:
        boom()
    finally:
        key()


def raising_key():
    return sorted([3, 2, 1], key=lambda x: {}[x])


def raise_from(x):
    try:
        boom(x)
    except ValueError as error:
        raise KeyError("from") from error


@functools.cache
def cached(x):
    return key(x)


@functools.singledispatch
def single(x):
    return key(1)


@single.register
def _(x: str):
    return x


def decorate(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def decorate_with(x):
    return lambda function: decorate(function)


class Meta(type):
    def __new__(cls, name, bases, space):
        return super().__new__(cls, name, bases, space)

    def __call__(cls, *args):
        return super().__call__(*args)

    def __instancecheck__(cls, other):
        return key(0) == 0


class Plugin:
    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        key(3)


class Field:
    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, instance, owner):
        return key(2)

    def __set__(self, instance, value):
        if value == "bad":
            raise ValueError(value)


class Base:
    def half(self, by):
        return self.value // by


@functools.total_ordering
class Number(Base):
    field = Field()

    def __init__(self, value):
        self.value = value if isinstance(value, int) else 1

    def __add__(self, other):
        if not isinstance(other, Number):
            return NotImplemented
        return Number(self.value + other.value)

    def __radd__(self, other):
        return self

    def __lt__(self, other):
        return self.value < other.value

    def __eq__(self, other):
        return isinstance(other, Number) and self.value == other.value

    def __hash__(self):
        return hash(self.value)

    def __getitem__(self, index):
        if index == "a":
            raise KeyError(index)
        if index > 3:
            raise IndexError(index)
        return index

    def __call__(self, x):
        return key(x)

    def __len__(self):
        return abs(self.value) % 5

    def __bool__(self):
        return self.value > 1

    def __str__(self):
        return str(self.value)

    def __repr__(self):
        return f"Number({self.value})"

    def __iter__(self):
        for i in range(3):
            yield i

    def __contains__(self, x):
        return key(x) == 0

    def __getattr__(self, name):
        if name.startswith("__") or name == "bad":
            raise AttributeError(name)
        return key(len(name))

    @property
    def twice(self):
        return add(self.value, 2)

    @twice.setter
    def twice(self, value):
        self.value = key(value)

    @twice.deleter
    def twice(self):
        self.value = 0

    @classmethod
    def made(cls, *args):
        return cls(*args)

    @staticmethod
    def free(x):
        return key(x)

    def half(self, by):
        return super().half(by)


class Finalized:
    def __init__(self, x):
        self.x = x

    def __del__(self):
        key(self.x)


class Sub(dict):
    def __init__(self, *args):
        super().__init__(*args)
        dict.update(self, b=2)


def super_call(x):
    made = Number(x)
    made.twice = 3
    del made.twice
    made.field = 4
    return Sub({"a": x}), made.field


class Manager:
    def __init__(self, x):
        self.swallow = x

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        return self.swallow


@contextlib.contextmanager
def managed(x):
    key(x)
    try:
        yield x
    except KeyError:
        key(2)
    finally:
        key(1)


def first(generator):
    for value in generator:
        return value


def poke(generator, how):
    """Drives a generator in one of several unusual ways."""
    try:
        next(generator)
        if how == 0:
            generator.send(how)
            generator.close()
        elif how == 1:
            generator.throw(ValueError("poked"))
            next(generator)
        elif how == 2:
            generator.throw(GeneratorExit)
        elif how == 3:
            generator.close()
            generator.close()
            next(generator)
        elif how == 4:
            generator.send(1)
            generator.throw(KeyError("poked"))
        else:
            del generator
    except StopIteration as stop:
        return stop.value


def throw_early(generator):
    with contextlib.suppress(ValueError):
        generator.throw(ValueError("early"))
    return next(generator, None)


def close_late(generator):
    generator.close()
    return list(generator)


class Wait:
    def __init__(self, x):
        self.x = x

    def __await__(self):
        got = yield None
        if self.x == 3:
            raise ValueError("waited")
        return got


def drive(coroutine):
    value = None
    for _ in range(50):
        try:
            coroutine.send(value)
            value = 1
        except StopIteration as stop:
            return stop.value
    coroutine.close()


def abandon(coroutine):
    with contextlib.suppress(StopIteration):
        coroutine.send(None)
    coroutine.close()


def interrupt(coroutine):
    with contextlib.suppress(StopIteration, ValueError):
        coroutine.send(None)
        coroutine.throw(ValueError("interrupted"))
    coroutine.close()


async def gathered(coroutine):
    return await coroutine


async def collect(generator):
    return [value async for value in generator]


async def close_async(generator):
    async for _ in generator:
        break
    await generator.aclose()


async def throw_async(generator):
    await generator.asend(None)
    await generator.athrow(ValueError("thrown"))


async def guarded(coroutine):
    # What is left over would be cancelled in the order of a set, which is that of addresses.
    try:
        return await coroutine
    except BaseException:
        return None


async def together(*coroutines):
    return await asyncio.gather(*map(guarded, coroutines))


def run_loop(*coroutines):
    return asyncio.run(together(*coroutines))


def warm():
    """What is done once only, done before anything is compared."""
    re.sub("a", replace, "a")
    json.dumps({"a": [1]})
    run_loop(gathered(Wait(1)))
    with contextlib.ExitStack():
        pass
    copy.copy(Number(1))
    single(1), single("a"), single(None)
    thread = threading.Thread(target=key)
    thread.start()
    thread.join()
    "{0.twice}".format(Number(1))


NAMES = (collections, operator, sys, types, weakref)
