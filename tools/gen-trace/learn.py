#!/usr/bin/env python3
"""Learns how real programs call, for `gen-trace`.

    tools/gen-trace/learn.py MODEL TRACE...

Reads traces with `rtrace-view events --json` (the path in RTRACE_VIEW, else
the one on PATH) and writes the model: for each function how often it was
called, which calls it made in what order, how long it ran between two of them,
and how often it ended by an exception. Only the most called functions are kept.

A line of the model is one function, its fields separated by tabs:

    name, module, file, line, python|c, calls, unwinds,
    gaps    17 quantiles (0, 1/16 ... 1) of the ns between two records in it
    bodies  what it did most often: `times:count:callee callee ...`, separated by
            commas; `count` calls were made, of which the first 16 are listed, as
            line numbers in the model (from 0)
"""

import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict

FUNCTIONS = 700
BODIES = 8
CALLEES = 16
SAMPLES = 20_000

ENTRIES = {"call", "resume", "throw", "c_call"}
EXITS = {"return", "unwind", "yield", "c_return", "c_exception"}


class Function:
    """What was seen of one function."""

    def __init__(self):
        self.calls = 0
        self.unwinds = 0
        self.gaps = []
        self.bodies = Counter()

    def gap(self, ns):
        if len(self.gaps) < SAMPLES:
            self.gaps.append(ns)


def learn(events, functions):
    """Adds the calls of one trace."""
    stacks = defaultdict(list)
    for event in events:
        kind, now = event["kind"], event["ts_ns"]
        stack = stacks[event["thread"], event["fiber"]]
        if kind in ENTRIES:
            key = tuple(event[part] for part in ("name", "module", "file", "line"))
            key += ("c" if kind == "c_call" else "python",)
            functions[key].calls += 1
            if stack:
                caller = stack[-1]
                functions[caller[0]].gap(now - caller[1])
                caller[2] += 1
                if len(caller[3]) < CALLEES:
                    caller[3].append(key)
            stack.append([key, now, 0, []])
        elif kind in EXITS and stack:
            key, before, count, callees = stack.pop()
            functions[key].gap(now - before)
            functions[key].unwinds += kind in ("unwind", "c_exception")
            functions[key].bodies[count, tuple(callees)] += 1
            if stack:
                stack[-1][1] = now


def anywhere(file):
    """A path without what it says of the machine that it was recorded on."""
    library = re.search(r"/lib/(python3\.\d+/.*)", file)
    if library:
        return f"/usr/lib/{library[1]}"
    return file if file.startswith("<") or not file else f"/srv/app/{os.path.basename(file)}"


def quantiles(values):
    values = sorted(values) or [0]
    return [values[round((len(values) - 1) * part / 16)] for part in range(17)]


def write(functions, path):
    kept = sorted(functions, key=lambda key: -functions[key].calls)[:FUNCTIONS]
    number = {key: at for at, key in enumerate(kept)}
    with open(path, "w", encoding="utf-8") as file:
        for key in kept:
            function = functions[key]
            name, module, source, line, kind = key
            fields = [name, module, anywhere(source or ""), line or 0, kind]
            fields += [function.calls, function.unwinds]
            fields.append(",".join(map(str, quantiles(function.gaps))))
            bodies = []
            for (count, callees), times in function.bodies.most_common(BODIES):
                known = [str(number[callee]) for callee in callees if callee in number]
                bodies.append(f"{times}:{count if known else 0}:{' '.join(known)}")
            fields.append(",".join(bodies))
            file.write("\t".join(map(str, fields)) + "\n")


def main():
    model, *traces = sys.argv[1:]
    view = os.environ.get("RTRACE_VIEW", "rtrace-view")
    functions = defaultdict(Function)
    for trace in traces:
        command = [view, "events", trace, "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            learn(map(json.loads, process.stdout), functions)
    write(functions, model)


if __name__ == "__main__":
    main()
