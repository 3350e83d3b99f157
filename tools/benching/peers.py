"""The same calls in the file that VizTracer writes, and what others take to sum them up.

VizTracer's file is JSON: one object of about 130 bytes a call. It is written here from the
calls of a synthetic trace, so that its readers have the same work as ours: to load the file
and to add calls and times up by function. Readers that are not installed are left out.
"""

import json
import shutil
import statistics
import subprocess
import sys

from .watched import watched

# More is more than JSON.parse takes: Node refuses texts above 512 MiB.
EVENTS = 2_000_000

IN_PYTHON = """
import json, sys
from collections import defaultdict
with open(sys.argv[1], encoding="utf-8") as file:
    events = json.load(file)["traceEvents"]
calls, total = defaultdict(int), defaultdict(float)
for event in events:
    calls[event["name"]] += 1
    total[event["name"]] += event["dur"]
print(len(calls))
"""

IN_NODE = """
const events = JSON.parse(require("fs").readFileSync(process.argv[1], "utf8")).traceEvents;
const calls = new Map(), total = new Map();
for (const { name, dur } of events) {
  calls.set(name, (calls.get(name) || 0) + 1);
  total.set(name, (total.get(name) || 0) + dur);
}
console.log(calls.size);
"""


def all_of(view, generate, folder, rounds):
    """By reader: seconds, and bytes of memory of its own."""
    trace, viztracer = folder / "peers.bin", folder / "peers.json"
    watched([generate, "--events", str(EVENTS), "--threads", "4", "-o", trace])
    calls = convert(view, trace, viztracer)
    commands = {
        "rtrace-view report": [view, "report", trace],
        "Python, json.load and a loop": [sys.executable, "-c", IN_PYTHON, viztracer],
        "Node, JSON.parse and a loop": [shutil.which("node"), "-e", IN_NODE, viztracer],
        "Perfetto's trace_processor": [
            shutil.which("trace_processor_shell"),
            "-Q",
            "select name, count(*), sum(dur) from slice group by name",
            viztracer,
        ],
    }
    found = {"calls": calls, "readers": {}}
    found["bytes"] = {"trace.bin": trace.stat().st_size, "JSON": viztracer.stat().st_size}
    for name, command in commands.items():
        if command[0] is None:
            found["readers"][name] = None
            continue
        ran = [watched(command) for _ in range(rounds)]
        found["readers"][name] = {
            "seconds": [one.seconds for one in ran],
            "own_bytes": max(one.own for one in ran),
        }
    return found


def convert(view, trace, path):
    """Writes every call that ended as VizTracer does; gives their number."""
    events = subprocess.Popen([view, "events", trace, "--json"], stdout=subprocess.PIPE)
    open_calls, calls = {}, 0
    with open(path, "w", encoding="utf-8") as out:
        out.write('{"traceEvents": [')
        for line in events.stdout:
            event = json.loads(line)
            stack = open_calls.setdefault((event["thread"], event["fiber"]), [])
            kind = event["kind"]
            if kind in ("call", "resume", "throw", "c_call"):
                stack.append(event["ts_ns"])
            elif kind in ("return", "unwind", "yield", "c_return", "c_exception") and stack:
                start = stack.pop()
                out.write(",\n" if calls else "\n")
                call = {
                    "pid": event["pid"],
                    "tid": event["tid"],
                    "ts": start / 1e3,
                    "ph": "X",
                    "dur": (event["ts_ns"] - start) / 1e3,
                    "name": f"{event['name']} ({event['file']}:{event['line']})",
                    "cat": "FEE",
                }
                out.write(json.dumps(call))
                calls += 1
        out.write('], "viztracer_metadata": {"version": "1.1.1", "overflow": false}}\n')
    events.wait()
    return calls


def table(found):
    sizes = ", ".join(f"{name} {size:,} bytes" for name, size in found["bytes"].items())
    lines = [f"\nsummed up by function: {found['calls']:,} calls; {sizes}"]
    lines.append(f"  {'':46} {'median':>10} {'worst':>10} {'own MiB':>10}")
    for name, seen in found["readers"].items():
        if seen is None:
            lines.append(f"  {name:46} not installed")
            continue
        median, worst = statistics.median(seen["seconds"]), max(seen["seconds"])
        own = seen["own_bytes"] / 2**20
        lines.append(f"  {name:46} {median * 1e3:7.0f} ms {worst * 1e3:7.0f} ms {own:10.0f}")
    return "\n".join(lines)
