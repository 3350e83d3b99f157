"""Called by `site` at every start of this environment's Python; does nothing unless the
process was started by one that rtrace records. Belongs to the package `rtrace`."""

import os


def join():
    if "RTRACE_SESSION" in os.environ:
        try:
            from rtrace import _children

            _children.join()
        except Exception:  # noqa: BLE001, S110
            # Whatever it is: the program runs as it would without us, and says nothing.
            pass
