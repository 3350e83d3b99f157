"""Chunk framing (SPEC section 9.1)."""

import zlib
from collections import namedtuple

from .cursor import Cursor, FormatError

MARKER = b"RTCK"
HEADER = 32
TRAILER = 32

Chunk = namedtuple("Chunk", "offset tag payload")


def header(data, at):
    """(tag, payload length, payload crc) of the chunk at `at`, or None."""
    raw = data[at : at + HEADER]
    if len(raw) < HEADER or raw[:4] != MARKER:
        return None
    c = Cursor(raw, at)
    c.take(4)
    tag, length, crc = c.take(4), c.u64(), c.u32()
    if zlib.crc32(raw[:28]) != int.from_bytes(raw[28:32], "little"):
        return None
    return tag.decode("ascii", "replace"), length, crc


def scan(data, start):
    """Walks from header to header: (chunks, problems, offset of a torn end).

    A problem is (offset, what). Trailers, the one at the end and those that
    later chunks were appended behind, are stepped over.
    """
    chunks, problems, at = [], [], start
    while at < len(data):
        if trailer(data, at) is not None:
            at += TRAILER
            continue
        found = header(data, at)
        if found is None or at + HEADER + found[1] > len(data):
            begin, may_be_torn = at, found is not None or len(data) - at < HEADER
            at += 8
            while at < len(data) and header(data, at) is None:
                at += 8
            if may_be_torn and at >= len(data):
                return chunks, problems, begin
            problems.append((begin, f"{min(at, len(data)) - begin} bytes that are no chunk"))
            continue
        tag, length, crc = found
        payload = data[at + HEADER : at + HEADER + length]
        if zlib.crc32(payload) != crc:
            problems.append((at, f"the checksum of the {tag} chunk does not hold"))
        else:
            chunks.append(Chunk(at, tag, payload))
        at += HEADER + length + (-length % 8)
    return chunks, problems, None


def trailer(data, at):
    """The INDX offset that a valid trailer at `at` gives, or None."""
    raw = data[at : at + TRAILER]
    if len(raw) < TRAILER or raw[24:] != b"RTRACEIX":
        return None
    if zlib.crc32(raw[:16]) != int.from_bytes(raw[16:20], "little"):
        return None
    return int.from_bytes(raw[:8], "little")


def check_header(data):
    """The file header's fields, or a `FormatError`."""
    if data[:8] != b"\x89RTR\r\n\x1a\n":
        raise FormatError("not an rtrace recording", 0)
    if len(data) < 64:
        raise FormatError("the file ends within its header", len(data))
    c = Cursor(data)
    c.take(8)
    fields = {"major": c.u16(), "minor": c.u16(), "size": c.u32()}
    fields.update(incompatible=c.u32(), compatible=c.u32(), uuid=c.take(16), created=c.u64())
    if zlib.crc32(data[:60]) != int.from_bytes(data[60:64], "little"):
        raise FormatError("the file header's checksum does not hold", 60)
    if fields["major"] != 1:
        raise FormatError(f"format {fields['major']}.{fields['minor']}; this reads 1.x", 8)
    if fields["incompatible"]:
        raise FormatError(f"unknown features {fields['incompatible']:#x}", 16)
    return fields
