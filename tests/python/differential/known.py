"""Where CPython itself is at fault, by version: the differences that are expected.

`FAULTS` change what rtrace shows: the oracle's events are changed in the same
way, and every change is counted, so that a test can demand that there are none
on the releases without the fault. `SEEN` are told by CPython and shown by rtrace
as they are; listed so that a reader of a trace can look them up. For each there
is a hard case, and a test that it occurs on the releases named and on no other.
"""

import sys


class Fault:
    """A fault, the hard case that shows it, and the releases that have it."""

    def __init__(self, name, hook, case, affected, occurs, what):
        self.name = name
        self.hook = hook
        self.case = case
        self.affected = affected
        self.occurs = occurs
        self.what = what


def lone_return(events):
    names = [entry for entry in events if entry[1] == "len"]
    return names == [("c_return", "len")]


def entries(events, name):
    return [entry[0] for entry in events if entry[1] == name and entry[0] != "line"]


LONE_RETURN = Fault(
    "c_return without c_call",
    "profile",
    "bound_builtin",
    lambda version: (3, 12, 0) <= version < (3, 12, 5),
    lone_return,
    "gh-122029: the C_CALL of a method made of a builtin is left out. A return without"
    " a call cannot stand in a stack: rtrace leaves it out too",
)

FAULTS = (LONE_RETURN,)


def close_is_silent(version):
    """gh-140373: broken after 3.12.1, mended in 3.13.12, 3.14.1 and 3.15."""
    return (
        (3, 12, 3) <= version < (3, 13, 0)
        or (3, 13, 0) <= version < (3, 13, 12)
        or version == (3, 14, 0)
    )


SEEN = (
    Fault(
        "closing a suspended generator is silent (profile)",
        "profile",
        "close_suspended",
        close_is_silent,
        lambda events: entries(events, "gen") == ["call", "return"],
        "no CALL and RETURN for close() at a yield that is not in a try",
    ),
    Fault(
        "closing a suspended generator is silent (monitoring)",
        "monitoring",
        "close_suspended",
        lambda version: version >= (3, 12) and close_is_silent(version),
        lambda events: entries(events, "gen") == ["call", "yield"],
        "no PY_THROW and PY_UNWIND for close() at a yield that is not in a try",
    ),
    Fault(
        "an unstarted generator that is deleted runs",
        "profile",
        "deleted_unstarted",
        lambda version: version < (3, 12),
        lambda events: "call" in entries(events, "gen"),
        "3.11 enters it with GeneratorExit: CALL, RETURN with NULL",
    ),
)


def affected(fault, version=None):
    return fault.affected(version or sys.version_info[:3])


class Counts(dict):
    """How often each listed difference occurred."""

    def note(self, fault):
        self[fault.name] = self.get(fault.name, 0) + 1

    def add(self, other):
        for name, count in other.items():
            self[name] = self.get(name, 0) + count


def apply(events, first, last, setting, counts):
    """The oracle's events with the listed differences made."""
    found = events[first:last]
    if setting.hook != "profile":
        return found
    out, open_calls = [], []
    for entry in found:
        kind = entry[0]
        if kind == "call":
            open_calls.append(None)
        elif kind in ("return", "unwind"):
            open_calls.pop()
        elif kind == "c_call":
            open_calls.append(entry[1])
        elif kind in ("c_return", "c_exception"):
            if open_calls[-1] != entry[1]:
                counts.note(LONE_RETURN)
                continue
            open_calls.pop()
        out.append(entry)
    return out
