"""Everything that a recording's files hold, field by field, as text.

The Rust tests write the same text for the golden files; a difference of one
byte is a difference in understanding.
"""

import json
import uuid

from . import eventchunk, segment, summary
from .cursor import FormatError, text


def quoted(raw):
    return json.dumps(text(raw) if isinstance(raw, bytes) else raw)


def dump(trace):
    """Lines of text."""
    if trace.file:
        yield from file_lines(trace.file)
    if trace.session:
        yield from session_lines(trace.session)


def value_text(variant, value):
    if variant == "Text":
        return quoted(value)
    if variant == "List":
        return "[" + ", ".join(quoted(item) for item in value) + "]"
    if variant == "Bool":
        return "true" if value else "false"
    if variant == "F64":
        return json.dumps(value)
    return str(value)


def meta_lines(pairs):
    for key, variant, value in pairs:
        if key in ("stack", "fibers") and variant == "Text":
            yield f"  {key} = {key.capitalize()} {value.hex()}"
        else:
            yield f"  {key} = {variant} {value_text(variant, value)}"


def symbol_line(number, one):
    return (
        f"  symbol {number} kind={one.kind} flags={one.flags} code={one.code_flags}"
        f" lines={one.first_line}-{one.last_line} size={one.source_size}"
        f" mtime={one.source_mtime} hash={one.source_hash} module={quoted(one.module)}"
        f" name={quoted(one.qualname)} file={quoted(one.file)}"
    )


def frame_lines(frames):
    for frame in frames:
        yield f"  frame tick={frame.tick} id={frame.id} flags={frame.word >> 28}"


def record_lines(records):
    for record in records:
        number = "-" if record.number is None else record.number
        line = f"  {number} {record.tick} {record.kind}"
        if "flags" not in record.fields:
            yield f"{line} {record.id}"
            continue
        for key, value in record.fields.items():
            if key == "frames":
                shown = ",".join(f"{tick}:{word}" for tick, word in value)
                line += f" frames=[{shown}]"
            elif key == "words":
                line += " words=[" + ",".join(f"{word:#018x}" for word in value) + "]"
            elif isinstance(value, bytes):
                line += f" {key}={quoted(value)}"
            elif isinstance(value, float):
                line += f" {key}={json.dumps(value)}"
            else:
                line += f" {key}={value}"
        yield line


def summary_lines(one):
    yield (
        f"  summary busy={one.busy} depth={one.depth} exceptions={one.exceptions}"
        f" unwinds={one.unwinds} calls={one.calls} unnumbered={one.unnumbered}"
        f" longest={one.longest_ticks},{one.longest_id},{one.longest_start}"
    )
    if one.functions is None:
        yield "  functions untold"
    for f in one.functions or ():
        bins = ",".join(f"{at}:{count}" for at, count in f.bins)
        mask = "" if f.children is None else f" children={f.children}"
        yield (
            f"  function {f.id}{mask} calls={f.calls} self={f.self_ticks} total={f.total_ticks}"
            f" spans={f.spans} min={f.min} max={f.max} bins=[{bins}]"
        )
    for depth, (ids, shares) in enumerate(one.rows):
        shown = ",".join(f"{number}:{share}" for number, share in zip(ids, shares))
        yield f"  row {depth} [{shown}]"


def file_lines(file):
    h = file.header
    yield (
        f"file {h['major']}.{h['minor']} header={h['size']} incompatible={h['incompatible']}"
        f" compatible={h['compatible']} uuid={h['uuid'].hex()} created={h['created']}"
    )
    for chunk, content in file.parsed:
        line = f"chunk {chunk.offset} {chunk.tag} length={len(chunk.payload)}"
        if content is None:
            yield line
        elif chunk.tag == "SESS":
            yield line
            yield from meta_lines(content)
        elif chunk.tag in ("PROC", "THRD"):
            yield f"{line} number={content[0]}"
            yield from meta_lines(content[1])
        elif chunk.tag == "SYMB":
            yield line
            for number, one in content:
                yield symbol_line(number, one)
        elif chunk.tag == "EVNT":
            yield from event_lines(line, content)
        elif chunk.tag == "NODE":
            yield (
                f"{line} serial={content.serial} first={content.first_number}"
                f" base={content.base_tick} last={content.last_tick} numbered={content.numbered}"
                f" level={content.level} children={content.children} chunks={content.chunks}"
            )
            yield from summary_lines(content.summary)
        elif chunk.tag == "INDX":
            flags, entries = content
            yield f"{line} flags={flags}"
            for e in entries:
                yield (
                    f"  entry {e.tag} level={e.level} offset={e.offset} length={e.length} serial={e.serial}"
                    f" first={e.first_number} base={e.base_tick} last={e.last_tick}"
                    f" numbered={e.numbered} depth={e.depth}"
                )
    for offset, what in file.problems:
        yield f"problem {offset}"
    if file.torn is not None:
        yield f"torn {file.torn}"
    yield f"trailer {'none' if file.index_offset is None else file.index_offset}"


