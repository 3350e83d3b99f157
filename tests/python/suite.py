"""CPython's own tests with and without rtrace: each passes with it where it passes without.

    python tests/python/suite.py [--hook HOOK] MODULE...

Prints one line for each test that differs, and what is listed as expected. Exit
status 1 where one differs that is not. The interpreter that runs this is the one
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

LONG = (
    "test_generators test_coroutines test_exceptions test_threading test_functools"
    " test_contextlib test_sys_setprofile test_sys_settrace test_monitoring test_traceback"
    " test_inspect test_gc test_weakref test_fork1 test_subprocess"
).split()

# Tests that tell apart a program that is traced, by whatever tool, from one that is not.
EXPECTED = {
    "test_sys_setprofile": "takes the profile function away and counts its events",
    "test_sys_settrace": "takes the trace function away",
    "test_monitoring": "takes tool id 3, which is ours, and counts everybody's events",
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


def run(module, hook=None, trace=None, timeout=900):
    """The outcomes of a module's tests, and what it printed."""
    recorded = ["-m", "rtrace", "run", "-o", str(trace), "--hook", hook] if hook else []
    with tempfile.TemporaryDirectory(prefix="rtrace-suite-") as folder:
        done = subprocess.run(
            [sys.executable, *recorded, "-m", "unittest", "-v", f"test.{module}"],
            cwd=folder,
            env=environment(folder, TERM="dumb", HOME=folder),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    return outcomes(done.stderr.decode("utf-8", "replace")), done


def compare(module, hook):
    """([(test, without, with)], tests compared, what is wrong with the trace)."""
    without, _ = run(module)
    with tempfile.TemporaryDirectory(prefix="rtrace-suite-trace-") as folder:
        trace = os.path.join(folder, "trace.bin")
        recorded, _ = run(module, hook, trace)
        verified = run_view("verify", trace)
    different = [
        (name, without.get(name, "absent"), recorded.get(name, "absent"))
        for name in sorted(without | recorded)
        if without.get(name) != recorded.get(name)
    ]
    problem = None if verified.returncode == 0 else verified.stdout + verified.stderr
    return different, len(without), problem


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hook", default="auto")
    parser.add_argument("modules", nargs="*", default=LONG)
    arguments = parser.parse_args()
    status = 0
    version = ".".join(map(str, sys.version_info[:3]))
    for module in arguments.modules:
        different, count, problem = compare(module, arguments.hook)
        expected = EXPECTED.get(module)
        print(f"{version} {module}: {count} tests, {len(different)} differ", flush=True)
        for name, without, recorded in different:
            print(f"    {name}: {without} without, {recorded} with rtrace")
        if different and expected:
            print(f"    expected under any tracer: {expected}")
        if problem:
            print(f"    the trace does not verify: {problem}")
        if problem or different and not expected:
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
