"""Runs one workload under one tool, and prints how long it took as JSON.

    worker.py WORKLOAD TOOL [CPU]

With a CPU the program stays on it. What the tool starts (a collector) does not.
"""

import json
import os
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, os.environ.get("RTRACE_BENCH_FLOOR", ""))

import floor  # noqa: E402
import tools  # noqa: E402
import workloads  # noqa: E402

PASSES = 5
LONG_S = 6.0
FROM_S = 2.0


def once(work):
    began = time.process_time()
    work()
    return time.process_time() - began


def median(times):
    return sorted(times)[len(times) // 2]


def long(work):
    """The median pass of those that began after the second second."""
    began, late = time.perf_counter(), []
    while (now := time.perf_counter() - began) < LONG_S:
        took = once(work)
        if now >= FROM_S:
            late.append(took)
    return median(late)


def main():
    workload, tool, *cpu = sys.argv[1:]
    work = {**workloads.ALL, **workloads.SPECIAL}[workload]()
    begin = {**tools.ALL, **tools.BARE, **tools.SPECIAL, **floor.ALL}[tool]
    is_long = tool in ("rtrace-budget-5", "bare-long")
    is_once = workload in workloads.SPECIAL or tool == "cProfile"
    if not is_long and workload not in workloads.SPECIAL:
        # What is imported or specialised once is not the tool's.
        work()
    before = tools.private_bytes()
    end = begin()
    if cpu:
        os.sched_setaffinity(0, {int(cpu[0])})
    wall = time.perf_counter()
    seconds = long(work) if is_long else once(work) if is_once else median(map_once(work))
    wall = time.perf_counter() - wall
    grown = tools.private_bytes() - before
    print(json.dumps({"seconds": seconds, "wall_s": wall, "grown_bytes": grown, **end()}))


def map_once(work):
    return [once(work) for _ in range(PASSES)]


main()
