"""rtrace_py against bytes made by hand from SPEC.md, field by field."""

import json
import os
import struct
import subprocess
import sys
import zlib

import pytest

TOOLS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, TOOLS)

from rtrace_py import (  # noqa: E402
    chunks,
    cursor,
    records,
    segment,
    stack,
    structured,
    summary,
    zstd,
)
from rtrace_py.events import events  # noqa: E402
from rtrace_py.trace import open_trace  # noqa: E402

CALL, RETURN, C_CALL, C_RETURN, LINE, EXTEND, LONG = 1, 2, 7, 8, 10, 12, 15


def word(kind, number, delta):
    return kind << 60 | number << 32 | delta


def long_word(subkind, words, flags, delta):
    return word(LONG, subkind << 20 | words << 12 | flags, delta)


def sized(raw):
    return struct.pack("<Q", len(raw)) + raw


def meta(**pairs):
    out = struct.pack("<Q", len(pairs))
    for key, value in pairs.items():
        out += sized(key.encode())
        if isinstance(value, bool):
            out += struct.pack("<IB", 3, value)
        elif isinstance(value, int):
            out += struct.pack("<IQ", 0, value) if value >= 0 else struct.pack("<Iq", 1, value)
        elif isinstance(value, float):
            out += struct.pack("<Id", 2, value)
        elif isinstance(value, bytes):
            out += struct.pack("<I", 4) + sized(value)
        else:
            out += struct.pack("<IQ", 5, len(value)) + b"".join(map(sized, value))
    return out


def symbol(kind, module, name, file=b"", first=0, last=0):
    return (
        struct.pack("<BIIIIQQQ", kind, 0, 0, first, last, 0, 0, 0)
        + sized(module)
        + sized(name)
        + sized(file)
    )


def chunk(tag, payload):
    head = b"RTCK" + tag + struct.pack("<QIQ", len(payload), zlib.crc32(payload), 0)
    return head + struct.pack("<I", zlib.crc32(head)) + payload + bytes(-len(payload) % 8)


def file_header(major=1, incompatible=0):
    head = b"\x89RTR\r\n\x1a\n" + struct.pack("<HHIII", major, 0, 64, incompatible, 0)
    head += bytes(range(16)) + struct.pack("<Q", 5) + bytes(12)
    return head + struct.pack("<I", zlib.crc32(head))


def make_segment(words, lap=1, first=0, base=100, frames=(), depth=None, seal=False, size=512):
    depth = len(frames) if depth is None else depth
    outer = min(depth, 8)
    inner = min(depth - outer, 24)
    assert outer + inner == len(frames)
    keyframe = b"".join(struct.pack("<Q", tick) for tick, _word in frames)
    keyframe += b"".join(struct.pack("<I", one) for _tick, one in frames)
    keyframe += bytes(-len(keyframe) % 8)
    body = 128 + len(keyframe)
    head = b"RTSEG\r\n\x01" + struct.pack("<QQQQQ", lap, 7, first, base, 3)
    head += struct.pack("<IIBBHI", 0, depth, outer, inner, int(seal), 0)
    head += struct.pack("<QIIIIQ", 0, 0, body, len(words) if seal else 0, len(words) * seal, base)
    raw = head + bytes(4) + bytes(28) + keyframe + struct.pack(f"<{len(words)}Q", *words)
    if seal:
        raw = raw[:96] + struct.pack("<I", zlib.crc32(raw)) + raw[100:]
    return raw + bytes(size - len(raw))


CLOCK = dict(clock=b"tsc", clock_mult=3, clock_shift=1, clock_base_tick=100, clock_base_ns=0)


def test_structured_values_are_read_back():
    raw = meta(a=1, b=-1, c=0.5, d=True, e=b"\xed\xa0\x80", argv=[b"x", b""])
    found = structured.as_dict(structured.metadata(raw))
    assert found == {
        "a": 1,
        "b": -1,
        "c": 0.5,
        "d": True,
        "e": b"\xed\xa0\x80",
        "argv": [b"x", b""],
    }
    assert cursor.text(found["e"]) == "\ud800"


@pytest.mark.parametrize("cut", range(0, 40))
def test_metadata_cut_anywhere_is_an_error_with_an_offset(cut):
    raw = meta(key=b"some text that is long enough", argv=[b"1"])
    with pytest.raises(cursor.FormatError) as caught:
        structured.metadata(raw[:cut])
    assert caught.value.offset <= cut


