"""Runs a program under a tool that asks for what rtrace asks for, and does nothing.

    python tests/python/bystander.py HOOK [--no-c-calls] [-m MODULE | FILE] [ARGUMENT...]

What a program does otherwise here is CPython's doing, whoever uses the hook.
"""

import runpy
import sys
import threading

EVENTS = "PY_START PY_RESUME PY_THROW PY_RETURN PY_YIELD PY_UNWIND RAISE"
C_EVENTS = " CALL C_RETURN C_RAISE"


def nothing(*_event):
    return None


def nothing_more(*_event):
    return nothing_more


def install(hook, c_calls):
    if hook == "auto":
        hook = "monitoring" if sys.version_info >= (3, 12) else "profile"
    if hook != "monitoring":
        setter, function = ("settrace", nothing_more) if hook == "trace" else ("setprofile", nothing)
        getattr(threading, setter)(function)
        getattr(sys, setter)(function)
        return
    monitoring = sys.monitoring
    # The id that rtrace takes.
    monitoring.use_tool_id(3, "bystander")
    mask = 0
    for name in (EVENTS + (C_EVENTS if c_calls else "")).split():
        event = getattr(monitoring.events, name)
        monitoring.register_callback(3, event, nothing)
        mask |= event
    monitoring.set_events(3, mask)


def main():
    hook, *rest = sys.argv[1:]
    c_calls = rest[0] != "--no-c-calls"
    rest = rest if c_calls else rest[1:]
    module = rest[0] == "-m"
    sys.argv[:] = rest[1:] if module else rest
    install(hook, c_calls)
    if module:
        sys.path[0] = ""
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
