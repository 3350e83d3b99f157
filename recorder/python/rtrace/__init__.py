"""A flight recorder for Python programs.

    import rtrace
    rtrace.start("trace.bin")
    ...
    rtrace.stop()

The same as a command, for a whole program: ``python -m rtrace run app.py``.
What was recorded is read with ``rtrace-view trace.bin``, also while the program
still runs, and after it was killed.
"""

from __future__ import annotations

import os as _os

from rtrace import _core
from rtrace._api import counter, mark, recording, snapshot, span, start, stop

__version__ = _core.__version__

__all__ = ["counter", "mark", "recording", "snapshot", "span", "start", "stop"]

# Code from here is never recorded: it is not the program's.
_core._set_home(_os.fsencode(_os.path.dirname(_os.path.abspath(__file__))) + b"/")
# The name `stdlib` in filters stands for what is here.
_core._set_stdlib(_os.fsencode(_os.path.dirname(_os.__file__)) + b"/")