def test_extend_moves_the_clock_and_is_no_event():
    rows = [word(EXTEND, 2, 5), word(CALL, 9, 1), long_word(200, 1, 1, 1), word(RETURN, 9, 2)]
    found = list(records.records(rows, [77], 10, 40))
    assert [(r.number, r.tick, r.kind) for r in found] == [
        (40, 10 + 2 * 2**32 + 5 + 1, "call"),
        (None, 10 + 2 * 2**32 + 7, "long200"),
        (41, 10 + 2 * 2**32 + 9, "return"),
    ]


def test_a_segment_ends_at_the_first_zero_word():
    found = segment.parse(make_segment([word(CALL, 4, 1), 0, word(RETURN, 4, 1)]))
    assert [r.kind for r in segment.segment_records(found)] == ["call"]


def test_zero_words_inside_a_payload_end_nothing():
    raw = make_segment([long_word(7, 2, 1, 0), 0, 0, word(CALL, 4, 1)])
    assert [r.kind for r in segment.segment_records(segment.parse(raw))] == ["lost", "call"]


def test_a_sealed_segment_is_checked():
    raw = make_segment([word(CALL, 4, 1), word(RETURN, 4, 1)], seal=True)
    assert segment.parse(raw).numbered == 2
    for at in (33, 130, 140):
        damaged = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        with pytest.raises(cursor.FormatError):
            segment.parse(damaged)


def test_a_segment_being_rewritten_is_none():
    assert segment.parse(make_segment([word(CALL, 4, 1)], lap=0)) is None
    assert segment.parse(bytes(512)) is None


def test_hidden_frames_are_counted_and_popped_by_anybody():
    frames = [stack.Frame(0, at) for at in range(100, 132)]
    replay = stack.Stack(stack.Keyframe(40, 8, frames))
    for at in range(131, 107, -1):
        assert replay.pop(at)
    assert (replay.depth, replay.hidden) == (16, 8)
    for left in range(15, 7, -1):
        assert replay.pop(55)
        assert replay.depth == left
    assert not replay.pop(55)
    assert replay.pop(102) and replay.depth == 2


def test_nothing_is_looked_for_below_hidden_frames():
    frames = [stack.Frame(0, at) for at in range(100, 132)]
    replay = stack.Stack(stack.Keyframe(40, 8, frames))
    assert not replay.pop(101)
    assert replay.pop(110) and replay.depth == 18


def test_depth_is_equal_at_entry_and_exit_and_lines_skip_c_frames():
    replay = stack.Stack()
    rows = [word(CALL, 4, 0), word(C_CALL, 5, 0), word(LINE, 9, 0), word(C_RETURN, 5, 0)]
    rows.append(word(RETURN, 4, 0))
    depths = [replay.apply(record) for record in records.records(rows, [], 0, 0)]
    assert depths == [0, 1, 0, 1, 0]


def test_summary_fields():
    def varint(value):
        out = b""
        while value >= 128:
            out += bytes([value % 128 + 128])
            value //= 128
        return out + bytes([value])

    def section(raw):
        return varint(len(raw)) * 2 + raw

    head = b"".join(map(varint, [300, 2, 0, 0, 1, 0, 250, 4, 10]))
    rows = b"".join(map(varint, [1] + [4] * 16)) + bytes(range(16))
    # Two functions: ids 4 and 9; one call, none; one span, four; self 50, 1; total 250, 1;
    # shortest 95 and 3, longest of the second 3 + 97; one bin between, two spans in the
    # first; the bin 5 above it, one span; what is left is in the last.
    numbers = [2, 4, 5, 1, 0, 0, 8, 50, 1, 200, 0, 95, 3, 97, 1, 1, 3, 1]
    raw = head + section(rows) + section(b"".join(map(varint, numbers)))
    found = summary.parse(raw)
    assert (found.busy, found.calls, found.longest_ticks) == (300, 1, 250)
    one = summary.Function(4, None, 1, 50, 250, 1, 95, 95, [(79, 1)])
    two = summary.Function(9, None, 0, 1, 1, 4, 3, 100, [(3, 2), (8, 1), (82, 1)])
    assert found.functions == [one, two]
    assert found.rows == [([4] * 16, list(range(16)))]
    assert summary.parse(head + section(rows) + section(b"")).functions is None


