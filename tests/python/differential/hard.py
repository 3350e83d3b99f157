"""Cases that a random program would hardly find, each with what makes it hard."""

import textwrap


class Case:
    """As a generated program: `main_<name>` is what is compared."""

    def __init__(self, name, source):
        self.seed = name
        self.name = f"main_{name}"
        self.threads = ()
        self.source = "from prelude import *\n" + textwrap.dedent(source)


SOURCES = {
    "throw_unstarted": """
        def gen():
            yield 1
        def main_throw_unstarted():
            g = gen()
            try:
                g.throw(ValueError("early"))
            except ValueError:
                pass
            list(g)
        """,
    "close_suspended": """
        def gen():
            yield 1
        def main_close_suspended():
            g = gen()
            next(g)
            g.close()
        """,
    "close_in_try": """
        def gen():
            try:
                yield 1
            finally:
                key(1)
        def main_close_in_try():
            g = gen()
            next(g)
            g.close()
            h = gen()
            next(h)
            del h
        """,
    "close_with_return": """
        def gen():
            try:
                yield 1
            except GeneratorExit:
                return 5
        def refuses():
            try:
                yield 1
            except GeneratorExit:
                yield 2
        def main_close_with_return():
            for make in (gen, refuses):
                g = make()
                next(g)
                try:
                    g.close()
                except RuntimeError:
                    pass
                del g
        """,
    "deleted_unstarted": """
        def gen():
            yield 1
        def main_deleted_unstarted():
            g = gen()
            del g
            h = gen()
            h.close()
        """,
    "delegation": """
        def leaf():
            try:
                got = yield 1
            except KeyError:
                got = yield 2
            return got
        def middle():
            return (yield from leaf())
        def outer():
            yield from middle()
            yield from [1, 2]
            yield from map(key, [1])
        def main_delegation():
            g = outer()
            next(g)
            g.throw(KeyError("deep"))
            list(g)
            g = outer()
            next(g)
            g.close()
        """,
    "await_chain": """
        async def leaf(n):
            await Wait(n)
            return n
        async def middle(n):
            return await leaf(n) + await leaf(n)
        async def outer():
            try:
                await middle(3)
            except ValueError:
                return await middle(1)
        def main_await_chain():
            drive(outer())
            c = outer()
            c.send(None)
            try:
                c.throw(ValueError("into"))
            except (ValueError, StopIteration):
                pass
            c.close()
            d = outer()
            d.close()
        """,
    "async_generators": """
        async def numbers():
            try:
                for i in range(3):
                    await Wait(i)
                    got = yield i
            except ValueError:
                yield "caught"
            finally:
                await Wait(0)
        async def use():
            async for n in numbers():
                if n:
                    break
            g = numbers()
            await g.asend(None)
            await g.athrow(ValueError("into"))
            await g.aclose()
            h = numbers()
            await h.aclose()
            return [n async for n in numbers() if n]
        def main_async_generators():
            drive(use())
        """,
    "stop_iteration_escapes": """
        def gen():
            yield 1
            next(iter([]))
        def main_stop_iteration_escapes():
            try:
                list(gen())
            except RuntimeError:
                pass
            def plain():
                return next(iter([]))
            list(map(lambda x: x, (plain() for _ in range(0))))
            try:
                sum(1 for _ in iter(plain, None))
            except StopIteration:
                pass
        """,
    "exception_in_del": """
        class Bad:
            def __del__(self):
                boom()
        def main_exception_in_del():
            import sys
            before, sys.unraisablehook = sys.unraisablehook, lambda what: key(1)
            try:
                Bad()
                b = Bad()
                del b
            finally:
                sys.unraisablehook = before
        """,
    "exception_in_weakref_callback": """
        class Thing:
            pass
        def main_exception_in_weakref_callback():
            import sys
            before, sys.unraisablehook = sys.unraisablehook, lambda what: key(1)
            try:
                thing = Thing()
                reference = weakref.ref(thing, boom)
                del thing
            finally:
                sys.unraisablehook = before
        """,
    "exit_through_c": """
        def leave(x):
            sys.exit(x)
        def main_exit_through_c():
            try:
                list(map(leave, [3]))
            except SystemExit:
                pass
            try:
                sorted([2, 1], key=leave)
            except SystemExit:
                pass
        """,
    "next_at_end": """
        def gen():
            yield 1
        def main_next_at_end():
            g = gen()
            next(g)
            next(g, None)
            try:
                next(g)
            except StopIteration:
                pass
            try:
                gen().__next__().bad
            except AttributeError:
                pass
        """,
    "bound_builtin": """
        def main_bound_builtin():
            types.MethodType(len, [1])()
            types.MethodType(key, 1)()
            types.MethodType(types.MethodType(add, 1), 2)()
            types.MethodType(int, "3")()
            types.MethodType(Number(1), 2)()
        """,
    "class_bodies": """
        def made():
            class Made(metaclass=Meta):
                field = Field()
                value = key(1)
                def method(self):
                    return super().__repr__()
                class Inner(Plugin):
                    pass
            return Made
        def main_class_bodies():
            M = made()
            M().method()
            isinstance(3, M)
            try:
                class Broken(Plugin):
                    boom()
            except ValueError:
                pass
        """,
    "init_subclass_raises": """
        class Strict:
            def __init_subclass__(cls, **kwargs):
                raise TypeError("no subclass")
        class Named:
            def __set_name__(self, owner, name):
                raise TypeError("no name")
        def main_init_subclass_raises():
            for bases, space in (((Strict,), {}), ((), {"a": Named()})):
                try:
                    type("T", bases, space)
                except (TypeError, RuntimeError):
                    pass
        """,
    "new_and_init": """
        class Odd2:
            def __new__(cls, *args):
                return super().__new__(cls)
            def __init__(self, fail=False):
                if fail:
                    raise ValueError("init")
        class NotMine:
            def __new__(cls):
                return 3
            def __init__(self):
                key(1)
        def main_new_and_init():
            Odd2()
            try:
                Odd2(True)
            except ValueError:
                pass
            NotMine()
            object.__new__(Odd2)
            Odd2.__call__ if hasattr(Odd2, "__call__") else None
            type.__call__(Odd2)
        """,
    "context_managers": """
        @contextlib.contextmanager
        def guard():
            try:
                yield 1
            except ValueError:
                key(1)
        def main_context_managers():
            with guard():
                boom()
            with contextlib.ExitStack() as stack:
                stack.callback(key, 1)
                stack.enter_context(guard())
                boom()
            try:
                with guard():
                    raise KeyError("k")
            except KeyError:
                pass
            with contextlib.suppress(ValueError), contextlib.closing(guard().gen):
                boom()
        """,
    "functools_kinds": """
        class Has:
            @functools.cached_property
            def lazily(self):
                return key(1)
            @functools.singledispatchmethod
            def one(self, x):
                return key(2)
            @one.register
            def _(self, x: str):
                return x
            part = functools.partialmethod(add, 3)
        def main_functools_kinds():
            h = Has()
            h.lazily, h.lazily
            h.one(1), h.one("a")
            h.part()
            cached.cache_clear()
            cached(1), cached(1)
            functools.partial(functools.partial(add, 1), 2)()
            functools.reduce(add, [1, 2, 3])
            sorted([3, 1], key=functools.cmp_to_key(lambda a, b: a - b))
        """,
    "operators_from_c": """
        def main_operators_from_c():
            sorted([Number(3), Number(1), Number(2)])
            sum([Number(1), Number(2)], Number(0))
            {Number(1): 1}.get(Number(1))
            Number(1) in {Number(1)}
            max(Number(1), Number(2))
            [Number(1), Number(2)].index(Number(2))
            [Number(1)].count(Number(1))
            " ".join(map(str, [Number(1)]))
            list(reversed([Number(1)]))
            a, *b = Number(2)
            operator.lt(Number(1), Number(2))
        """,
    "callbacks_from_c": """
        def main_callbacks_from_c():
            list(map(key, [1, 2]))
            list(filter(lambda x: x, [0, 1]))
            re.sub("a", replace, "banana")
            functools.reduce(lambda a, b: a + b, [1, 2, 3])
            [3, 1].sort(key=key)
            list(iter(iter([1, 0]).__next__, 0))
            json.dumps(Number, default=lambda o: key(1))
            json.loads('{"a": 1}', object_hook=lambda d: d)
            copy.deepcopy([Number(1)])
        """,
    "star_calls": """
        class Callable:
            def __call__(self, *args, **kwargs):
                return many(*args, **kwargs)
            def method(self, *args):
                return len(args)
        def main_star_calls():
            many(*[1, 2], **{"k": 3})
            max(*[1, 2])
            Callable()(*[1])
            Callable().method(*[1, 2])
            print(*[], **{"end": "", "sep": ""})
            dict(**{"a": 1})
            int(*["3"])
            Number(*[1])
            list.append(*[[], 1])
            [].append(*[1])
            functools.partial(max, 1)(*[2])
        """,
    "except_star": """
        def main_except_star():
            try:
                raise ExceptionGroup("g", [ValueError("v"), KeyError("k"), ExceptionGroup("h", [TypeError("t")])])
            except* ValueError as group:
                key(1)
            except* (KeyError, TypeError):
                try:
                    boom()
                except ValueError:
                    pass
            try:
                try:
                    raise ExceptionGroup("g", [ValueError("v"), OSError("o")])
                except* ValueError:
                    raise RuntimeError("in handler")
            except ExceptionGroup:
                pass
        """,
    "unwinding": """
        def deepest():
            try:
                raise ValueError("deep")
            finally:
                key(1)
        def reraises():
            try:
                deepest()
            except ValueError as error:
                raise KeyError("other") from error
        def bare():
            try:
                reraises()
            except KeyError:
                raise
        def main_unwinding():
            for function in (deepest, reraises, bare):
                try:
                    function()
                except Exception as error:
                    error.__traceback__, error.__cause__, error.__context__
            [x for x in (1, 2) if x]
            try:
                [boom(x) for x in (1, 2)]
            except ValueError:
                pass
            try:
                {x: 1 // x for x in (1, 0)}
            except ZeroDivisionError:
                pass
        """,
    "compiled_at_run_time": """
        def main_compiled_at_run_time():
            space = {}
            for n in range(3):
                exec(f"def made(x):\\n    return x + {n}", space)
                space["made"](1)
                eval("(lambda y: y)(1)", space)
            code = compile("key(1)", "<made>", "exec")
            exec(code.replace(co_name="other", co_firstlineno=7), {"key": key})
            [f() for f in [lambda n=n: n for n in range(3)]]
        """,
    "odd_messages": """
        class Text(str):
            pass
        class Sneaky(Exception):
            @property
            def args(self):
                return key(1)
        def main_odd_messages():
            for error in (ValueError(), ValueError(3), ValueError("a" * 300), ValueError("\\u00e9" * 200),
                          ValueError(Text("sub")), Sneaky("real"), KeyError("k"), OSError(2, "no file"),
                          ValueError("nul \\0 \\x1b[31m"), UnicodeDecodeError("utf-8", b"a", 0, 1, "why")):
                try:
                    raise error
                except Exception:
                    pass
            try:
                raise ValueError
            except ValueError:
                pass
        """,
    "globals_replaced": """
        def main_globals_replaced():
            made = types.FunctionType(key.__code__, {"__name__": 5, "__builtins__": __builtins__})
            made(1)
            made = types.FunctionType(key.__code__.replace(co_qualname="a.b.c"), {"__builtins__": __builtins__})
            made(1)
        """,
    "iterators": """
        class Old:
            def __getitem__(self, i):
                if i > 2:
                    raise IndexError(i)
                return i
        class New:
            def __iter__(self):
                return self
            def __next__(self):
                raise StopIteration("end")
        def main_iterators():
            list(Old()), list(New()), tuple(Old())
            for _ in New():
                pass
            a, b, c = Old()
            [*Old(), *New()]
            dict(zip("ab", Old()))
            3 in Old()
        """,
    "attributes": """
        class Slow:
            def __getattribute__(self, name):
                return key(1)
            def __setattr__(self, name, value):
                key(2)
            def __delattr__(self, name):
                raise AttributeError(name)
        class Descriptor:
            def __get__(self, instance, owner):
                raise AttributeError("hidden")
        class Falls:
            d = Descriptor()
            def __getattr__(self, name):
                return key(3)
        def main_attributes():
            s = Slow()
            s.a
            s.b = 1
            try:
                del s.c
            except AttributeError:
                pass
            Falls().d, Falls().e
            getattr(Falls(), "f"), hasattr(Falls(), "g")
            n = Number(1)
            n.twice = 3
            del n.twice
            n.twice
        """,
}

CASES = [Case(name, source) for name, source in SOURCES.items()]
