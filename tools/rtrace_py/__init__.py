"""An independent reader of rtrace recordings, in pure Python.

It was written from ``format-spec/SPEC.md`` alone and shares no code with the
Rust reader, so that each proves the other and both prove the document.  It is
made to be read and checked, not to be fast: for real work use ``rtrace-view``.

    python -m rtrace_py trace.bin             what it holds
    python -m rtrace_py --events trace.bin    as `rtrace-view events --json`
    python -m rtrace_py --chunks trace.bin    every field, for comparing bytes

Reading order: ``cursor`` (bytes), ``structured`` (metadata and symbols),
``records`` (words), ``stack`` (replay), ``segment`` and ``session`` (rings),
``tracefile`` and ``chunks`` (``trace.bin``), ``trace`` (both put together),
``events`` (JSON), ``dump`` (text).
"""

from .cursor import FormatError
from .trace import Trace, open_trace

__all__ = ["FormatError", "Trace", "open_trace"]
