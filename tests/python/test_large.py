"""Past 4 GiB and past 2^32 records: offsets and numbers of 64 bits, in sparse files."""

import os
import shutil
import struct
import sys
import zlib

import pytest
from support import ROOT, run_view, view

sys.path.insert(0, str(ROOT / "tools"))

from rtrace_py.events import events as independent_events  # noqa: E402
from rtrace_py.trace import open_trace  # noqa: E402

FAR = (4 << 30) + (16 << 20)
MANY = 1 << 33
LATER = 1 << 45

SOURCE = """\
    import os, sys
    def leaf(n): return n
    def work(count):
        for n in range(count): leaf(n)
    work(6000)
    if "die" in sys.argv:
        os.kill(os.getpid(), 9)
    """


def without_time(events):
    return [{k: v for k, v in event.items() if k != "ts_ns"} for event in events]


def independent(trace):
    return without_time(list(independent_events(open_trace(trace))))


@pytest.fixture
def room(tmp_path):
    """Where sparse files can be made."""
    at = tmp_path / "sparse"
    with open(at, "wb") as file:
        file.truncate(FAR)
    if at.stat().st_blocks * 512 > 1 << 20:
        pytest.skip("the file system has no sparse files")
    return tmp_path


def moved(ring):
    """A ring whose segments lie past 4 GiB and begin past 2^32 records, ticks far on."""
    (used,) = struct.unpack_from("<Q", ring, 64)
    (segment,) = struct.unpack_from("<I", ring, 52)
    head, parts = bytearray(ring), []
    for at in range(1024, 1024 + 16 * used, 16):
        offset, kind, count = struct.unpack_from("<QII", ring, at)
        if kind != 1:
            continue
        struct.pack_into("<Q", head, at, FAR + offset)
        for start in range(offset, offset + count * segment, segment):
            parts.append((FAR + start, later(bytearray(ring[start : start + segment]))))
    return head, parts


def later(segment):
    lap, first, base = (struct.unpack_from("<Q", segment, at)[0] for at in (8, 24, 32))
    if not lap:
        return segment
    struct.pack_into("<Q", segment, 24, first + MANY)
    struct.pack_into("<Q", segment, 32, base + LATER)
    if segment[58] & 1:
        body, used = struct.unpack_from("<II", segment, 76)
        struct.pack_into("<Q", segment, 88, struct.unpack_from("<Q", segment, 88)[0] + LATER)
        struct.pack_into("<I", segment, 96, 0)
        struct.pack_into("<I", segment, 96, zlib.crc32(segment[: body + 8 * used]))
    return segment


def test_a_ring_past_4_gib_and_2_to_the_32_records(record, room):
    recorded = record.start(SOURCE, "--mode", "flight", arguments=["die"]).finish()
    before = without_time(recorded.events())
    (path,) = record.rings.rglob("ring-0")
    head, parts = moved(path.read_bytes())
    path.unlink()
    # Where the session is, sparse files may cost memory: there it leads to another place.
    session = path.parent
    elsewhere = room / session.name
    elsewhere.mkdir(mode=0o700)
    for other in session.iterdir():
        shutil.move(other, elsewhere / other.name)
    session.rmdir()
    with open(elsewhere / "ring-0", "wb", opener=private) as file:
        file.write(head)
        for at, part in parts:
            os.pwrite(file.fileno(), part, at)
    assert (elsewhere / "ring-0").stat().st_size > FAR
    flags = ["--session", str(room)]
    info = view("info", recorded.trace, *flags)
    assert info["overwritten_events"] == MANY and info["lost_events"] == 0
    after = view("events", recorded.trace, *flags)
    assert without_time(after) == before
    assert after[-1]["ts_ns"] - after[0]["ts_ns"] < 60_000_000_000
    assert view("verify", recorded.trace, *flags)["ok"]
    (thread,) = view("stacks", recorded.trace, *flags)["threads"]
    assert thread["frames"][0]["name"] == "<module>"
    packed = room / "packed.bin"
    run_view("pack", elsewhere, "-o", packed, check=0)
    assert without_time(view("events", packed)) == before == independent(packed)
    assert view("info", packed)["overwritten_events"] == MANY


def private(path, flags):
    return os.open(path, flags, 0o600)


def test_a_trace_past_4_gib(record, room):
    recorded = record(SOURCE, "--mode", "full")
    before = recorded.events()
    data = recorded.trace.read_bytes()
    tag, length = data[68:72], struct.unpack_from("<Q", data, 72)[0]
    assert tag == b"SESS"
    behind = 64 + 32 + (length + 7) // 8 * 8
    (index,) = struct.unpack_from("<Q", data, len(data) - 32)
    # A chunk that nobody knows, of zeroes that are not there; no index.
    header = b"RTCKWHAT" + struct.pack("<QIQ", FAR, 0, 0)
    header += struct.pack("<I", zlib.crc32(header))
    large = room / "large.bin"
    with open(large, "wb") as file:
        file.write(data[:behind] + header)
        file.seek(behind + 32 + FAR)
        file.write(data[behind:index])
    # Walks from header to header, and writes an index with offsets past 4 GiB.
    run_view("pack", large, "-o", large, check=0)
    assert view("events", large) == before
    assert view("report", large) == recorded.view("report")
    assert view("info", large)["file_bytes"] > FAR
    assert large.stat().st_blocks * 512 < 64 << 20
