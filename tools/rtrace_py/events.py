"""Every event of a recording, in the fields of `rtrace-view events --json`."""

import heapq

from .cursor import text
from .records import cause_name
from .stack import ID_MASK, Lanes, Stack
from .structured import C, OVERFLOW, UNKNOWN

IN_FUNCTION = ("line", "opcode")
NAMED = ("mark", "span_begin", "span_end", "counter")
UNKNOWN_CAUSE, COLLECTOR_BEHIND, DAMAGED, OVERWRITTEN = 0, 1, 5, None
# The C-API reference has one word for every entry, and one for every exit.
FOLDED = {"resume": "call", "throw": "call", "yield": "return"}


def events(trace):
    """Dictionaries in order of ts_ns, serial and record number."""
    streams = [_thread_events(trace, thread) for _, thread in sorted(trace.threads.items())]
    return heapq.merge(*streams, key=lambda event: (event["ts_ns"], event["thread"]))


def symbol_of(symbols, number):
    if number == 1:
        return OVERFLOW
    return symbols.get(number, UNKNOWN)


def _thread_events(trace, thread):
    expected, last_tick, first = 0, thread.born_tick, True
    lanes = None
    for block in thread.blocks:
        follows = lanes and block.first_number == expected and not block.dropped
        if not (follows and lanes.follow(block.fiber, block.keyframe)):
            lanes = Lanes(block.fiber, block.keyframe)
        for lost in _lost_before(trace, thread, block, expected, first):
            tick = min(last_tick, block.base_tick)
            yield _event(trace, thread, lanes.fiber, "lost", tick, lanes.stack, lost, depth=0)
        taken = not first and block.first_number < expected
        expected, first = max(expected, block.first_number), False
        last_tick = last_tick if taken else block.base_tick
        number = block.first_number
        for record in block.records():
            depth = lanes.apply(record)
            if record.number is not None:
                number = record.number + 1
            # What is in a ring and in the file as well is read once.
            if number < expected or (number == expected and taken):
                continue
            taken = False
            expected, last_tick = number, record.tick
            kind = _kind(thread, record)
            if kind:
                yield _event(trace, thread, lanes.fiber, kind, record.tick, lanes.stack, record.fields,
                             block, record.id, depth)  # fmt: skip
    if thread.lost_at_end:
        lost = {"count": thread.lost_at_end, "cause": thread.lost_cause}
        yield _event(trace, thread, 0, "lost", last_tick, Stack(), lost, depth=0)


def _lost_before(trace, thread, block, expected, first):
    """What is missing in front of a block, by record numbers and by what it says."""
    gap, given = block.first_number - expected, block.cause
    if gap > 0:
        cause = UNKNOWN_CAUSE if block.dropped else given
        if cause == UNKNOWN_CAUSE:
            cause = _explain(trace, thread, block, first)
        if cause is not OVERWRITTEN:
            yield {"count": gap, "cause": cause}
    if gap >= 0 and block.dropped:
        yield {"count": block.dropped, "cause": given}


def _explain(trace, thread, block, first):
    """The cause of a gap in record numbers that is given none."""
    if trace.problems:
        return DAMAGED
    if thread.mode == "flight" and (first or block.from_ring):
        return OVERWRITTEN
    return COLLECTOR_BEHIND if block.from_ring else UNKNOWN_CAUSE


def _kind(thread, record):
    """The kind as `events` prints it; None for what is not printed."""
    if record.number is None:
        return record.kind if record.kind == "lost" else None
    if record.kind.startswith(("kind", "long")):
        return "unknown"
    if thread.hook in ("profile", "trace"):
        return FOLDED.get(record.kind, record.kind)
    return record.kind


def _event(trace, thread, fiber, kind, tick, stack, fields, block=None, number=0, depth=None):
    event = {
        "ts_ns": trace.clock.ns(tick),
        "pid": thread.pid,
        "tid": thread.tid,
        "thread": thread.serial,
        "fiber": fiber,
        "task": None,
        "kind": kind,
        "name": None,
        "module": None,
        "file": None,
        "line": None,
        "depth": stack.python_depth() if depth is None else depth,
    }
    if kind == "lost":
        event.update(count=fields["count"], cause=cause_name(fields["cause"]))
    elif kind in NAMED:
        event["name"] = text(fields["text"])
        if kind == "counter":
            event["value"] = fields["value"]
    elif kind == "exception":
        _place(event, symbol_of(block.symbols, fields["function"]))
        event["line"] = fields["line"]
        event["type"] = text(symbol_of(block.symbols, fields["type"]).qualname)
        event["message"] = text(fields["message"])
    elif kind in IN_FUNCTION:
        frame, _depth = stack.innermost_python()
        if frame is not None:
            _place(event, symbol_of(block.symbols, frame.word & ID_MASK))
        if kind == "line":
            event["line"] = number
        else:
            event.update(offset=2 * (number >> 8), opcode=number & 0xFF)
    elif kind not in ("switch", "unknown"):
        _place(event, symbol_of(block.symbols, number))
    return event


def _place(event, symbol):
    event["name"] = text(symbol.qualname)
    event["module"] = text(symbol.module)
    event["file"] = text(symbol.file) or None
    event["line"] = None if symbol.kind == C else symbol.first_line
