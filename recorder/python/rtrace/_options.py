"""What a recording can be asked for, checked once for the API and the command."""

from __future__ import annotations

import os
import sys

from rtrace import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_UNITS = {
    "": 1,
    "b": 1,
    "k": 1 << 10,
    "kib": 1 << 10,
    "kb": 1000,
    "m": 1 << 20,
    "mib": 1 << 20,
    "mb": 1000**2,
    "g": 1 << 30,
    "gib": 1 << 30,
    "gb": 1000**3,
}

SMALLEST_RING = 32 * 1024
SMALLEST_MEMORY = 256 * 1024


def parse_size(value: int | str, name: str, smallest: int) -> int:
    """The bytes that ``16MiB``, ``64k`` or a number of bytes stand for."""
    if isinstance(value, str):
        text = value.strip().lower()
        digits = text.rstrip("abcdefghijklmnopqrstuvwxyz ")
        unit = text[len(digits) :].strip()
        try:
            size = int(float(digits) * _UNITS[unit])
        except (KeyError, ValueError, OverflowError):
            raise ValueError(f"{name}: {value!r} is no size; write 16MiB, for example") from None
    else:
        size = int(value)
    if size < smallest:
        raise ValueError(f"{name}: {size} bytes are too few; at least {smallest} are needed")
    if size >= 1 << 62:
        raise ValueError(f"{name}: {value!r} is too large")
    return size


_TIMES = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}


def parse_duration(value: str | float, name: str = "min_duration") -> int:
    """The nanoseconds that ``10us`` or a number of seconds stand for."""
    wrong = ValueError(f"{name}: {value!r} is no time; write 10us, for example")
    if isinstance(value, str):
        text = value.strip()
        digits = text.rstrip("num s")
        unit = text[len(digits) :].strip()
        if unit not in _TIMES:
            raise wrong
        number, factor = digits, _TIMES[unit]
    else:
        number, factor = value, _TIMES["s"]
    try:
        nanoseconds = float(number) * factor
        rounded = round(nanoseconds)
    except (ValueError, OverflowError, TypeError):
        raise wrong from None
    if nanoseconds < 0:
        raise ValueError(f"{name}: {value!r} is less than nothing")
    if rounded >= 1 << 62:
        raise ValueError(f"{name}: {value!r} is too long")
    return rounded


def checked(
    output: str | os.PathLike[str],
    *,
    mode: str,
    hook: str,
    c_calls: bool,
    lines: bool,
    opcodes: bool,
    ring_size: int | str | None,
    max_memory: int | str | None,
    ring_dir: str | os.PathLike[str] | None,
    budget: float | None,
    include: list[str] | tuple[str, ...] | str,
    exclude: list[str] | tuple[str, ...] | str,
    min_duration: str | float | None,
    max_depth: int | None,
    children: bool,
    argv: list[str] | None = None,
    runner: bool = False,
) -> dict[str, Any]:
    """The options as the extension takes them; ``ValueError`` says what cannot be had."""
    if mode not in ("full", "flight"):
        raise ValueError(f"mode: {mode!r} is neither 'full' nor 'flight'")
    wrong = _core._check_hook(hook, c_calls, lines, opcodes)
    if wrong is not None:
        raise ValueError(wrong)
    if budget is not None:
        budget = float(budget)
        if not 0 < budget < 1000:
            raise ValueError(f"budget: {budget:g} is no share of the program's time, in percent")
        by_monitoring = hook == "monitoring" or (hook == "auto" and sys.version_info >= (3, 12))
        if not by_monitoring:
            raise ValueError("budget: only the hook 'monitoring' (Python 3.12) can keep one")
    if max_depth is not None and max_depth < 1:
        raise ValueError("max_depth: must be at least 1")
    if argv is None:
        argv = sys.orig_argv
    return {
        "output": os.fsencode(output),
        "mode": mode,
        "hook": hook,
        "c_calls": bool(c_calls),
        "lines": bool(lines),
        "opcodes": bool(opcodes),
        "ring_size": None
        if ring_size is None
        else parse_size(ring_size, "ring_size", SMALLEST_RING),
        "max_memory": None
        if max_memory is None
        else parse_size(max_memory, "max_memory", SMALLEST_MEMORY),
        "ring_dir": None if ring_dir is None else os.fsencode(ring_dir),
        "include": _patterns(include),
        "exclude": _patterns(exclude),
        "budget": budget,
        "min_duration_ns": None if min_duration is None else parse_duration(min_duration),
        "max_depth": max_depth,
        "children": bool(children),
        "argv": [os.fsencode(argument) for argument in argv],
        "runner": runner,
    }


def _patterns(patterns: list[str] | tuple[str, ...] | str) -> list[bytes]:
    if isinstance(patterns, str):
        patterns = [patterns]
    return [os.fsencode(pattern) for pattern in patterns]
