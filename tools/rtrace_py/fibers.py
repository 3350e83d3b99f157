"""Stacks that stand beside the records: in a ring, and at a thread's end (SPEC 5.1, 9.4)."""

from collections import namedtuple

from .cursor import Cursor, FormatError
from .stack import Frame

# The outermost frames of a fiber, as many as there was room for.
FiberStack = namedtuple("FiberStack", "fiber depth frames")
# What is known of a thread's lanes beside its records: the fiber that runs, and stacks by
# fiber. `symbols` are those that the frames' ids belong to.
Known = namedtuple("Known", "running stacks symbols")


def blocks(raw):
    """The stacks in an extent of kind 3; what nobody uses and what is empty left out."""
    found, at = [], 0
    while at + 32 <= len(raw):
        c = Cursor(raw).seek(at)
        units, _reserved, fiber, depth = c.u32(), c.u32(), c.u64(), c.u64()
        if units < 2 or at + 16 * units > len(raw):
            break
        c.seek(at + 32)
        if 0 < fiber < 1 << 32 and 0 < depth < 1 << 32:
            frames = []
            for _ in range(min(depth, units - 2)):
                frames.append(Frame(c.u64(), c.u64() & 0xFFFFFFFF))
            found.append(FiberStack(fiber, depth, frames))
        at += 16 * units
    return found


def in_ring(ring, symbols):
    """The lanes of a ring file: fiber 0 is the shadow stack."""
    stacks = {0: FiberStack(0, ring.depth, ring.shadow)}
    stacks.update((one.fiber, one) for one in ring.fibers)
    return Known(ring.fiber, stacks, symbols)


def at_end(meta, symbols):
    """The lanes that a THRD chunk tells of; None where it tells of none."""
    if "stack" not in meta and "fibers" not in meta:
        return None
    running, stacks = meta.get("fiber", 0), {}
    try:
        c = Cursor(meta.get("fibers", bytes(8)))
        for _ in range(c.u64()):
            fiber = c.u64()
            stacks[fiber] = _listed(c, fiber)
            c.take(min(-c.at % 8, c.left()))
        if "stack" in meta:
            stacks[running] = _listed(Cursor(meta["stack"]), running)
    except FormatError:
        return None
    return Known(running, stacks, symbols)


def _listed(c, fiber):
    depth, n = c.u32(), c.u32()
    c.count(n, 12)
    ticks = [c.u64() for _ in range(n)]
    return FiberStack(fiber, depth, [Frame(tick, c.u32()) for tick in ticks])