@pytest.fixture
def finished(tmp_path):
    """A trace of one thread: f calls len, with a zstd frame made by its library."""
    if not zstd.available():
        pytest.skip(zstd.MISSING)
    rows = [word(CALL, 4, 10), word(C_CALL, 5, 2), word(C_RETURN, 5, 2), word(RETURN, 4, 1)]
    planes = bytes(row >> 8 * plane & 255 for plane in range(8) for row in rows)
    columns = compress(planes)
    events_payload = struct.pack("<6Q10IQ", 1, 0, 100, 115, 0, 0, 0, 4, 4, 0, 0, 0, 0, 0, 0,
                                 len(columns), 1)  # fmt: skip
    events_payload += struct.pack("<II", zlib.crc32(events_payload), 0) + columns
    symbols = [symbol(1, b"m", b"f\x1b", b"/m.py", 3, 4), symbol(2, b"builtins", b"len")]
    payload = struct.pack("<II", 4, 2) + b"".join(
        struct.pack("<I", len(one)) + one for one in symbols
    )
    data = file_header() + chunk(b"SESS", meta(mode=b"full", **CLOCK))
    data += chunk(b"PROC", struct.pack("<II", 0, 0) + meta(pid=11, argv=[b"a.py"]))
    data += chunk(b"THRD", struct.pack("<Q", 1) + meta(process=0, tid=12, name=b"MainThread"))
    data += chunk(b"XXXX", b"skipped") + chunk(b"SYMB", payload) + chunk(b"EVNT", events_payload)
    path = tmp_path / "trace.bin"
    path.write_bytes(data)
    return path


def compress(raw):
    """One frame with content size and checksum."""
    if sys.version_info >= (3, 14):
        from compression import zstd as std

        return std.compress(raw, options={std.CompressionParameter.checksum_flag: 1})
    import zstandard

    return zstandard.ZstdCompressor(write_checksum=True).compress(raw)


def test_events_of_a_finished_trace(finished):
    found = list(events(open_trace(str(finished))))
    assert [(e["ts_ns"], e["kind"], e["name"], e["depth"]) for e in found] == [
        (15, "call", "f\x1b", 0),
        (18, "c_call", "len", 1),
        (21, "c_return", "len", 1),
        (22, "return", "f\x1b", 0),
    ]
    assert found[0] == {
        "ts_ns": 15, "pid": 11, "tid": 12, "thread": 1, "fiber": 0, "task": None, "kind": "call",
        "name": "f\x1b", "module": "m", "file": "/m.py", "line": 3, "depth": 0,
    }  # fmt: skip
    assert (found[1]["file"], found[1]["line"]) == (None, None)


def test_a_torn_end_costs_only_itself(finished):
    whole = finished.read_bytes()
    everything = len(open_trace(str(finished)).file.parsed)
    for cut in range(64, len(whole), 7):
        finished.write_bytes(whole[:cut])
        found = open_trace(str(finished)).file
        assert not found.problems
        assert len(found.parsed) <= everything


def test_damage_in_the_middle_is_reported_and_stepped_over(finished):
    raw = finished.read_bytes()
    at = raw.index(b"THRD")
    finished.write_bytes(raw[:at] + b"TxRD" + raw[at + 4 :])
    found = open_trace(str(finished)).file
    assert [offset for offset, _what in found.problems] == [at - 4]
    assert [one.tag for one, _content in found.parsed][-2:] == ["SYMB", "EVNT"]


