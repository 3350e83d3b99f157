"""`trace.bin` (SPEC section 9)."""

from collections import namedtuple

from . import chunks as framing
from . import eventchunk, structured, summary
from .cursor import Cursor, FormatError

Entry = namedtuple(
    "Entry", "tag level offset length serial first_number base_tick last_tick numbered depth"
)


class TraceFile:
    """Every chunk of a file, parsed as far as its tag is known."""

    def __init__(self, data):
        self.data = data
        self.header = framing.check_header(data)
        found, self.problems, self.torn = framing.scan(data, max(64, self.header["size"]))
        self.index_offset = framing.trailer(data, len(data) - framing.TRAILER)
        if len(data) < 96:
            self.index_offset = None
        self.session = {}
        self.processes = {}
        self.threads = {}
        self.symbols = {}
        self.events = []
        self.final = False
        self.parsed = []
        for chunk in found:
            try:
                content = self._parse(chunk)
            except FormatError as error:
                self.problems.append((chunk.offset, f"{chunk.tag}: {error.what}"))
                content = None
            self.parsed.append((chunk, content))

    def _parse(self, chunk):
        base = chunk.offset + framing.HEADER
        c = Cursor(chunk.payload, base)
        if chunk.tag == "SESS":
            pairs = structured.metadata(chunk.payload, base)
            self.session.update(structured.as_dict(pairs))
            return pairs
        if chunk.tag == "PROC":
            number = c.u32()
            c.u32()
            pairs = structured.metadata(chunk.payload[8:], base + 8)
            self.processes.setdefault(number, {}).update(structured.as_dict(pairs))
            return number, pairs
        if chunk.tag == "THRD":
            serial = c.u64()
            pairs = structured.metadata(chunk.payload[8:], base + 8)
            self.threads.setdefault(serial, {}).update(structured.as_dict(pairs))
            return serial, pairs
        if chunk.tag == "SYMB":
            first = c.u32()
            count = c.count(c.u32(), 4)
            found = []
            for at in range(first, first + count):
                length = c.u32()
                start = base + c.at
                found.append((at, structured.symbol(c.take(length), start)))
            self.symbols.update(found)
            return found
        if chunk.tag == "EVNT":
            events = eventchunk.parse(chunk.payload, base)
            self.events.append(events)
            return events
        if chunk.tag == "NODE":
            return summary.node(chunk.payload, base)
        if chunk.tag == "INDX":
            flags, count = c.u32(), c.u32()
            entries = []
            for _ in range(c.count(count, 64)):
                tag, level = c.take(4).decode("ascii", "replace"), c.u32()
                numbers = [c.u64() for _ in range(6)]
                entries.append(Entry(tag, level, *numbers, c.u32(), c.u32()))
            self.final = bool(flags & 1)
            return flags, entries
        return None
