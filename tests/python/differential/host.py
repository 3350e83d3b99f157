"""Runs a program under CPython's own callbacks and logs every event of it.

    python host.py profile|trace|monitoring FLAGS PROGRAM LOG [FOLDER OF THE C ORACLE]

FLAGS is any of `c`, `l`, `o`: C calls, lines, opcodes. Nothing of rtrace is
imported. The callbacks are those of `oracle.c`; without it (no compiler here)
they are Python functions, which see the same events, but are themselves stopped
by the recursion limit and cannot tell a `return` from an `unwind`.
"""

import json
import sys
import threading
import types

PYTHON_EVENTS = {
    "call": "PY_START",
    "resume": "PY_RESUME",
    "throw": "PY_THROW",
    "return": "PY_RETURN",
    "yield": "PY_YIELD",
    "unwind": "PY_UNWIND",
    "exception": "RAISE",
}
C_EVENTS = {"c_call": "CALL", "c_return": "C_RETURN", "c_exception": "C_RAISE"}


ARGUMENTS = BaseException.__dict__["args"]


def definer(function):
    """The name that a bound C method has where it is defined, if that can be found."""
    bound = function.__self__
    for kind in (bound, type(bound)) if isinstance(bound, type) else (type(bound),):
        for base in kind.__mro__:
            found = vars(base).get(function.__name__)
            if not isinstance(found, types.MethodDescriptorType | types.ClassMethodDescriptorType):
                continue
            # Methods are equal where their C code and what they are bound to is the same.
            made = found.__get__(None if bound is kind else bound, kind)
            if made == function:
                return found.__qualname__
    return None


def name_of(callable_):
    """A qualified name, or the type's for objects that have none; None for Python functions."""
    while isinstance(callable_, types.MethodType):
        callable_ = callable_.__func__
    if isinstance(callable_, types.FunctionType):
        return None
    if isinstance(callable_, types.BuiltinFunctionType):
        bound = callable_.__self__
        if bound is not None and not isinstance(bound, types.ModuleType):
            return definer(callable_) or callable_.__qualname__
        return callable_.__qualname__
    named = (
        type,
        types.MethodDescriptorType,
        types.ClassMethodDescriptorType,
        types.WrapperDescriptorType,
        types.MethodWrapperType,
    )
    if isinstance(callable_, named):
        return callable_.__qualname__
    return type(callable_).__qualname__


class PythonOracle:
    """What `oracle.c` does, in Python."""

    def __init__(self):
        self.entries = []
        self.trace = self.opcodes = False

    def add(self, kind, code, number, name=None, message=None):
        entry = (threading.get_ident(), kind, code.co_qualname, number, name, message)
        self.entries.append(entry)

    def on_event(self, frame, event, argument):
        code = frame.f_code
        if event == "call":
            frame.f_trace_opcodes = self.opcodes
        if event in ("call", "return"):
            self.add(event, code, code.co_firstlineno)
        elif event == "line":
            self.add(event, code, frame.f_lineno or 0)
        elif event == "opcode":
            self.add(event, code, frame.f_lasti)
        elif event == "exception":
            self.raised(code, frame.f_lineno or 0, argument[0], argument[1])
        else:
            self.add(event, code, 0, name_of(argument))
        return self.on_event

    def raised(self, code, line, kind, error):
        # The property may be another in a subclass, and run its code.
        arguments = ARGUMENTS.__get__(error) if error is not None else ()
        text = arguments[0] if arguments and type(arguments[0]) is str else None
        self.add("exception", code, line, kind.__qualname__, text)

    def bootstrap(self, frame, event, argument):
        self.start(self.trace, self.opcodes)
        return self.on_event(frame, event, argument)

    def start(self, trace, opcodes):
        self.trace, self.opcodes = trace, opcodes
        (sys.settrace if trace else sys.setprofile)(self.on_event)

    def stop(self):
        (sys.settrace if self.trace else sys.setprofile)(None)

    def log(self):
        return self.entries

    def callback(self, kind):
        def on_code(code, *_rest):
            self.add(kind, code, code.co_firstlineno)

        def on_call(code, _offset, callable_, _argument):
            name = name_of(callable_)
            if name is not None:
                self.add(kind, code, 0, name)

        def on_place(code, number):
            self.add(kind, code, number)

        def on_raise(code, offset, error):
            lines = (line for start, end, line in code.co_lines() if start <= offset < end)
            self.raised(code, next(lines) or 0, type(error), error)

        if kind.startswith("c_"):
            return on_call
        return {"line": on_place, "opcode": on_place, "exception": on_raise}.get(kind, on_code)


def start_monitoring(oracle, flags):
    m = sys.monitoring
    wanted = dict(PYTHON_EVENTS)
    if "c" in flags:
        wanted.update(C_EVENTS)
    if "l" in flags:
        wanted["line"] = "LINE"
    if "o" in flags:
        wanted["opcode"] = "INSTRUCTION"
    m.use_tool_id(4, "oracle")
    mask = 0
    for kind, event in wanted.items():
        number = getattr(m.events, event)
        m.register_callback(4, number, oracle.callback(kind))
        mask |= number
    m.set_events(4, mask)
    return lambda: m.set_events(4, 0)


def start_function(oracle, trace, flags):
    (threading.settrace if trace else threading.setprofile)(oracle.bootstrap)
    oracle.start(trace, "o" in flags)
    return oracle.stop


def main():
    hook, flags, program, output = sys.argv[1:5]
    if sys.argv[5:]:
        sys.path.insert(0, sys.argv[5])
        import _oracle as oracle

        del sys.path[0]
    else:
        oracle = PythonOracle()
    with open(program, encoding="utf-8") as file:
        code = compile(file.read(), program, "exec")
    module = types.ModuleType("__main__")
    module.__file__ = program
    sys.modules["__main__"] = module
    sys.argv[:] = [program]
    if hook == "monitoring":
        stop = start_monitoring(oracle, flags)
    else:
        stop = start_function(oracle, hook == "trace", flags)
    try:
        exec(code, vars(module))
    finally:
        stop()
        with open(output, "w", encoding="utf-8", errors="surrogatepass") as file:
            json.dump(oracle.log(), file)


if __name__ == "__main__":
    main()
