"""Record words, long records and rows (SPEC section 3)."""

from collections import namedtuple

from .cursor import Cursor, FormatError

KINDS = {
    1: "call",
    2: "return",
    3: "unwind",
    4: "resume",
    5: "yield",
    6: "throw",
    7: "c_call",
    8: "c_return",
    9: "c_exception",
    10: "line",
    11: "opcode",
}
PUSH = {"call", "resume", "throw", "c_call"}
POP = {"return", "unwind", "yield", "c_return", "c_exception"}
EXTEND, LONG = 12, 15

SUBKINDS = {
    1: "exception",
    2: "mark",
    3: "span_begin",
    4: "span_end",
    5: "counter",
    6: "switch",
    7: "lost",
}
CAUSES = {
    0: "unknown",
    1: "collector_behind",
    2: "budget",
    3: "no_space",
    4: "hook",
    5: "damaged",
    6: "depth",
    7: "process_limit",
}
UNNUMBERED = 1
U64 = (1 << 64) - 1

# One record with its absolute tick; `number` is None where it has none.
# `fields` holds what a long record says, `id` the 28 bits of a short one.
Record = namedtuple("Record", "number tick kind id fields")


def cause_name(cause):
    return CAUSES.get(cause, "unknown")


def split_words(words):
    """Rows and payload of the words of a segment's body.

    A long record's header word stands first and its payload words follow it;
    the first zero word where a record should begin ends the segment.
    """
    rows, payload, at = [], [], 0
    while at < len(words) and words[at]:
        count = (words[at] >> 44) & 0xFF if words[at] >> 60 == LONG else 0
        if at + 1 + count > len(words):
            break
        rows.append(words[at])
        payload.extend(words[at + 1 : at + 1 + count])
        at += 1 + count
    return rows, payload


def records(rows, payload, base_tick, first_number):
    """Every record but `extend`, which only moves the clock on."""
    tick, number, at = base_tick, first_number, 0
    for word in rows:
        delta = word & 0xFFFFFFFF
        kind = word >> 60
        if kind == EXTEND:
            tick = (tick + (((word >> 32) & 0xFFFFFFF) << 32) + delta) & U64
            continue
        tick = (tick + delta) & U64
        if kind != LONG:
            yield Record(number, tick, KINDS.get(kind, f"kind{kind}"), (word >> 32) & 0xFFFFFFF, {})
            number += 1
            continue
        subkind, count, flags = (word >> 52) & 0xFF, (word >> 44) & 0xFF, (word >> 32) & 0xFFF
        piece = payload[at : at + count]
        at += count
        try:
            fields, name = long_fields(subkind, piece), SUBKINDS.get(subkind, f"long{subkind}")
        except FormatError:
            fields, name = {"words": piece}, f"long{subkind}"
        fields["flags"] = flags
        if flags & UNNUMBERED:
            yield Record(None, tick, name, 0, fields)
        else:
            yield Record(number, tick, name, 0, fields)
            number += 1


def long_fields(subkind, words):
    """What a long record says; a payload that does not fit its subkind raises."""
    c = Cursor(b"".join(word.to_bytes(8, "little") for word in words))
    if subkind == 1:
        function, line, type_symbol, length = c.u32(), c.u32(), c.u32(), c.u16()
        c.u16()
        return {
            "function": function,
            "line": line,
            "type": type_symbol,
            "message": c.take(length),
        }
    if subkind in (2, 3, 4):
        return {"text": c.sized()}
    if subkind == 5:
        return {"value": c.f64(), "text": c.sized()}
    if subkind == 6:
        fiber, _zero, depth, n = c.u32(), c.u32(), c.u32(), c.u32()
        c.count(n, 16)
        if n > depth:
            c.fail(f"{n} frames at depth {depth}")
        frames = [(c.u64(), c.u64() & 0xFFFFFFFF) for _ in range(n)]
        return {"fiber": fiber, "depth": depth, "frames": frames}
    if subkind == 7:
        return {"count": c.u64(), "cause": c.u64()}
    return {"words": list(words)}
