"""Runs a program under CPython's own Python-level callbacks and logs every event.

    python oracle.py monitoring|profile PROGRAM LOG

The log is JSON: a list of [thread name, kind, function name] in order of
arrival. Nothing of rtrace is imported: this is what its events are held to.
"""

import json
import sys
import threading
import types

LOG = []
MINE = __file__


def python_function(callable_):
    while isinstance(callable_, types.MethodType):
        callable_ = callable_.__func__
    return isinstance(callable_, types.FunctionType)


def name_of(callable_):
    """As the contract has it: a qualified name, or the type's for objects that have none."""
    while isinstance(callable_, types.MethodType):
        callable_ = callable_.__func__
    named = (
        type,
        types.BuiltinFunctionType,
        types.MethodDescriptorType,
        types.ClassMethodDescriptorType,
        types.WrapperDescriptorType,
        types.MethodWrapperType,
    )
    if isinstance(callable_, named):
        return callable_.__qualname__
    return type(callable_).__qualname__


def log(kind, name):
    # Not current_thread(), which would register a thread that is still being born.
    thread = threading._active.get(threading.get_ident())
    LOG.append((getattr(thread, "name", "?"), kind, name))


def start_monitoring():
    m = sys.monitoring
    e = m.events
    m.use_tool_id(4, "oracle")

    def on_code(kind):
        def callback(code, *_rest):
            if code.co_filename != MINE:
                log(kind, code.co_qualname)

        return callback

    def on_call(kind):
        def callback(code, _offset, callable_, _argument):
            if code.co_filename != MINE and not python_function(callable_):
                log(kind, name_of(callable_))

        return callback

    def on_raise(code, _offset, error):
        if code.co_filename != MINE:
            log("exception", code.co_qualname)

    python = {
        e.PY_START: "call",
        e.PY_RESUME: "resume",
        e.PY_THROW: "throw",
        e.PY_RETURN: "return",
        e.PY_YIELD: "yield",
        e.PY_UNWIND: "unwind",
    }
    for event, kind in python.items():
        m.register_callback(4, event, on_code(kind))
    for event, kind in {e.CALL: "c_call", e.C_RETURN: "c_return", e.C_RAISE: "c_exception"}.items():
        m.register_callback(4, event, on_call(kind))
    m.register_callback(4, e.RAISE, on_raise)
    m.set_events(4, e.CALL | e.C_RETURN | e.C_RAISE | e.RAISE | sum(python))
    return lambda: m.set_events(4, 0)


def start_profile():
    def callback(frame, event, argument):
        if frame.f_code.co_filename == MINE:
            return
        if event.startswith("c_"):
            log(event, name_of(argument))
        else:
            log(event, frame.f_code.co_qualname)

    threading.setprofile(callback)
    sys.setprofile(callback)
    return lambda: sys.setprofile(None)


def main():
    hook, program, output = sys.argv[1:]
    with open(program, encoding="utf-8") as file:
        code = compile(file.read(), program, "exec")
    module = types.ModuleType("__main__")
    module.__file__ = program
    sys.modules["__main__"] = module
    stop = start_monitoring() if hook == "monitoring" else start_profile()
    try:
        exec(code, vars(module))
    finally:
        stop()
        for thread in threading.enumerate():
            if thread is not threading.current_thread():
                thread.join()
        with open(output, "w", encoding="utf-8") as file:
            json.dump(LOG, file)


if __name__ == "__main__":
    main()
