"""The figures that rtrace is to reach, each measured, beside its goal.

Every row is a ratio of medians or a size; processes of one row run by turns, so that what else
the machine does falls on all of them.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from benching import workloads  # noqa: E402

CPU = str(min(os.sched_getaffinity(0)))


class Bench:
    """What rows need: `run(python, workload, tool, *cpu)`, interpreters by version, rounds."""

    def __init__(self, run, pythons, view, rounds):
        self.run, self.pythons, self.view, self.rounds = run, pythons, view, rounds
        self.rows = []

    def row(self, what, value, goal, unit="x", least=False):
        """Notes a row; `value` is a number, a list of one for each round, or why there is none."""
        spread = ""
        if isinstance(value, list):
            spread = f"{min(value):.2f}-{max(value):.2f}" if len(value) > 1 else ""
            value = statistics.median(value) if value else "failed"
        reached = None
        if goal is not None and not isinstance(value, str):
            reached = value >= goal if least else value <= goal
        self.rows.append(
            {"what": what, "value": value, "spread": spread, "goal": goal, "reached": reached}
        )
        shown = value if isinstance(value, str) else f"{value:.2f} {unit}"
        bound = "" if goal is None else f"{'>=' if least else '<='} {goal:g} {unit}"
        verdict = {True: "reached", False: "NOT reached", None: ""}[reached]
        print(f"  {what:58} {shown:>12} {spread:>12}   {bound:14} {verdict}", flush=True)

    def turns(self, version, workload, tools, cpu=(CPU,)):
        """By round: the seconds under each tool; rounds in which one failed are left out."""
        found = []
        for _ in range(self.rounds):
            measured = {}
            for tool in tools:
                # A collector is to have the other CPU.
                own = cpu if cpu else ()
                measured[tool] = self.run(self.pythons[version], workload, tool, *own)
            if all("seconds" in one for one in measured.values()):
                found.append({tool: one["seconds"] for tool, one in measured.items()})
        return found


def added(measured, tool, other):
    """By round: what `tool` adds to the bare run, over what `other` adds."""
    ratios = []
    for one in measured:
        bare = one["bare"]
        if one[other] > bare:
            ratios.append((one[tool] - bare) / (one[other] - bare))
    return ratios


def over(measured, tool, other="bare"):
    return [one[tool] / one[other] for one in measured]


def python_only(bench, version):
    tools = ["bare", "floor-nothing", "floor-storing", "rtrace", "viztracer-no-c", "rtrace-full"]
    seen = bench.turns(version, "fib", tools)
    bench.row(
        "Python only, fib: added, over a hook's with clock and store",
        added(seen, "rtrace", "floor-storing"),
        1.35,
    )
    bench.row(
        "  over VizTracer's --ignore_c_function", added(seen, "rtrace", "viztracer-no-c"), 0.7
    )
    bench.row(
        "  full mode over flight, collector on the other CPU",
        added(seen, "rtrace-full", "rtrace"),
        1.25,
    )
    told(bench, seen, tools)


def with_c_calls(bench, version):
    tools = ["bare", "floor-nothing-c", "floor-storing-c", "rtrace-c-calls", "viztracer"]
    for workload in ("builtins", "mixed"):
        seen = bench.turns(version, workload, tools)
        bench.row(
            f"with C calls, {workload}: added, over VizTracer's",
            added(seen, "rtrace-c-calls", "viztracer"),
            0.65,
        )
        told(bench, seen, tools)


def profile(bench):
    if "3.11" not in bench.pythons:
        return bench.row("hook profile on 3.11, over one that does nothing", "no 3.11", 1.15)
    tools = ["bare", "floor-profile-nothing", "floor-profile-storing", "rtrace-profile-python"]
    seen = bench.turns("3.11", "fib", tools)
    bench.row(
        "hook profile on 3.11, fib: over one that does nothing",
        over(seen, "rtrace-profile-python", "floor-profile-nothing"),
        1.15,
    )
    told(bench, seen, tools)


def told(bench, seen, tools):
    """The slowdowns that the ratios before are made of."""
    medians = {tool: statistics.median(over(seen, tool)) for tool in tools[1:] if seen}
    print("    " + ", ".join(f"{tool} {value:.2f}x" for tool, value in medians.items()))


def filtered(bench, version):
    for workload in ("fib", "objects"):
        seen = bench.turns(version, workload, ["bare", "rtrace-excluded"])
        bench.row(
            f"everything excluded, {workload}: over bare", over(seen, "rtrace-excluded"), 1.02
        )


def budget(bench, version):
    for workload in workloads.BUDGET:
        pairs = []
        for _ in range(max(1, bench.rounds // 2)):
            python = bench.pythons[version]
            bare = bench.run(python, workload, "bare-long", CPU)
            under = bench.run(python, workload, "rtrace-budget-5", CPU)
            if "seconds" in bare and "seconds" in under:
                pairs.append(under["seconds"] / bare["seconds"])
        bench.row(f"--budget 5, {workload}: over bare, from second 2 on", pairs, 1.07)


RING = """
import sys
sys.path.insert(0, sys.argv[2])
import glob, rtrace, workloads
from rtrace_py import session
work = workloads.fib()
rtrace.start(sys.argv[3], ring_dir=sys.argv[1], ring_size="1MiB")
for _ in range(3): work()
[path] = glob.glob(sys.argv[1] + "/**/ring-*", recursive=True)
full = [one for one in session.read_ring(open(path, "rb").read()).segments if one.flags & 1]
rtrace.stop()
print(len(full) * 16384 / sum(one.numbered for one in full))
"""


def sizes(bench, version):
    python = bench.pythons[version]
    with tempfile.TemporaryDirectory(prefix="rtrace-bench-") as folder:
        paths = os.pathsep.join([str(ROOT / "tools"), str(ROOT / "tools" / "benching")])
        done = subprocess.run(
            [
                python,
                "-c",
                RING.replace(
                    "sys.path.insert(0, sys.argv[2])", "sys.path[:0] = sys.argv[2].split(':')"
                ),
                folder,
                paths,
                str(Path(folder) / "trace.bin"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    value = float(done.stdout) if done.returncode == 0 else done.stderr[-80:]
    bench.row("ring, bytes an event with headers and keyframes", value, 8 * 1.04, "B")
    for workload, tool, goal in (
        ("fib", "rtrace-full", 1.5),
        ("mixed", "rtrace-full-c-calls", 2.3),
    ):
        ours = bench.run(python, workload + "_once", tool)
        theirs = bench.run(python, workload + "_once", "viztracer-cvf")
        calls = bench.run(python, workload + "_once", "cProfile").get("calls", 0)
        if not calls or "trace_bytes" not in ours:
            bench.row(f"trace.bin, {workload}: bytes a call", "failed", goal, "B")
            continue
        bench.row(f"trace.bin, {workload}: bytes a call", ours["trace_bytes"] / calls, goal, "B")
        if "trace_bytes" in theirs:
            ratio = ours["trace_bytes"] / theirs["trace_bytes"]
            bench.row(
                f"  over VizTracer's .cvf ({theirs['trace_bytes'] / calls:.2f} B)", ratio, 1.0
            )


class Watched(threading.Thread):
    """The CPU time of the collector of a session below a directory, to within 5 ms of its end."""

    def __init__(self, rings):
        super().__init__(daemon=True)
        self.rings, self.seconds, self.over = rings.encode(), None, False

    def run(self):
        pid = None
        while not self.over:
            pid = pid or self.find()
            try:
                if pid:
                    ran = Path(f"/proc/{pid}/schedstat").read_text().split()[0]
                    self.seconds = int(ran) / 1e9
            except (OSError, IndexError):
                return
            time.sleep(0.005)

    def find(self):
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().split(b"\0")
            except OSError:
                continue
            if b"_collect" in words and any(word.startswith(self.rings) for word in words):
                return path.parent.name
        return None


def ten_million(bench, version):
    """Ten million events in full mode: the collector, its end, and the memory it took."""
    rates, costs, stops, growths, lost = [], [], [], [], []
    for _ in range(bench.rounds):
        with tempfile.TemporaryDirectory(prefix="rtrace-bench-", dir="/dev/shm") as rings:
            watched = Watched(rings)
            watched.start()
            kept = os.path.join(rings, "trace.bin")
            env = {"RTRACE_RING_DIR": rings, "RTRACE_BENCH_KEEP": kept}
            one = bench.run(bench.pythons[version], "ten_million", "rtrace-full", CPU, env=env)
            watched.over = True
            watched.join()
            if "seconds" not in one:
                continue
            shown = [bench.view, "info", "--json", kept]
            info = json.loads(subprocess.run(shown, capture_output=True, check=True).stdout)
        rates.append(info["events"] / one["seconds"] / 1e6)
        stops.append(one["stop_s"])
        growths.append(one["grown_bytes"] / (1 << 20))
        lost.append(info["lost_events"])
        if watched.seconds is not None:
            costs.append(watched.seconds * 1e7 / info["events"])
    bench.row("collector: CPU seconds for 10 M events", costs, 0.3, "s")
    bench.row(
        "  which is, with a core of its own, in M events/s",
        [10 / cost for cost in costs],
        30,
        "M/s",
        least=True,
    )
    bench.row("  beside it fib wrote, in M events/s of its CPU time", rates, None, "M/s")
    bench.row("  of which were lost, at most", float(max(lost, default=0)), 0, "")
    bench.row("stop: from the end to a finished trace.bin, 10 M events", stops, 0.3, "s")
    bench.row("memory over the rings, 10 M events", growths, 8, "MiB")


START = (
    "import sys, time; began = time.perf_counter(); import rtrace; rtrace.start(sys.argv[1]);"
    "print(time.perf_counter() - began)"
)


def start(bench, version):
    times = []
    # An installed package's modules are compiled; a variable may forbid to keep that.
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    with tempfile.TemporaryDirectory(prefix="rtrace-bench-") as folder:
        for number in range(max(5, bench.rounds) + 1):
            command = [bench.pythons[version], "-c", START, f"{folder}/{number}.bin"]
            done = subprocess.run(command, capture_output=True, text=True, env=clean, check=False)
            times.append(float(done.stdout) * 1000 if done.returncode == 0 else 0)
    # The first one reads the files from the disk.
    bench.row("start: import rtrace; rtrace.start()", times[1:], 25, "ms")


def measure(bench, version):
    print(f"CPython {version}, {bench.rounds} rounds, medians; x: times\n")
    python_only(bench, version)
    with_c_calls(bench, version)
    profile(bench)
    filtered(bench, version)
    budget(bench, version)
    sizes(bench, version)
    ten_million(bench, version)
    start(bench, version)
    return bench.rows
