"""CPython's own tests with and without rtrace: each passes with it where it passes without.

    python tests/python/suite.py [--hook HOOK] MODULE...

Prints each test that differs, and why where it is listed. Exit status 1 where one
differs that is not listed, and does not under a tool that does nothing. The interpreter that runs this is the one
that is tested; its `test` package and rtrace must be installed.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from support import environment, run_view

BYSTANDER = str(Path(__file__).with_name("bystander.py"))

LONG = (
    "test_generators test_coroutines test_exceptions test_threading test_functools"
    " test_contextlib test_sys_setprofile test_sys_settrace test_monitoring test_traceback"
    " test_inspect test_gc test_weakref test_fork1 test_subprocess test_asyncio"
).split()

# Tests that differ, by module and name. What differs in the same way under `bystander.py`, which asks
# for the same events and does nothing, is CPython's doing and needs no entry: for the hook
# `monitoring` nearly all of test_monitoring, which asserts that no tool is registered, and
# from 3.13 on test_sys_setprofile's test_method_with_c_function.
EXPECTED = {
    ("test_exceptions", "test_memory_error_in_PyErr_PrintEx"): "its child lets one allocation fail, and that one is"
    " rtrace's, which does without it: the child ends well",
    ("test_exceptions", "test_exec_set_nomemory_hang"): "on 3.15 its child, in which every allocation fails, crashes in"
    " _Py_call_instrumentation_arg, before any tool is called; bystander.py in the child does the same",
}


def outcomes(text):
    """{test: ok|FAIL|ERROR|skipped} of unittest's verbose listing."""
    found, name = {}, None
    for line in text.splitlines():
        begun = re.match(r"^(\w+) \(([\w.<>]+)\)", line)
        if begun:
            name = f"{begun[2]}:{begun[1]}"
        ended = re.search(r"(?:\.\.\. |^)(ok|FAIL|ERROR|skipped|expected failure)\b", line)
        if ended and name:
            found[name] = ended[1]
            name = None
    return found


def run(module, before=(), timeout=900):
    """The outcomes of a module's tests, under what is put before `-m unittest`."""
    with tempfile.TemporaryDirectory(prefix="rtrace-suite-") as folder:
        done = subprocess.run(
            [sys.executable, *before, "-m", "unittest", "-v", f"test.{module}"],
            cwd=folder,
            env=environment(folder, TERM="dumb", HOME=folder),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    return outcomes(done.stderr.decode("utf-8", "replace"))


class Comparison:
    """What a module's tests did without rtrace, with it, and under a tool that does nothing."""

    def __init__(self, module, hook, timeout=900):
        without = run(module, timeout=timeout)
        with tempfile.TemporaryDirectory(prefix="rtrace-suite-trace-") as folder:
            trace = os.path.join(folder, "trace.bin")
            command = ["-m", "rtrace", "run", "-o", trace, "--hook", hook]
            recorded = run(module, command, timeout)
            verified = run_view("verify", trace)
        self.count = len(without)
        self.problem = None if verified.returncode == 0 else verified.stdout + verified.stderr
        differ = [
            (name, without.get(name, "absent"), recorded.get(name, "absent"))
            for name in sorted(without | recorded)
            if without.get(name) != recorded.get(name)
        ]
        beside = run(module, [BYSTANDER, hook], timeout) if differ else {}
        # Each test that differs is in one of these.
        self.cpythons = [one for one in differ if beside.get(one[0], "absent") == one[2]]
        others = [one for one in differ if one not in self.cpythons]
        self.listed = [one for one in others if (module, one[0].rpartition(":")[2]) in EXPECTED]
        self.ours = [one for one in others if one not in self.listed]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hook", default="auto")
    parser.add_argument("--all", action="store_true", help="name those as under any tool, too")
    parser.add_argument("--timeout", type=float, default=900, help="seconds for one run of a module")
    parser.add_argument("modules", nargs="*", default=LONG)
    arguments = parser.parse_args()
    status = 0
    version = ".".join(map(str, sys.version_info[:3]))
    for module in arguments.modules:
        found = Comparison(module, arguments.hook, arguments.timeout)
        print(
            f"{version} {module}: {found.count} tests; {len(found.ours)} differ,"
            f" {len(found.listed)} as listed, {len(found.cpythons)} as under any tool",
            flush=True,
        )
        for name, without, recorded in found.ours:
            print(f"    {name}: {without} without, {recorded} with rtrace")
        for name, _, recorded in found.listed:
            print(f"    {recorded}, listed: {name}: {EXPECTED[module, name.rpartition(':')[2]]}")
        if arguments.all:
            for name, without, recorded in found.cpythons:
                print(f"    {name}: {without} without, {recorded} under any tool")
        if found.problem:
            print(f"    the trace does not verify: {found.problem}")
        if found.problem or found.ours:
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
