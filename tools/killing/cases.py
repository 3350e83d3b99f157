"""What is killed, when and how: drawn from a seed."""

import random
from dataclasses import dataclass, field

SELF = ("kill", "segv", "abort", "exit", "exec", "overflow")


@dataclass
class Case:
    """One program and its death."""

    seed: str
    mode: str = "flight"
    hook: str = "auto"
    ring_size: int = 64 << 10
    threads: int = 1
    depth: int = 3
    #: How the program ends by itself; `wait` goes on until it is killed, `return` ends clean.
    ending: str = "wait"
    at: int = 0
    steps: int = 1 << 20
    snapshots: bool = False
    #: When it is killed from outside: after its `start`, its first step (`run`), its
    #: last (`stop`).
    moment: str = "run"
    delay: float = 0.0
    #: What else is killed: `collector` before the program, or with it.
    also: str = ""
    #: What is done with the dead session, killed in the middle: `pack` in place or a `copy`.
    packing: str = ""
    whole: bool = False
    flags: list = field(default_factory=list)

    @property
    def c_calls(self):
        return self.hook != "trace"

    def __str__(self):
        told = f"{self.mode} {self.hook} {self.threads} threads, depth {self.depth}, {self.ending}"
        more = f" at {self.at}" if self.at else f", {self.moment} + {1000 * self.delay:.1f} ms"
        also = f", also {self.also}" if self.also else ""
        packing = f", packing {self.packing}" if self.packing else ""
        return f"[{self.seed}] {told}{more}{also}{packing}{', snapshots' * self.snapshots}"


def draw(seed, number, hooks):
    """Case `number` of a run."""
    die = random.Random(f"{seed}/{number}")
    case = Case(seed=f"{seed}/{number}")
    case.mode = die.choice(("flight", "full"))
    case.hook = die.choice((*hooks, hooks[0]))
    case.threads = die.choice((1, 1, 1, 3))
    case.depth = die.choice((3, 3, 40, 300))
    case.ring_size = die.choice((64, 64, 128, 512)) << 10
    if case.mode == "full":
        case.ring_size = die.choice((1, 64)) << 20
    case.whole = die.random() < 0.15
    what = die.random()
    if what < 0.25:
        case.ending = die.choice(SELF)
        case.at = die.randrange(1, die.choice((20, 3000)))
    elif what < 0.4:
        case.moment, case.delay = "start", die.random() * 0.12
    elif what < 0.55:
        case.ending, case.moment = "return", "stop"
        case.steps, case.delay = die.randrange(2, 2000), die.random() * 0.03
    else:
        case.moment, case.delay = "run", die.random() ** 2 * 0.08
        case.snapshots = die.random() < 0.15
    if case.mode == "full" and die.random() < 0.3:
        case.also = die.choice(("collector", "both"))
    if die.random() < 0.25:
        case.packing = die.choice(("pack", "pack", "copy"))
    return case
