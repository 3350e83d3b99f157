"""Random programs, the same for the same seed."""

import random

from grammar import HANDLERS, Body

KINDS = ("function", "function", "generator", "generator", "coroutine", "async generator")


class Unit:
    """One top-level function, which may call those before it."""

    def __init__(self, name, kind, lines):
        self.name = name
        self.kind = kind
        self.lines = lines

    @property
    def source(self):
        head = "async def" if self.kind in ("coroutine", "async generator") else "def"
        # A generator stays one though all its own yields were taken out.
        tail = ["if False: yield"] if "generator" in self.kind else []
        body = ["burn()", *tail, *self.lines]
        return "\n".join([f"{head} {self.name}(x=1):", *("    " + line for line in body)])


class Program:
    """`main_<seed>` is what is compared, and each `worker_<seed>_<n>` in a thread of its own."""

    def __init__(self, seed, units, calls):
        self.seed = seed
        self.units = units
        self.calls = calls

    @property
    def name(self):
        return f"main_{self.seed}"

    @property
    def threads(self):
        """The outermost functions of threads."""
        return [call[1] for call in self.calls if call[0] == "thread"]

    @property
    def source(self):
        parts = ["from prelude import *", *(unit.source for unit in self.units)]
        main = [f"def {self.name}():", "    FUEL.left = 60"]
        for kind, worker, lines, handler in self.calls:
            if kind == "thread":
                parts.append(
                    "\n".join(
                        [
                            f"def {worker}():",
                            "    FUEL.left = 30",
                            "    try:",
                            *("        " + line for line in lines),
                            "    except BaseException: pass",
                        ]
                    )
                )
            else:
                main += ["    try:", *("        " + line for line in lines)]
                main += [f"    except {handler}: pass"]
                if handler != "BaseException":
                    main += ["    except BaseException: key(1)"]
        return "\n\n".join(parts + ["\n".join(main)]) + "\n"

    def smaller(self):
        """Programs with one thing less."""
        for at in range(len(self.calls)):
            yield Program(self.seed, self.units, self.calls[:at] + self.calls[at + 1 :])
        for at, unit in enumerate(self.units):
            if unit.lines != ["pass"]:
                empty = Unit(unit.name, unit.kind, ["pass"])
                yield Program(self.seed, [*self.units[:at], empty, *self.units[at + 1 :]], self.calls)
        for at, unit in enumerate(self.units):
            for first, last in runs(unit.lines):
                lines = unit.lines[:first] + unit.lines[last:] or ["pass"]
                less = Unit(unit.name, unit.kind, lines)
                yield Program(self.seed, [*self.units[:at], less, *self.units[at + 1 :]], self.calls)


def runs(lines):
    """Where each statement begins and ends, with all that is indented below it."""
    for first, line in enumerate(lines):
        depth = len(line) - len(line.lstrip())
        last = first + 1
        while last < len(lines) and (
            len(lines[last]) - len(lines[last].lstrip()) > depth
            or lines[last].lstrip().startswith(("except", "else:", "finally:"))
            and len(lines[last]) - len(lines[last].lstrip()) == depth
        ):
            last += 1
        yield first, last


def generate(seed):
    chance = random.Random(seed)
    units: list[Unit] = []
    for number in range(chance.randint(3, 8)):
        kind = chance.choice(KINDS)
        callees = [(unit.name, unit.kind) for unit in units]
        lines = Body(chance, kind, callees).block(chance.randint(1, 3))
        units.append(Unit(f"u{number}_{seed}", kind, ["x = x if isinstance(x, int) else 2", *lines]))
    callees = [(unit.name, unit.kind) for unit in units]
    calls = []
    for number in range(chance.randint(3, 7)):
        body = Body(chance, "function", callees)
        x = f"x = {chance.randrange(-1, 5)}"
        roll = chance.random()
        if roll < 0.1:
            calls.append(("thread", f"worker_{seed}_{number}", [x, *body.block(1)], None))
        elif roll < 0.2 and any(unit.kind == "coroutine" for unit in units):
            names = [unit.name for unit in units if unit.kind == "coroutine"]
            run = ", ".join(f"{chance.choice(names)}({n})" for n in range(2))
            calls.append(("plain", None, [f"run_loop({run})"], "Exception"))
        else:
            lines = [x, body.call(), *body.block(1)]
            lines = ["    pass" if line.strip().startswith("return") else line for line in lines]
            calls.append(("plain", None, lines, chance.choice(HANDLERS)))
    return Program(seed, units, calls)
