"""Every event of a recording, in the fields of `rtrace-view events --json`."""

import heapq

from .cursor import text
from .records import cause_name
from .stack import ID_MASK, Stack
from .structured import C, OVERFLOW, UNKNOWN

IN_FUNCTION = ("line", "opcode")
NAMED = ("mark", "span_begin", "span_end", "counter")
UNPRINTED = ("kind", "long")


def events(trace):
    """Dictionaries in order of ts_ns, serial and record number."""
    streams = [_thread_events(trace, thread) for _, thread in sorted(trace.threads.items())]
    return heapq.merge(*streams, key=lambda event: (event["ts_ns"], event["thread"]))


def symbol_of(block, number):
    if number == 1:
        return OVERFLOW
    return block.symbols.get(number, UNKNOWN)


def _thread_events(trace, thread):
    expected = None
    last_tick = thread.born_tick
    for block in thread.blocks:
        stack = Stack(block.keyframe)
        fiber = block.fiber
        gap = block.first_number - (expected or 0)
        if expected is None and thread.mode == "flight":
            gap = 0
        if expected is None or gap >= 0:
            dropped = block.dropped
            for count, cause in ((dropped, block.cause), (gap - dropped, 0)):
                if count > 0:
                    lost = {"count": count, "cause": cause}
                    yield _event(trace, thread, fiber, "lost", block.base_tick, stack, lost)
        expected = max(expected or 0, block.first_number)
        position = block.first_number
        for record in block.records():
            depth = stack.apply(record)
            last_tick = record.tick
            if record.kind == "switch":
                fiber = record.fields["fiber"]
            if record.number is not None:
                position = record.number + 1
            if position <= expected and (record.number is not None or position < expected):
                continue
            expected = position
            if record.kind.startswith(UNPRINTED):
                continue
            yield _event(trace, thread, fiber, record.kind, record.tick, stack, record.fields,
                         block, record.id, depth)  # fmt: skip
    if thread.lost_at_end:
        lost = {"count": thread.lost_at_end, "cause": thread.lost_cause}
        yield _event(trace, thread, 0, "lost", last_tick, Stack(), lost)


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
        _place(event, symbol_of(block, fields["function"]))
        event["line"] = fields["line"]
        event["type"] = text(symbol_of(block, fields["type"]).qualname)
        event["message"] = text(fields["message"])
    elif kind in IN_FUNCTION:
        frame, _depth = stack.innermost_python()
        if frame is not None:
            _place(event, symbol_of(block, frame.word & ID_MASK))
        if kind == "line":
            event["line"] = number
        else:
            event.update(offset=2 * (number >> 8), opcode=number & 0xFF)
    elif kind != "switch":
        _place(event, symbol_of(block, number))
    return event


def _place(event, symbol):
    event["name"] = text(symbol.qualname)
    event["module"] = text(symbol.module)
    event["file"] = text(symbol.file) or None
    event["line"] = None if symbol.kind == C else symbol.first_line
