"""The open calls of every lane at the end, in the fields of `rtrace-view stacks --json`."""

from .cursor import text
from .events import symbol_of
from .stack import BEGAN_BEFORE, Keyframe, Lanes, Stack
from .structured import C


class Ended:
    """A thread's lanes behind its last record, and whose symbols their frames name."""

    def __init__(self, thread):
        self.last_tick = thread.born_tick
        self.symbols = {}
        self.lanes = None
        expected = 0
        for block in thread.blocks:
            follows = self.lanes and block.first_number == expected and not block.dropped
            # Frames carried over to records with other symbols would have wrong names.
            follows = follows and block.symbols is self.symbols
            if not (follows and self.lanes.follow(block.fiber, block.keyframe)):
                self.lanes = Lanes(block.fiber, block.keyframe)
            self.symbols = block.symbols
            self.last_tick = block.base_tick
            expected = block.first_number
            for record in block.records():
                self.lanes.apply(record)
                self.last_tick = record.tick
                expected += record.number is not None

    def stacks(self, known):
        """(fiber, stack, symbols) of the lanes that have frames open, and of fiber 0."""
        found = {}
        running = known.running if known else 0
        if self.lanes:
            running = self.lanes.fiber
            found = {fiber: (stack, self.symbols) for fiber, stack in self.lanes.waiting.items()}
            found[running] = self.lanes.stack, self.symbols
        for fiber, one in known.stacks.items() if known else ():
            if fiber != running or not self.lanes:
                # Nothing else is exact for a lane that waits.
                whole = Stack(Keyframe(one.depth, len(one.frames), one.frames))
                found[fiber] = whole, known.symbols
            elif known.symbols is self.symbols:
                self.lanes.stack.reveal(one.frames)
        found.setdefault(0, (Stack(), {}))
        for fiber, (stack, symbols) in sorted(found.items()):
            if stack.depth or fiber == 0:
                yield fiber, stack, symbols


def stacks(trace):
    """Dictionaries, in order of serial and fiber."""
    ended = {serial: Ended(thread) for serial, thread in sorted(trace.threads.items())}
    for serial, one in ended.items():
        thread = trace.threads[serial]
        end = _end(trace, thread, ended)
        for fiber, stack, symbols in one.stacks(thread.known):
            yield {
                "pid": thread.pid,
                "tid": thread.tid,
                "serial": serial,
                "fiber": fiber,
                "name": thread.name,
                "frames": [_level(trace, level, symbols, end) for level in stack.frames()],
            }


def _end(trace, thread, ended):
    """The tick up to which the thread is known: its own end, its process's, or the last one."""
    process = trace.processes.get(thread.process, {})
    end = thread.end_tick
    if not end and process.get("end") == b"clean":
        end = process.get("end_tick")
    if not end:
        others = [other for other in trace.threads.values() if other.process == thread.process]
        end = max(max(ended[one.serial].last_tick, one.end_tick or 0) for one in others)
        end = max(end, process.get("started_tick", 0))
    return max(end, ended[thread.serial].last_tick)


def _level(trace, level, symbols, end):
    if isinstance(level, int):
        return {
            "name": f"… {level} frames", "module": "", "file": None, "line": None,
            "kind": "python", "open_ns": None, "began_before": False, "hidden": level,
        }  # fmt: skip
    symbol = symbol_of(symbols, level.id)
    open_ns = trace.clock.duration_ns(max(end - level.tick, 0)) if level.tick else None
    return {
        "name": text(symbol.qualname),
        "module": text(symbol.module),
        "file": text(symbol.file) or None,
        "line": None if symbol.kind == C else symbol.first_line,
        "kind": "c" if symbol.kind == C else "python",
        "open_ns": open_ns,
        "began_before": bool(level.word & BEGAN_BEFORE),
    }
