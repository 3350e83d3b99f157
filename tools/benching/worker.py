"""Runs one workload under one tool, and prints how long it took as JSON."""

import json
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

import tools  # noqa: E402
import workloads  # noqa: E402

LONG_S = 6.0
FROM_S = 2.0


def once(work):
    began = time.process_time()
    work()
    return time.process_time() - began


def long(work):
    """The median pass of those that began after the second second."""
    began, late = time.perf_counter(), []
    while (now := time.perf_counter() - began) < LONG_S:
        took = once(work)
        if now >= FROM_S:
            late.append(took)
    return sorted(late)[len(late) // 2]


def main():
    workload, tool = sys.argv[1:]
    work = {**workloads.ALL, "nothing": workloads.nothing}[workload]()
    begin = {**tools.ALL, **tools.BARE, **tools.BUDGET}[tool]
    is_long = tool in tools.BUDGET or tool == "bare-long"
    if not is_long:
        # What is imported or specialised once is not the tool's.
        work()
    end = begin()
    seconds = long(work) if is_long else once(work)
    print(json.dumps({"seconds": seconds, **end()}))


main()
