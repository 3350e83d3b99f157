"""Child processes: how they find the session of their parent, and how they end clean.

A forked child has it by itself. Any other Python process looks for the variable
in its environment as it starts (`_rtrace_children`, which `site` calls).
"""

from __future__ import annotations

import atexit
import os
import sys

from rtrace import _core

VARIABLE = "RTRACE_SESSION"

_watching = False
_asked = False


def invite() -> None:
    """Have the Python processes that this one starts record into its session too."""
    global _watching
    session = _core._session()
    if session is None:
        return
    os.environ[VARIABLE] = os.fsdecode(session[0])
    if not _watching:
        _watching = True
        os.register_at_fork(before=_before_fork)


def uninvite() -> None:
    """Take the invitation back."""
    os.environ.pop(VARIABLE, None)


def join() -> None:
    """Make this process one of the session it is invited to, unless it is already."""
    global _asked
    session = os.environ.get(VARIABLE)
    if not session or _asked or _core._session() is not None:
        return
    # `site` may call twice in one start, and a refusal stays one.
    _asked = True
    # Registered before the program registers anything, and so called last.
    atexit.register(end)
    _core._join(os.fsencode(session), [os.fsencode(argument) for argument in sys.orig_argv])
    invite()


def end(exiting: bool = True) -> None:
    """End this process's part; what is left to do is its parent's, or the collector's."""
    if _core._session() is not None:
        _core._stop(None, False, exiting)


class _Marker:
    """What `multiprocessing` holds by a weak reference for as long as we are wanted."""


_marker = _Marker()
_told = False


def _before_fork() -> None:
    """Have a child that `multiprocessing` forks end clean, although it ends by `os._exit`."""
    global _told
    util = sys.modules.get("multiprocessing.util")
    if _told or _core._session() is None or not hasattr(util, "Finalize"):
        return
    _told = True
    # What is called here is not called by the program, and no tool of its sees it.
    _core._quietly(lambda: util.register_after_fork(_marker, _in_multiprocessing_child))  # type: ignore[union-attr]


def _in_multiprocessing_child(_: _Marker) -> None:
    util = sys.modules["multiprocessing.util"]
    # The lowest priority: after every finalizer of the program.
    _core._quietly(lambda: util.Finalize(None, end, exitpriority=-(1 << 62)))
