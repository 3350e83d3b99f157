"""The hooks themselves, without a recorder: see floor.c."""

import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

SOURCE = Path(__file__).resolve().parent / "floor.c"
PYTHON_ONLY = ["PY_START", "PY_RESUME", "PY_THROW", "PY_RETURN", "PY_YIELD", "PY_UNWIND", "RAISE"]
C_CALLS = ["CALL", "C_RETURN", "C_RAISE"]


def build(folder):
    """Compiles the extension for the interpreter that runs this."""
    compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")
    include = sysconfig.get_path("include")
    command = [*compiler, "-O2", "-shared", "-fPIC", f"-I{include}", str(SOURCE)]
    subprocess.run([*command, "-o", str(Path(folder) / "floor_hooks.so")], check=True)


def monitoring(made, events):
    """Registers what `made` makes for all events, as a recorder does."""

    def begin():
        import floor_hooks

        callback = getattr(floor_hooks, made)()
        hooks, tool, mask = sys.monitoring, 3, 0
        hooks.use_tool_id(tool, "floor")
        for name in events:
            number = getattr(hooks.events, name)
            hooks.register_callback(tool, number, callback)
            mask |= number
        hooks.set_events(tool, mask)
        return lambda: hooks.set_events(tool, 0) or {}

    return begin


def profile(which):
    def begin():
        import floor_hooks

        floor_hooks.profile(which)
        return lambda: floor_hooks.profile(0) or {}

    return begin


ALL = {
    "floor-nothing": monitoring("nothing_callback", PYTHON_ONLY),
    "floor-storing": monitoring("storing_callback", PYTHON_ONLY),
    "floor-nothing-c": monitoring("nothing_callback", [*PYTHON_ONLY, *C_CALLS]),
    "floor-storing-c": monitoring("storing_callback", [*PYTHON_ONLY, *C_CALLS]),
    "floor-profile-nothing": profile(1),
    "floor-profile-storing": profile(2),
}

if __name__ == "__main__":
    build(sys.argv[1])
