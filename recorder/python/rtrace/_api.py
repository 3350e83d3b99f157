"""The functions that a program calls."""

from __future__ import annotations

import atexit
import os

from rtrace import _children, _core, _options

TYPE_CHECKING = False
if TYPE_CHECKING:
    # Not imported where a child process joins: its modules are the program's.
    from types import TracebackType
    from typing import Any

_registered = False
# Whether the program asked for a recording in a process that its parent's session holds.
_held = False
# Where a recording that could not begin was to go; its stop is no mistake of the program's.
_refused: str | None = None


def start(
    output: str | os.PathLike[str] = "trace.bin",
    *,
    mode: str = "flight",
    hook: str = "auto",
    c_calls: bool = False,
    lines: bool = False,
    opcodes: bool = False,
    ring_size: int | str | None = None,
    max_memory: int | str | None = None,
    ring_dir: str | os.PathLike[str] | None = None,
    budget: float | None = None,
    include: list[str] | tuple[str, ...] | str = (),
    exclude: list[str] | tuple[str, ...] | str = (),
    min_duration: str | float | None = None,
    max_depth: int | None = None,
    children: bool = True,
) -> None:
    """Record this process, all its threads, into ``output``.

    Where the files cannot be made, one line on stderr says so and the program
    runs on, not recorded. Raises ``ValueError`` for what cannot be had, and
    ``RuntimeError`` where a recording runs already.

    In a process that is recorded because its parent is, this changes nothing, and
    :func:`stop` gives the path of the parent's trace.
    """
    global _registered, _refused, _held
    options = _options.checked(
        output,
        mode=mode,
        hook=hook,
        c_calls=c_calls,
        lines=lines,
        opcodes=opcodes,
        ring_size=ring_size,
        max_memory=max_memory,
        ring_dir=ring_dir,
        budget=budget,
        include=include,
        exclude=exclude,
        min_duration=min_duration,
        max_depth=max_depth,
        children=children,
    )
    session = _core._session()
    if session is not None and session[1] != 0 and not _held:
        _held = True
        return
    if not _registered:
        _registered = True
        atexit.register(_at_exit)
    try:
        notes = _core._prepare(options)
        # What it sets in the environment is not the program's doing: before the hook is there.
        if children:
            _children.invite()
        else:
            _children.uninvite()
        _core._install()
    except OSError as error:
        _children.uninvite()
        say(f"not recording: {error}")
        _refused = os.path.abspath(os.fspath(output))
        return
    _refused = None
    for note in notes:
        say(note)


def stop() -> str:
    """End the recording and give the path of the finished trace.

    Raises ``RuntimeError`` where :func:`start` was not called.
    """
    return _end(exiting=False)


def _end(exiting: bool) -> str:
    global _refused, _held
    if _refused is not None and not _core._is_recording():
        path, _refused = _refused, None
        return path
    session = _core._session()
    if _held and session is not None:
        _held = False
        return os.fsdecode(session[2])
    trace, note = _core._stop(None, True, exiting)
    _children.uninvite()
    if note is not None:
        say(f"{os.fsdecode(trace)}: {note}")
    return os.fsdecode(trace)


def say(text: str) -> None:
    """One line on stderr, whatever the program has done to ``sys.stderr``, and whatever
    control characters a path holds."""
    text = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
    try:
        os.write(2, f"rtrace: {text}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        pass


def snapshot(output: str | os.PathLike[str], reason: str = "") -> str:
    """Write what the rings hold now to ``output``; recording goes on.

    Gives the path. Where the file cannot be written, one line on stderr says so.
    Raises ``RuntimeError`` where :func:`start` was not called.
    """
    if _refused is not None and not _core._is_recording():
        return os.path.abspath(os.fspath(output))
    try:
        return os.fsdecode(_core._snapshot(os.fsencode(output), reason))
    except OSError as error:
        say(f"no snapshot: {error}")
        return os.path.abspath(os.fspath(output))


class recording:
    """``with rtrace.recording("trace.bin"): ...`` records its block."""

    def __init__(self, output: str | os.PathLike[str] = "trace.bin", **options: Any) -> None:
        self._output = output
        self._options = options

    def __enter__(self) -> recording:
        start(self._output, **self._options)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # The block may have stopped it.
        if _core._is_recording():
            stop()


class span:
    """``with rtrace.span("load"): ...`` marks the begin and the end of its block."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> span:
        _core._span_begin(self._name)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _core._span_end(self._name)


def mark(name: str) -> None:
    """Mark this moment in the current thread."""
    _core._mark(name)


def counter(name: str, value: float) -> None:
    """Record the value of a counter."""
    _core._counter(name, value)


def _at_exit() -> None:
    session = _core._session()
    if session is not None and session[1] != 0:
        _children.end()
    elif session is not None:
        _end(exiting=True)
