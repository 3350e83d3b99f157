"""A segment of a ring (SPEC section 4)."""

import zlib
from collections import namedtuple

from .cursor import Cursor, FormatError
from .records import records, split_words
from .stack import keyframe

MAGIC = b"RTSEG\r\n\x01"
SEALED = 1

Segment = namedtuple(
    "Segment",
    "lap serial first_number base_tick cpu_ns fiber depth outer inner flags rewinds"
    " dropped cause body words_used numbered last_tick checksum keyframe rows payload",
)


def parse(raw, base=0):
    """A `Segment`, or None for one that was never used or is being rewritten."""
    c = Cursor(raw, base)
    magic = c.take(8)
    if magic == bytes(8):
        return None
    if magic != MAGIC:
        raise FormatError("not a segment", base)
    lap = c.u64()
    if lap == 0:
        return None
    head = [lap, c.u64(), c.u64(), c.u64(), c.u64(), c.u32(), c.u32(), c.u8(), c.u8(), c.u16()]
    head += [c.u32(), c.u64(), c.u32(), c.u32(), c.u32(), c.u32(), c.u64(), c.u32()]
    names = dict(zip(Segment._fields, head))
    start = keyframe(c.seek(128), names["depth"], names["outer"], names["inner"])
    body = names["body"]
    if body % 8 or body < c.at or body > len(raw):
        raise FormatError(f"a body offset of {body}", base + 76)
    end = len(raw) // 8 * 8
    if names["flags"] & SEALED:
        end = body + 8 * names["words_used"]
        if end > len(raw):
            raise FormatError(f"{names['words_used']} words do not fit", base + 80)
        covered = bytes(raw[:96]) + bytes(4) + bytes(raw[100:end])
        if zlib.crc32(covered) != names["checksum"]:
            raise FormatError("a segment's checksum does not hold", base + 96)
    words = [int.from_bytes(raw[at : at + 8], "little") for at in range(body, end, 8)]
    rows, payload = split_words(words)
    found = Segment(keyframe=start, rows=rows, payload=payload, **names)
    if found.flags & SEALED:
        seen = list(segment_records(found))
        numbered = sum(record.number is not None for record in seen)
        if len(rows) + len(payload) != found.words_used or numbered != found.numbered:
            raise FormatError("a sealed segment holds other records than it says", base + 80)
    return found


def segment_records(segment):
    return records(segment.rows, segment.payload, segment.base_tick, segment.first_number)