def event_lines(line, e):
    yield (
        f"{line} serial={e.serial} first={e.first_number} base={e.base_tick} last={e.last_tick}"
        f" cpu={e.cpu_ns} dropped={e.dropped} cause={e.cause} numbered={e.numbered}"
        f" rows={e.rows_count} payload={e.payload_count} fiber={e.fiber} depth={e.depth}"
        f" outer={e.outer} inner={e.inner} lap={e.lap}"
    )
    yield from frame_lines(e.keyframe.frames)
    try:
        if e.summary_length:
            yield from summary_lines(summary.parse(e.summary))
        yield from record_lines(eventchunk.event_records(e))
    except FormatError:
        yield "  damaged"


def session_lines(session):
    yield f"session uuid={session.uuid.hex()}"
    yield from meta_lines(session.pairs)
    for number, one in sorted(session.symbols.items()):
        yield symbol_line(number, one)
    for p in session.processes:
        parent = "none" if p.parent is None else p.parent
        exit_code = p.exit_code if p.exit_known & 1 else "unknown"
        yield (
            f"process {p.number} pid={p.pid} parent={parent} ppid={p.ppid} start={p.start_time}"
            f" state={p.state} end={p.end_tick} exit={exit_code} lost={p.lost}"
        )
        yield from meta_lines(p.pairs)
    for ring in session.rings:
        yield from ring_lines(ring)


def ring_lines(ring):
    yield (
        f"ring {ring.serial} pid={ring.pid} tid={ring.tid} process={ring.process}"
        f" segment={ring.segment_size} state={ring.state} depth={ring.depth} head={ring.head}"
        f" drained={ring.drained} born={ring.born} ended={ring.ended} fiber={ring.fiber}"
        f" switches={ring.switches} dropped={ring.dropped} cause={ring.cause} name={quoted(ring.name)}"
    )
    for frame in ring.shadow:
        yield f"  shadow tick={frame.tick} id={frame.id} flags={frame.word >> 28}"
    for one in ring.fibers:
        yield f"  fiber {one.fiber} depth={one.depth}"
        yield from frame_lines(one.frames)
    for s in ring.segments:
        yield (
            f"segment lap={s.lap} first={s.first_number} base={s.base_tick} cpu={s.cpu_ns}"
            f" fiber={s.fiber} depth={s.depth} outer={s.outer} inner={s.inner} flags={s.flags}"
            f" rewinds={s.rewinds} dropped={s.dropped} cause={s.cause} body={s.body}"
            f" words={s.words_used} numbered={s.numbered} last={s.last_tick}"
        )
        yield from frame_lines(s.keyframe.frames)
        yield from record_lines(segment.segment_records(s))
    for offset, _what in ring.problems:
        yield f"problem {offset}"


def header_lines(trace):
    """The short view: what, who, how much."""
    identity = trace.file.header["uuid"] if trace.file else trace.session.uuid
    yield f"trace {uuid.UUID(bytes=identity)}"
    for key, value in sorted(trace.meta.items()):
        shown = quoted(value) if isinstance(value, bytes) else value
        yield f"  {key} = {shown}"
    for number, meta in sorted(trace.processes.items()):
        arguments = " ".join(text(item) for item in meta.get("argv", []))
        yield f"process {number} pid={meta.get('pid')} argv={quoted(arguments)}"
    for serial, thread in sorted(trace.threads.items()):
        yield (
            f"thread {serial} pid={thread.pid} tid={thread.tid} name={quoted(thread.name)}"
            f" blocks={len(thread.blocks)}"
        )
    for offset, what in trace.problems:
        yield f"problem {offset}: {what}"
