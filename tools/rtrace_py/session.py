"""A session's directory: session, process, symbols and ring files (SPEC 4 to 8)."""

import os
import re
import zlib
from collections import namedtuple

from . import fibers, segment, structured
from .cursor import Cursor, FormatError, text
from .stack import Frame

Ring = namedtuple(
    "Ring",
    "serial pid tid process segment_size state depth head drained born ended fiber"
    " switches dropped cause name extents segments shadow fibers problems",
)
Process = namedtuple(
    "Process",
    "number pid parent ppid start_time state end_tick exit_code exit_known lost"
    " overwritten_threads overwritten_events lost_causes pairs",
)
STATES = {1: "forking", 2: "recording", 3: "clean"}


def read(path):
    with open(path, "rb") as file:
        return file.read()


def opening(data, magic, size):
    """Magic, version and header size, which every file of a session begins with."""
    c = Cursor(data)
    if c.take(8) != magic:
        raise FormatError("not a file of a session: its magic is wrong", 0)
    major, minor, header = c.u16(), c.u16(), c.u32()
    if major != 1:
        raise FormatError(f"format {major}.{minor}; this reads 1.x", 8)
    if header < size or header > len(data):
        raise FormatError(f"a header of {header} bytes", 12)
    return c


def read_ring(data):
    c = opening(data, b"RTRING\r\n", 4096)
    c.take(16)
    serial, pid, tid, process, size = c.u64(), c.u32(), c.u32(), c.u32(), c.u32()
    state, extent_count, depth, head, drained, born, ended = (c.u64() for _ in range(7))
    fiber, switches, dropped, cause, _zero, length = (
        c.u32(), c.u32(), c.u64(), c.u32(), c.u32(), c.u64(),
    )  # fmt: skip
    name = c.take(256)[: min(length, 256)]
    c.seek(1024)
    extents = [(c.u64(), c.u32(), c.u32()) for _ in range(min(extent_count, 64))]
    segments, shadow, waiting, problems = [], [], {}, []
    for offset, kind, count in extents:
        if kind == 1:
            for at in range(offset, min(offset + count * size, len(data)), max(size, 128)):
                try:
                    found = segment.parse(data[at : at + size], at)
                except FormatError as error:
                    problems.append((at, error.what))
                    continue
                if found and found.serial == serial:
                    segments.append(found)
        elif kind == 2:
            c.seek(min(offset, len(data)))
            room = min(count, depth, c.left() // 16)
            shadow = []
            for _ in range(room):
                tick, word = c.u64(), c.u32()
                c.u32()
                shadow.append(Frame(tick, word))
        elif kind == 3:
            for one in fibers.blocks(data[offset : offset + 16 * count]):
                # One that moves into a larger block has two, which say the same.
                waiting.setdefault(one.fiber, one)
    segments.sort(key=lambda one: one.lap)
    return Ring(
        serial, pid, tid, process, size, state, depth, head, drained, born, ended, fiber,
        switches, dropped, cause, name, extents, segments, shadow, sorted(waiting.values()),
        problems,
    )  # fmt: skip


def read_process(data):
    c = Cursor(data)
    if c.take(8) != b"RTPROC\r\n":
        raise FormatError("not a process file: its magic is wrong", 0)
    number, pid, parent, ppid = c.u32(), c.u32(), c.u32(), c.u32()
    start_time, state, end_tick = c.u64(), c.u64(), c.u64()
    exit_code, exit_known = c.i32(), c.u32()
    lost, length, crc = c.u64(), c.u64(), c.u32()
    c.seek(88)
    overwritten_threads, overwritten_events = c.u64(), c.u64()
    c.seek(192)
    lost_causes = [c.u64() for _ in range(8)]
    raw = c.seek(256).take(length)
    if zlib.crc32(raw) != crc:
        raise FormatError("the checksum of the metadata does not hold", 72)
    pairs = structured.metadata(raw, 256)
    return Process(
        number, pid, parent - 1 if parent else None, ppid, start_time, state, end_tick,
        exit_code, exit_known, lost, overwritten_threads, overwritten_events,
        lost_causes, pairs,
    )  # fmt: skip


def read_symbols(data):
    """{id: Symbol}; damaged or unfinished entries are stepped over."""
    opening(data, b"RTSYMS\r\n", 64)
    found, at = {}, 64
    while at + 16 <= len(data):
        c = Cursor(data, 0).seek(at)
        marker, length, crc = c.take(4), c.u32(), c.u32()
        c.u32()
        payload = data[at + 16 : at + 16 + length]
        if marker == b"RSYM" and len(payload) == length and zlib.crc32(payload) == crc:
            try:
                found[at // 16] = structured.symbol(payload, at + 16)
            except FormatError:
                pass
            at += 16 + length + (-length % 16)
        else:
            at += 16
    return found


class Session:
    """Everything that a session's directory holds."""

    def __init__(self, directory):
        data = read(os.path.join(directory, "session"))
        c = opening(data, b"RTSESS\r\n", 4096)
        self.uuid = c.take(16)
        self.counters = [c.u64() for _ in range(7)]
        length, crc = c.u64(), c.u32()
        raw = c.seek(4096).take(length)
        if zlib.crc32(raw) != crc:
            raise FormatError("the checksum of the metadata does not hold", 96)
        self.pairs = structured.metadata(raw, 4096)
        self.meta = structured.as_dict(self.pairs)
        self.symbols = {}
        self.processes, self.rings, self.problems = [], [], []
        self._optional(directory, "symbols", self._add_symbols)
        for name in sorted(os.listdir(directory), key=natural):
            if re.fullmatch(r"process-\d+", name):
                self._optional(directory, name, lambda d: self.processes.append(read_process(d)))
            elif re.fullmatch(r"ring-\d+", name):
                self._optional(directory, name, lambda d: self.rings.append(read_ring(d)))

    def _add_symbols(self, data):
        self.symbols = read_symbols(data)

    def _optional(self, directory, name, use):
        """A file that is gone or damaged costs only itself."""
        try:
            use(read(os.path.join(directory, name)))
        except FileNotFoundError:
            pass
        except FormatError as error:
            self.problems.append((error.offset, f"{name}: {error.what}"))


def natural(name):
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def thread_name(ring):
    return text(ring.name)
