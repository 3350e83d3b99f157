"""Summaries of event chunks and NODE chunks (SPEC sections 9.5 and 10)."""

from collections import namedtuple

from .cursor import Cursor, FormatError
from .zstd import decompress

SECTION_MAX = 1 << 24

Summary = namedtuple(
    "Summary",
    "busy depth exceptions unwinds calls unnumbered longest_ticks longest_id longest_start"
    " functions rows",
)
Function = namedtuple("Function", "id children calls self_ticks total_ticks spans min max bins")
Node = namedtuple(
    "Node",
    "serial first_number base_tick last_tick numbered level children chunks summary",
)


def parse(piece, children=None):
    """A summary; in a node, `children` says how many it has. Functions may be None."""
    c = Cursor(piece)
    head = [c.varint() for _ in range(9)]
    rows, functions = section(c), section(c)
    if c.left():
        c.fail(f"{c.left()} bytes after the summary")
    told = table(functions, children) if functions else None
    return Summary(*head, told, depth_rows(rows))


def node(payload, base=0):
    c = Cursor(payload, base)
    head = [c.u64() for _ in range(5)] + [c.u32() for _ in range(4)]
    level, children = head[5], head[6]
    leaf_fits = level > 1 or children == head[7]
    if not 1 <= level <= 16 or not leaf_fits or not 1 <= children <= 16 or head[7] == 0:
        raise FormatError("a node of no level, of no child or too many", base + 40)
    return Node(*head[:8], parse(c.take(c.left()), children))


def section(c):
    length, stored = c.varint(), c.varint()
    if length > SECTION_MAX or stored > length:
        c.fail("a section of this length cannot be")
    raw = c.take(stored)
    return raw if stored == length else decompress(raw, length)


def depth_rows(raw):
    c = Cursor(raw)
    rows = []
    for _ in range(c.count(c.varint(), 32)):
        ids = [c.varint() for _ in range(16)]
        rows.append((ids, list(c.take(16))))
    return rows


def bin_of(value):
    if value < 32:
        return value
    octave = value.bit_length() - 1
    return 32 * (octave - 4) + (value >> (octave - 5)) - 32


def table(raw, children):
    c = Cursor(raw)
    count = c.count(c.varint(), 5)

    def column():
        return [c.varint() for _ in range(count)]

    ids, last = [], 0
    for step in column():
        last += step
        ids.append(last)
    masks = [None] * count
    if children is not None:
        masks = [mask ^ ((1 << children) - 1) for mask in column()]
    calls = column()
    signed = [number >> 1 if number % 2 == 0 else -(number >> 1) - 1 for number in column()]
    spans = [a + b for a, b in zip(calls, signed)]
    own = column()
    total = [a + b for a, b in zip(own, column())]
    least = [c.varint() if number > 0 else 0 for number in spans]
    most = [low + c.varint() if number > 1 else low for low, number in zip(least, spans)]
    bins = [histogram(c, *one) for one in zip(spans, least, most)]
    if c.left():
        c.fail(f"{c.left()} bytes after the functions")
    columns = zip(ids, masks, calls, own, total, spans, least, most, bins)
    return [Function(*values) for values in columns]


def histogram(c, spans, least, most):
    """(bin, count) of the bins that are not empty."""
    first, last = bin_of(least), bin_of(most)
    if spans == 0:
        return []
    if first == last:
        return [(last, spans)]
    between, of_first = (c.varint(), c.varint()) if spans > 2 else (0, 0)
    bins = [(first, of_first + 1)]
    at = first
    for _ in range(between):
        word = c.varint()
        distance = word & 3
        if distance == 3:
            distance += c.varint()
        at += distance + 1
        bins.append((at, (word >> 2) + 1))
    rest = spans - sum(count for _, count in bins)
    if at >= last or rest <= 0:
        c.fail("a histogram that holds more than its spans")
    return [*bins, (last, rest)]
