"""Runs one of `fiber_programs` under tools that are not ours; prints what they saw as JSON.

The tools are Python functions given to `sys.monitoring`, `sys.setprofile` or `sys.settrace`, and to
`greenlet.settrace`, which says which greenlet runs. They know nothing of stacks.
"""

import json
import sys
import threading
import weakref

import fiber_programs
import greenlet

SOURCE = fiber_programs.__file__
# Of C functions those whose calls the hooks see alike.
C_NAMES = {"switch", "throw", "len", "getcurrent"}


class Log:
    """What happened, by thread name and fiber, in the words of `rtrace-view events`."""

    def __init__(self):
        self.local = threading.local()
        self.threads = {}

    def here(self):
        local = self.local
        if not hasattr(local, "numbers"):
            local.numbers = weakref.WeakKeyDictionary()
            current = greenlet.getcurrent()
            while current.parent is not None:
                current = current.parent
            local.numbers[current] = 0
            local.next = 1
            local.fiber = 0
            local.events = self.threads.setdefault(threading.current_thread().name, {})
            greenlet.settrace(self.switched)
        return local

    def switched(self, _event, pair):
        local = self.here()
        if pair[1] not in local.numbers:
            local.numbers[pair[1]] = local.next
            local.next += 1
        local.fiber = local.numbers[pair[1]]

    def add(self, kind, name):
        local = self.here()
        local.events.setdefault(local.fiber, []).append((kind, name))


def by_monitoring(log, c_calls):
    mon = sys.monitoring
    events = mon.events
    mon.use_tool_id(4, "oracle")

    def python(kind):
        def callback(code, *_rest):
            if code.co_filename == SOURCE:
                log.add(kind, code.co_qualname)

        return callback

    def c(kind):
        def callback(code, _offset, function, _first):
            name = getattr(function, "__name__", "")
            if code.co_filename == SOURCE and name in C_NAMES:
                log.add(kind, name)

        return callback

    wanted = {
        events.PY_START: python("call"),
        events.PY_RESUME: python("resume"),
        events.PY_THROW: python("throw"),
        events.PY_RETURN: python("return"),
        events.PY_YIELD: python("yield"),
        events.PY_UNWIND: python("unwind"),
    }
    if c_calls:
        wanted[events.CALL] = c("c_call")
        wanted[events.C_RETURN] = c("c_return")
        wanted[events.C_RAISE] = c("c_exception")
    mask = 0
    for event, callback in wanted.items():
        mon.register_callback(4, event, callback)
        mask |= event
    mon.set_events(4, mask)
    return lambda: mon.set_events(4, 0)


def by_profile(log, c_calls):
    def callback(frame, event, argument):
        if frame.f_code.co_filename != SOURCE:
            return
        if event in ("call", "return"):
            log.add(event, frame.f_code.co_qualname)
        elif c_calls and argument.__name__ in C_NAMES:
            log.add(event, argument.__name__)

    threading.setprofile(callback)
    sys.setprofile(callback)

    def stop():
        sys.setprofile(None)
        threading.setprofile(None)

    return stop


def by_trace(log, _c_calls):
    """Of a call that an exception leaves, `sys.settrace` tells the return, as of any other."""

    def callback(frame, event, _argument):
        if frame.f_code.co_filename == SOURCE and event in ("call", "return"):
            log.add(event, frame.f_code.co_qualname)
        return callback

    threading.settrace(callback)
    sys.settrace(callback)

    def stop():
        sys.settrace(None)
        threading.settrace(None)

    return stop


TOOLS = {"monitoring": by_monitoring, "profile": by_profile, "trace": by_trace}


def main():
    program, hook, c_calls = sys.argv[1], sys.argv[2], sys.argv[3] == "c"
    log = Log()
    if hook == "none":
        fiber_programs.PROGRAMS[program]()
        return
    log.here()
    stop = TOOLS[hook](log, c_calls)
    fiber_programs.PROGRAMS[program]()
    stop()
    sys.stderr.write(json.dumps(log.threads))


if __name__ == "__main__":
    main()