@pytest.mark.parametrize(
    "data, what",
    [
        (b"", "empty"),
        (b"hello, this is text", "not an rtrace recording"),
        (file_header(major=2), "format 2.0; this reads 1.x"),
        (file_header(incompatible=4), "unknown features"),
        (file_header()[:40], "within its header"),
    ],
)
def test_what_is_no_trace_gets_one_line(tmp_path, data, what):
    path = tmp_path / "x.bin"
    path.write_bytes(data)
    command = [sys.executable, "-m", "rtrace_py", str(path)]
    done = subprocess.run(command, cwd=TOOLS, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert what in done.stderr and len(done.stderr.splitlines()) == 1


def test_command_line_prints_json(finished):
    command = [sys.executable, "-m", "rtrace_py", "--events", str(finished)]
    done = subprocess.run(command, cwd=TOOLS, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["kind"] for line in lines] == ["call", "c_call", "c_return", "return"]


def make_session(directory, rings):
    """A session of one process; `rings` is {serial: segments' bytes}."""
    directory.mkdir()
    head = struct.pack("<HHI", 1, 0, 4096) + bytes(range(16))
    described = meta(mode=b"flight", uuid=b"0" * 32, **CLOCK)
    page = b"RTSESS\r\n" + head + struct.pack("<7Q", 2, 1, 128, 0, 0, 0, 0)
    page += struct.pack("<QI", len(described), zlib.crc32(described))
    (directory / "session").write_bytes(page + bytes(4096 - len(page)) + described)
    payload = symbol(1, b"m", b"f", b"/m.py", 3, 4)
    entry = b"RSYM" + struct.pack("<III", len(payload), zlib.crc32(payload), 0) + payload
    symbols = b"RTSYMS\r\n" + struct.pack("<HHI", 1, 0, 64) + bytes(range(16))
    symbols += bytes(64 - len(symbols)) + bytes(16) + entry
    (directory / "symbols").write_bytes(symbols)
    described = meta(mode=b"flight", argv=[b"a.py"])
    page = b"RTPROC\r\n" + struct.pack("<IIIIQQQiIQ", 0, 11, 0, 1, 99, 2, 0, 0, 0, 0)
    page += struct.pack("<QI", len(described), zlib.crc32(described))
    (directory / "process-0").write_bytes(page + bytes(256 - len(page)) + described)
    for serial, segments in rings.items():
        page = b"RTRING\r\n" + head + struct.pack("<QIIII", serial, 11, 12, 0, 512)
        page += struct.pack("<7Q", 0, 1, 1, 2, 0, 0, 0) + struct.pack("<IIQII", 0, 0, 0, 0, 0)
        page += struct.pack("<Q", 4) + b"main"
        page += bytes(1024 - len(page)) + struct.pack("<QII", 4096, 1, len(segments))
        ring = page + bytes(4096 - len(page)) + b"".join(segments)
        (directory / f"ring-{serial}").write_bytes(ring)


def test_a_ring_is_read_in_lap_order_with_its_keyframes(tmp_path):
    # The symbols file begins its only entry at byte 80, so its id is 5.
    newer = make_segment([word(RETURN, 5, 1)], lap=2, first=1, base=120, frames=[(101, 5)])
    older = make_segment([word(CALL, 5, 1)], lap=1, first=0, base=100, seal=True)
    make_session(tmp_path / "s", {7: [newer, older]})
    found = list(events(open_trace(str(tmp_path / "s"))))
    assert [(e["kind"], e["name"], e["depth"], e["thread"]) for e in found] == [
        ("call", "f", 0, 7),
        ("return", "f", 0, 7),
    ]


def losses(trace):
    return [(e["count"], e["cause"]) for e in events(trace) if e["kind"] == "lost"]


def test_what_a_flight_ring_overwrote_is_not_lost(tmp_path):
    first = make_segment([word(CALL, 5, 1)], lap=5, first=50, base=100)
    then = make_segment([word(CALL, 5, 1)], lap=9, first=61, base=200, frames=[(101, 5)])
    make_session(tmp_path / "s", {7: [first, then]})
    assert losses(open_trace(str(tmp_path / "s"))) == []


def test_dropped_events_are_lost_beside_what_was_overwritten(tmp_path):
    first = make_segment([word(CALL, 5, 1)], lap=5, first=50, base=100)
    then = make_segment([word(CALL, 5, 1)], lap=9, first=61, base=200, frames=[(101, 5)])
    then = then[:64] + struct.pack("<QI", 4, 3) + then[76:]
    make_session(tmp_path / "s", {7: [first, then]})
    assert losses(open_trace(str(tmp_path / "s"))) == [(4, "no_space")]


def test_what_is_there_twice_is_read_once(tmp_path):
    first = make_segment([word(CALL, 5, 1), word(LINE, 3, 1)], lap=1, first=0, base=100)
    again = make_segment([word(LINE, 3, 1), word(LINE, 4, 1)], lap=2, first=1, base=101,
                         frames=[(101, 5)])  # fmt: skip
    make_session(tmp_path / "s", {7: [first, again]})
    found = list(events(open_trace(str(tmp_path / "s"))))
    assert [(e["kind"], e["line"]) for e in found] == [("call", 3), ("line", 3), ("line", 4)]


def test_chunk_scan_steps_over_old_trailers():
    trailer = struct.pack("<QQ", 64, 0)
    trailer += struct.pack("<II", zlib.crc32(trailer), 0) + b"RTRACEIX"
    data = file_header() + chunk(b"AAAA", b"1") + trailer + chunk(b"BBBB", b"2") + trailer
    found, problems, torn = chunks.scan(data, 64)
    assert ([one.tag for one in found], problems, torn) == (["AAAA", "BBBB"], [], None)
