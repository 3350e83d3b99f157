"""Runs one command after another, keeps their output, adds up what passed."""

import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

NEXTEST = re.compile(r"tests? run: (\d+) passed(.*)")
CARGO_TEST = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored", re.M)


class Steps:
    """The run so far: totals, and notes on what was left out."""

    def __init__(self, logs, environment):
        self.logs = logs
        self.environment = environment
        self.passed = 0
        self.failed = 0
        self.skipped = 0
        self.broken = []
        self.notes = []
        logs.mkdir(parents=True, exist_ok=True)

    def note(self, text):
        self.notes.append(text)
        print(f"   {text}", flush=True)

    def run(self, name, command, count=None, environment=None, cwd=None):
        """Runs `command`; `count(output)` gives (passed, failed, skipped), else it is one check.

        Output goes to a file, and to the terminal where the step fails.
        """
        print(f"== {name} ...", end=" ", flush=True)
        began = time.monotonic()
        path = self.logs / (re.sub(r"[^\w.]+", "-", name) + ".log")
        with open(path, "w+b") as log:
            log.write(("$ " + " ".join(map(str, command)) + "\n").encode())
            log.flush()
            try:
                done = subprocess.run(
                    [str(part) for part in command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**self.environment, **(environment or {})},
                    cwd=cwd,
                    check=False,
                ).returncode
            except OSError as error:
                log.write(f"{error}\n".encode())
                done = 127
            log.seek(0)
            output = log.read().decode(errors="replace")
        counted = (count(output) if count else None) or (int(done == 0), int(done != 0), 0)
        passed, failed, skipped = counted
        if done and not failed:
            failed = 1
        self.passed += passed
        self.failed += failed
        self.skipped += skipped
        seconds = time.monotonic() - began
        counts = f"{passed} passed" + (f", {failed} failed" if failed else "")
        counts += f", {skipped} skipped" if skipped else ""
        print(f"{counts if count else 'ok' if not done else 'FAILED'} ({seconds:.0f} s)")
        if done or failed:
            self.broken.append(name)
            sys.stdout.write(output[-12000:] + f"\n   (all of it: {path})\n")
        sys.stdout.flush()
        return done == 0

    def finish(self):
        """Prints the totals; the process's exit status."""
        for note in self.notes:
            print(f"note: {note}")
        for name in self.broken:
            print(f"failed: {name}")
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        return 1 if self.failed or self.broken else 0


def nextest(output):
    found = NEXTEST.findall(output)
    if not found:
        return None
    passed, rest = found[-1]
    bad = sum(int(n) for n in re.findall(r"(\d+) (?:failed|timed out|exec failed)", rest))
    skipped = re.search(r"(\d+) skipped", rest)
    return int(passed), bad, int(skipped[1]) if skipped else 0


def cargo_test(output):
    found = CARGO_TEST.findall(output)
    if not found:
        return None
    return tuple(sum(int(one[at]) for one in found) for at in range(3))


def junit(path):
    """A counter that reads pytest's own report."""

    def count(_output):
        if not os.path.exists(path):
            return None
        suite = ElementTree.parse(path).getroot()
        suite = suite[0] if suite.tag == "testsuites" else suite
        total, failures, errors, skipped = (
            int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")
        )
        return total - failures - errors - skipped, failures + errors, skipped

    return count
