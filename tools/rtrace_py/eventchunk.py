"""EVNT chunks (SPEC section 9.2)."""

import zlib
from collections import namedtuple

from .cursor import Cursor, FormatError
from .records import records
from .stack import keyframe
from .zstd import decompress

MAX_WORDS = 131_072
MAX_KEYFRAME = 65_536

Events = namedtuple(
    "Events",
    "serial first_number base_tick last_tick cpu_ns dropped cause numbered rows_count"
    " payload_count fiber depth outer inner summary_length columns_length lap"
    " keyframe summary columns base",
)

def parse(payload, base=0):
    """The header, keyframe and summary; the columns stay compressed."""
    c = Cursor(payload, base)
    head = [c.u64() for _ in range(6)] + [c.u32() for _ in range(10)] + [c.u64()]
    names = dict(zip(Events._fields, head))
    if max(names["rows_count"], names["payload_count"]) > MAX_WORDS:
        raise FormatError("more words than a chunk may have", base + 56)
    if max(names["outer"], names["inner"]) > MAX_KEYFRAME:
        raise FormatError("a keyframe larger than a chunk may have", base + 72)
    start = keyframe(c, names["depth"], names["outer"], names["inner"])
    piece = c.take(names["summary_length"])
    if zlib.crc32(payload[: c.at]) != c.u32():
        raise FormatError("the checksum before the columns is wrong", base + c.at - 4)
    c.take(-c.at % 8)
    columns = c.take(names["columns_length"])
    return Events(keyframe=start, summary=piece, columns=columns, base=base, **names)


def rows(events):
    """The record words and the payload words."""
    n, p = events.rows_count, events.payload_count
    planes = decompress(events.columns, 8 * n + 8 * p)
    words = [int.from_bytes(planes[row : 8 * n : n], "little") for row in range(n)]
    payload = [int.from_bytes(planes[at : at + 8], "little") for at in range(8 * n, 8 * (n + p), 8)]
    return words, payload


def event_records(events):
    words, payload = rows(events)
    return records(words, payload, events.base_tick, events.first_number)
