"""Random statements and expressions: everything that calls, yields, raises or returns."""

# Each takes an int `x`; what it does besides its value is what is recorded.
C_EXPRESSIONS = (
    "len([x, 1])",
    "abs(x)",
    "isinstance(x, int)",
    "int('3') + x",
    "str(x)",
    "'a,b'.split(',')",
    "max(3, x, key=key)",
    "sorted([3, 1, x], key=key)",
    "sorted([3, 1, 2], key=abs)",
    "list(map(key, [1, x]))",
    "list(filter(key, [1, 0, x]))",
    "functools.reduce(add, [1, 2, x])",
    "re.sub('a', replace, 'banana')",
    "any(i for i in (0, x))",
    "sum(i * 2 for i in range(3))",
    "dict(a=x)",
    "dict.fromkeys([1, x])",
    "{}.get(x, 4)",
    "[].append(x)",
    "list.append([], x)",
    "(3).__add__(x)",
    "int.__add__(3, x)",
    "str.upper('a')",
    "functools.partial(add, 1)(x)",
    "functools.partial(max, 3)(x)",
    "operator.itemgetter(0)([x])",
    "operator.add(1, x)",
    "getattr(x, 'absent', None)",
    "hasattr(x, 'real')",
    "type('Made', (), {'m': key})().m()",
    "type(x)(7)",
    "types.MethodType(key, x)()",
    "types.MethodType(types.MethodType(add, x), 2)()",
    "max(*[1, x])",
    "print(*[], end='', sep='')",
    "add(*(1, x))",
    "add(**{'a': 1, 'b': x})",
    "many(1, *(2, x), k=3, **{'m': x})",
    "(lambda y: y + x)(2)",
    "[y for y in range(3) if key(y)]",
    "{key(y): y for y in range(2)}",
    "{add(y, 1) for y in range(2)}",
    "list(key(y) for y in range(2))",
    "eval('key(1)')",
    "exec('def made(): return key(2)\\nmade()', globals())",
    "cached(x % 3)",
    "single(x)",
    "single('a')",
    "Number(x) + Number(1)",
    "Number(x) + 1",
    "1 + Number(x)",
    "Number(x) < Number(2)",
    "sorted([Number(2), Number(x), Number(1)])",
    "min(Number(2), Number(x))",
    "Number(x)[2]",
    "Number(x)(5)",
    "len(Number(x))",
    "bool(Number(x))",
    "str(Number(x))",
    "f'{Number(x)} {Number(x)!r} {x:>4}'",
    "{Number(x): 1}[Number(x)]",
    "Number(x) in [Number(1), Number(x)]",
    "x in Number(x)",
    "list(Number(3))",
    "Number(x).twice",
    "Number(x).absent",
    "Number.made(x)",
    "Number.free(x)",
    "Number(x).half(2)",
    "super_call(x)",
    "Meta('Dyn', (Plugin,), {'field': Field()})",
    "Meta('Dyn', (), {})()",
    "next(iter([x]))",
    "next(iter([]), x)",
    "iter(key, 0).__class__",
    "zip([1], map(key, [x])).__next__()",
    "collections.deque([x]).pop()",
    "collections.defaultdict(list)[x]",
    "json.dumps({'a': [x]})",
    "copy.copy(Number(x))",
    "'{0.twice}'.format(Number(x))",
    "'%s' % Number(x)",
    "weakref.ref(Number(x), gone)",
    "Finalized(x)",
    "sys.getrecursionlimit()",
    "threading.get_ident()",
)

RAISING = (
    "int('no')",
    "{}['missing']",
    "next(iter([]))",
    "[].pop()",
    "x.absent",
    "1 // 0",
    "len(3)",
    "boom(x)",
    "deep_boom(2)",
    "raising_key()",
    "sorted([2, 1], key=boom)",
    "list(map(boom, [1]))",
    "Number(x) < 'a'",
    "Number(x)['a']",
    "iter(3)",
    "raise_from(x)",
    "sys.exit(x)",
    "Field().__set__(None, 'bad')",
    "add(1)",
    "undefined_name",
    "getattr(Number(1), 'bad')",
    "'a'.join([1])",
    "[boom(y) for y in range(2)]",
    "list(boom(y) for y in range(2))",
    "re.sub('a', boom, 'banana')",
    "max([Number(1), 'a'])",
)

HANDLERS = ("Exception", "ValueError", "(KeyError, IndexError)", "BaseException", "ZeroDivisionError")
RAISES = (
    "raise ValueError('v')",
    "raise KeyError('k', 1)",
    "raise Odd()",
    "raise ValueError(3)",
    "raise RuntimeError('again') from ValueError('cause')",
    "raise StopIteration('s')",
    "raise LookupError",
    "assert not x, 'asserted'",
)


