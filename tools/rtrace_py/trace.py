"""A recording put together: `trace.bin`, and the rings it leads to."""

import os
from collections import namedtuple

from . import eventchunk, fibers, segment, structured
from .clock import Clock
from .cursor import FormatError, text
from .records import cause_name
from .session import STATES, Session, read
from .tracefile import TraceFile

# Records that stand together, with what is needed to replay them: the thread's
# keyframe and fiber at their start, and the symbols that their ids belong to.
Block = namedtuple(
    "Block",
    "first_number base_tick fiber keyframe dropped cause symbols records from_ring",
)


class Thread:
    def __init__(self, serial):
        self.serial = serial
        self.pid = 0
        self.tid = 0
        self.name = ""
        self.mode = ""
        self.hook = ""
        self.blocks = []
        self.lost_at_end = 0
        self.lost_cause = 0
        self.born_tick = 0
        self.end_tick = None
        self.process = 0
        # The lanes that the records alone do not tell, if anything else does.
        self.known = None


class Trace:
    """What was found under one path; `file` or `session` may be None."""

    def __init__(self, file, session):
        self.file = file
        self.session = session
        self.problems = list(file.problems) if file else []
        if session:
            self.problems += session.problems
        meta = dict(file.session) if file else {}
        if session:
            meta.update(session.meta)
        self.meta = meta
        self.clock = Clock(meta)
        self.processes = self._processes()
        self.threads = {}
        if file:
            self._from_file()
        if session:
            self._from_rings()
        for thread in self.threads.values():
            thread.blocks.sort(key=lambda block: (block.first_number, block.base_tick))

    def _processes(self):
        found = {}
        if self.file:
            for number, meta in self.file.processes.items():
                found[number] = dict(meta)
        if self.session:
            for process in self.session.processes:
                known = found.setdefault(process.number, {})
                known.update(structured.as_dict(process.pairs))
                known.update(pid=process.pid, ppid=process.ppid)
                known.update(lost_without_ring=process.lost)
                for number, count in enumerate(process.lost_causes, 1):
                    known.update({f"lost_{cause_name(number)}": count} if count else {})
                known.update(overwritten_threads=process.overwritten_threads)
                known.update(overwritten_events=process.overwritten_events)
                if STATES.get(process.state) == "clean":
                    known.update(end=b"clean", end_tick=process.end_tick)
        return found

    def _thread(self, serial, process):
        thread = self.threads.setdefault(serial, Thread(serial))
        thread.process = process
        meta = self.processes.get(process, {})
        thread.pid = meta.get("pid", thread.pid)
        thread.mode = text(meta.get("mode") or self.meta.get("mode", b""))
        thread.hook = text(meta.get("hook", b""))
        return thread

    def _from_file(self):
        for serial, meta in self.file.threads.items():
            thread = self._thread(serial, meta.get("process", 0))
            thread.tid = meta.get("tid", 0)
            thread.name = text(meta.get("name", b""))
            thread.born_tick = meta.get("born_tick", 0)
            thread.lost_at_end = meta.get("lost_at_end", 0)
            thread.lost_cause = meta.get("lost_cause", 0)
            thread.end_tick = meta.get("end_tick")
            thread.known = fibers.at_end(meta, self.file.symbols)
        for events in self.file.events:
            thread = self.threads.get(events.serial) or self._thread(events.serial, 0)
            thread.blocks.append(
                Block(
                    events.first_number,
                    events.base_tick,
                    events.fiber,
                    events.keyframe,
                    events.dropped,
                    events.cause,
                    self.file.symbols,
                    lambda events=events: eventchunk.event_records(events),
                    False,
                )  # fmt: skip
            )

    def _from_rings(self):
        for ring in self.session.rings:
            thread = self._thread(ring.serial, ring.process)
            thread.pid = ring.pid or thread.pid
            thread.tid = ring.tid
            thread.name = text(ring.name)
            thread.born_tick = ring.born
            thread.lost_at_end = ring.dropped
            thread.lost_cause = ring.cause
            if ring.state == 1:
                thread.end_tick = ring.ended
            thread.known = fibers.in_ring(ring, self.session.symbols)
            self.problems += [(at, f"ring-{ring.serial}: {what}") for at, what in ring.problems]
            for one in ring.segments:
                thread.blocks.append(
                    Block(
                        one.first_number,
                        one.base_tick,
                        one.fiber,
                        one.keyframe,
                        one.dropped,
                        one.cause,
                        self.session.symbols,
                        lambda one=one: segment.segment_records(one),
                        True,
                    )  # fmt: skip
                )


def open_trace(path, session_dir=None):
    """Opens a `trace.bin` or a session's directory, and what either leads to."""
    if os.path.isdir(path):
        if not os.path.exists(os.path.join(path, "session")):
            raise FormatError("a directory that is not a session")
        session = Session(path)
        file = None
        output = text(session.meta.get("output", b""))
        if output and os.path.isfile(output):
            try:
                file = TraceFile(read(output))
            except FormatError:
                file = None
            if file and file.header["uuid"] != session.uuid:
                file = None
        return Trace(file, session)
    data = read(path)
    if not data:
        raise FormatError("an empty file", 0)
    file = TraceFile(data)
    session = None
    candidates = [session_dir, file.session.get("session_dir", b"")]
    for candidate in candidates:
        candidate = text(candidate) if isinstance(candidate, bytes) else candidate
        if candidate and os.path.exists(os.path.join(candidate, "session")):
            session = Session(candidate)
            if session.uuid == file.header["uuid"]:
                break
            session = None
    return Trace(file, session)