class Body:
    """Writes one function's statements."""

    def __init__(self, random, kind, callees):
        self.random = random
        self.kind = kind
        self.callees = callees
        self.names = 0
        # In an `except*` block nothing may be left by a jump.
        self.may_jump = True

    def fresh(self):
        self.names += 1
        return f"v{self.names}"

    def expression(self):
        roll = self.random.random()
        if roll < 0.07:
            return self.random.choice(RAISING)
        if roll < 0.3 and self.callees:
            return self.call()
        return self.random.choice(C_EXPRESSIONS)

    def call(self):
        name, kind = self.random.choice(self.callees)
        choose = self.random.choice
        if kind == "function":
            return choose((f"{name}(x)", f"{name}(*[x])", f"{name}(x=x)", f"sorted([1, x], key={name})"))
        if kind == "generator":
            return choose(
                (
                    f"list({name}(x))",
                    f"sum(1 for _ in {name}(x))",
                    f"first({name}(x))",
                    f"poke({name}(x), {self.random.randrange(6)})",
                    f"{name}(x)",
                    f"[*{name}(x)]",
                    f"throw_early({name}(x))",
                    f"close_late({name}(x))",
                    f"max({name}(x), default=0)",
                )
            )
        if kind == "coroutine":
            if self.kind == "coroutine" and self.random.random() < 0.6:
                return f"(await {name}(x))"
            return choose(
                (f"drive({name}(x))", f"abandon({name}(x))", f"interrupt({name}(x))", f"drive(gathered({name}(x)))")
            )
        if self.kind == "coroutine" and self.random.random() < 0.6:
            return f"[y async for y in {name}(x)]"
        return choose(
            (f"drive(collect({name}(x)))", f"drive(close_async({name}(x)))", f"drive(throw_async({name}(x)))")
        )

    def block(self, depth):
        lines = []
        for _ in range(self.random.randint(1, 3)):
            lines += self.statement(depth)
        return lines

    def indented(self, depth):
        return ["    " + line for line in self.block(depth - 1)]

    def statement(self, depth):
        choose = self.random.choice
        simple = [self.assign, self.assign, self.bare]
        if self.kind in ("generator", "async generator"):
            simple += [self.give, self.give]
        if self.kind == "generator":
            simple.append(self.delegate)
        if self.kind in ("coroutine", "async generator"):
            simple += [self.wait]
        if depth <= 0:
            return choose(simple)()
        nested = [
            self.attempt,
            self.attempt,
            self.finish,
            self.loop,
            self.branch,
            self.manage,
            self.define,
            self.leave,
            self.group,
            self.match,
        ]
        return choose(simple + nested)() if self.random.random() < 0.5 else choose(nested)(depth=depth)

    # Each gives the lines of one statement.

    def assign(self, depth=0):
        return [f"{self.fresh()} = {self.expression()}"]

    def bare(self, depth=0):
        return [self.expression()]

    def give(self, depth=0):
        return [f"{self.fresh()} = yield {self.expression()}"]

    def delegate(self, depth=0):
        generators = [name for name, kind in self.callees if kind == "generator"]
        if not generators or self.random.random() < 0.3:
            return [f"yield from map(key, [x, {self.expression()} and 1 or 2])"]
        return [f"{self.fresh()} = yield from {self.random.choice(generators)}(x)"]

    def wait(self, depth=0):
        return [f"{self.fresh()} = await Wait(x)"]

    def attempt(self, depth=1):
        lines = ["try:", *self.indented(depth)]
        lines += [f"except {self.random.choice(HANDLERS)} as error:", *self.indented(depth)]
        if self.random.random() < 0.3:
            lines += ["    raise"]
        if self.random.random() < 0.3:
            lines += ["else:", *self.indented(depth)]
        if self.random.random() < 0.3:
            lines += ["finally:", *self.indented(depth)]
        return lines

    def group(self, depth=1):
        lines = [
            "try:",
            *self.indented(depth),
            "    raise ExceptionGroup('g', [ValueError('a'), KeyError('b')])",
            f"except* {self.random.choice(('ValueError', 'KeyError', 'TypeError', 'Exception'))}:",
        ]
        could, self.may_jump = self.may_jump, False
        lines += self.indented(depth)
        self.may_jump = could
        return lines

    def finish(self, depth=1):
        return ["try:", *self.indented(depth), "finally:", *self.indented(depth)]

    def loop(self, depth=1):
        name = self.fresh()
        source = self.random.choice(("range(2)", "(1, x)", "Number(2)", "map(key, [1, x])", "(key(z) for z in (1, 2))"))
        lines = [f"for {name} in {source}:", *self.indented(depth)]
        roll = self.random.random()
        if roll < 0.3 and self.may_jump:
            lines += [f"    if {name}:", f"        {self.random.choice(('break', 'continue'))}"]
        return lines

    def branch(self, depth=1):
        return [f"if {self.expression()}:", *self.indented(depth), "else:", *self.indented(depth)]

    def match(self, depth=1):
        return [
            f"match {self.expression()}:",
            "    case int() | None:",
            *("    " + line for line in self.indented(depth)),
            "    case Number(value=2):",
            *("    " + line for line in self.indented(depth)),
            "    case _:",
            *("    " + line for line in self.indented(depth)),
        ]

    def manage(self, depth=1):
        manager = self.random.choice(
            ("Manager(x)", "Manager(0)", "managed(x)", "contextlib.suppress(ValueError)", "contextlib.ExitStack()")
        )
        return [f"with {manager} as {self.fresh()}:", *self.indented(depth)]

    def define(self, depth=1):
        name = self.fresh()
        inner = Body(self.random, "function", self.callees)
        inner.names = self.names + 100
        decorator = self.random.choice(([], [], ["@decorate"], ["@decorate_with(x)"], ["@functools.cache"]))
        lines = [*decorator, f"def {name}(y=x):", *("    " + line for line in inner.block(depth - 1))]
        self.names = inner.names
        return [*lines, "    return y", f"{name}()"]

    def leave(self, depth=1):
        if not self.may_jump or self.random.random() < 0.5:
            return [f"if {self.expression()}:", f"    {self.random.choice(RAISES)}"]
        value = "" if self.kind == "async generator" else f" {self.expression()}"
        return [f"if {self.expression()}:", f"    return{value}"]
