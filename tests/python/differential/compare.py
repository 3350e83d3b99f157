"""Runs programs once under the oracle and once under rtrace, and compares event by event."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import known  # noqa: E402
from support import environment, view_program  # noqa: E402

ENTRIES = ("call", "resume", "throw", "c_call")
EXITS = ("return", "yield", "unwind", "c_return", "c_exception")

BATCH = """\
import gc, sys, threading
sys.path[0] = {folder!r}
import prelude

def run(main, *workers):
    main()
    gc.collect()
    # Not in main: how a thread's start and end are waited for depends on who is faster.
    for worker in workers:
        thread = threading.Thread(target=worker)
        thread.start()
        thread.join()
        gc.collect()

{imports}
prelude.warm()
gc.collect()
gc.disable()
{calls}
"""


class Setting:
    """One way to record: a hook and what it is asked for (`c`alls, `l`ines, `o`pcodes)."""

    def __init__(self, hook, flags):
        self.hook = hook
        self.flags = flags

    def __repr__(self):
        return f"{self.hook}-{self.flags}" if self.flags else self.hook

    @property
    def options(self):
        found = ["--hook", self.hook]
        if self.hook != "trace":
            found.append("--c-calls" if "c" in self.flags else "--no-c-calls")
        if "l" in self.flags:
            found.append("--lines")
        if "o" in self.flags:
            found.append("--opcodes")
        return found


def hook_is_there(hook):
    """Whether this rtrace knows the hook on this interpreter."""
    done = subprocess.run(
        [sys.executable, "-m", "rtrace", "run", "-o", os.devnull, "--hook", hook, "-c", ""],
        capture_output=True,
        check=False,
        env=environment(),
    )
    return done.returncode != 2


def settings():
    """What is compared on this interpreter."""
    found = [Setting("profile", "c")]
    if sys.version_info >= (3, 12):
        found += [Setting("monitoring", "c"), Setting("monitoring", "clo")]
    if hook_is_there("trace"):
        found += [Setting("trace", "l"), Setting("trace", "lo")]
    return found


class NoCompiler(Exception):
    """Why the C oracle cannot be had here."""


def build_oracle(folder):
    """Compiles `oracle.c` for this interpreter; gives the folder to import it from."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    include = sysconfig.get_path("include")
    if compiler is None:
        raise NoCompiler("no C compiler is installed")
    if not os.path.exists(os.path.join(include, "Python.h")):
        raise NoCompiler(f"CPython's headers are not in {include}")
    target = Path(folder) / "_oracle.so"
    # Debian keeps a part of the configuration beside the headers' own folder.
    places = [f"-I{include}", f"-I{os.path.dirname(include)}"]
    done = subprocess.run(
        [compiler, "-O1", "-shared", "-fPIC", *places, str(HERE / "oracle.c"), "-o", str(target)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise NoCompiler(done.stderr.strip().splitlines()[-1])
    return str(folder)


def write(programs, folder):
    """The program that runs all of them, one after the other."""
    shutil.copy(HERE / "prelude.py", folder)
    # Before either hook is there: what is imported is twenty times what is compared.
    (folder / "sitecustomize.py").write_text("import prelude\n", encoding="utf-8")
    for program in programs:
        (folder / f"p_{program.seed}.py").write_text(program.source, encoding="utf-8")
    path = folder / "batch.py"
    imports = "\n".join(f"import p_{program.seed}" for program in programs)
    calls = "\n".join(
        f"run({', '.join(f'p_{program.seed}.{name}' for name in (program.name, *program.threads))})"
        for program in programs
    )
    path.write_text(BATCH.format(folder=str(folder), imports=imports, calls=calls), encoding="utf-8")
    return path


def run(command, folder):
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(folder, PYTHONWARNINGS="ignore", PYTHONPATH=str(folder)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=900,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{command[1:4]} ended with {done.returncode}: {done.stderr.decode()[-2000:]}")


def ask_oracle(path, setting, library):
    """{thread: [(kind, name, number, type, message)]} as CPython reports it."""
    log = path.with_suffix(".json")
    command = [sys.executable, str(HERE / "host.py"), setting.hook, setting.flags or "-", str(path), str(log)]
    run([*command, *([library] if library else [])], path.parent)
    found: dict = {}
    with open(log, encoding="utf-8", errors="surrogatepass") as file:
        for thread, kind, name, number, other, message in json.load(file):
            found.setdefault(thread, []).append(event(kind, name, number, other, message))
    return found


def event(kind, name, number, other, message):
    if kind.startswith("c_"):
        return (kind, other)
    if kind == "exception":
        return (kind, name, number, other, cut(message or ""))
    return (kind, name, number)


def cut(text):
    """As a record holds it; addresses, which differ between two runs, made equal."""
    kept = text.encode("utf-8", "surrogatepass")[:256].decode("utf-8", "ignore")
    return re.sub("0x[0-9a-f]+", "0x", kept)


def ask_rtrace(path, setting):
    """The same from a recording, and the depths beside it."""
    trace = path.with_suffix(".bin")
    trace.unlink(missing_ok=True)
    run([sys.executable, "-m", "rtrace", "run", "-o", str(trace), *setting.options, str(path)], path.parent)
    found: dict = {}
    depths: dict = {}
    listing = subprocess.Popen(
        [view_program(), "events", str(trace), "--json"], stdout=subprocess.PIPE
    )
    with listing:
        for line in listing.stdout or ():
            e = json.loads(line)
            kind = e["kind"]
            number = e["offset"] if kind == "opcode" else e["line"]
            name = e["type"] if kind == "exception" else e["name"]
            events = found.setdefault(e["thread"], [])
            events.append(event(kind, e["name"], number, name, e.get("message")))
            depths.setdefault(e["thread"], []).append(e["depth"])
    if listing.returncode:
        raise RuntimeError(f"rtrace-view events ended with {listing.returncode}")
    return found, depths


def outermost(threads):
    """{name: (thread, first, last)} of every main and worker, in one pass."""
    found: dict = {}
    for thread, events in threads.items():
        for at, entry in enumerate(events):
            if entry[1] is None or not entry[1].startswith(("main_", "worker_")):
                continue
            if entry[0] == "call":
                found.setdefault(entry[1], (thread, at, None))
            elif entry[0] in ("return", "unwind"):
                found[entry[1]] = (*found[entry[1]][:2], at + 1)
    return found


def depths_of(events):
    """What the depths must be, from 0 at the first event."""
    depth, kinds, out = 0, [], []
    python = 0
    for entry in events:
        if entry[0] in ENTRIES:
            out.append(depth)
            kinds.append(entry[0])
            depth += 1
        elif entry[0] in EXITS:
            depth -= 1
            kinds.pop()
            out.append(depth)
        else:
            python = max(at for at, kind in enumerate(kinds) if kind != "c_call")
            out.append(python)
    return out


class Difference:
    """The first event at which a program's two sequences part."""

    def __init__(self, program, name, at, expected, got):
        self.program = program
        self.name = name
        self.at = at
        self.expected = expected
        self.got = got

    def __str__(self):
        lines = [f"{self.name}: event {self.at} differs"]
        start = max(0, self.at - 6)
        for label, events in (("CPython", self.expected), ("rtrace ", self.got)):
            for index in range(start, min(self.at + 4, len(events))):
                mark = ">" if index == self.at else " "
                lines.append(f" {mark} {label} {index}: {events[index]}")
        return "\n".join(lines)


class Result:
    """What a batch came to."""

    def __init__(self):
        self.programs = 0
        self.threads = 0
        self.events = 0
        self.listed = known.Counts()
        self.differences: list = []

    def add(self, other):
        self.programs += other.programs
        self.threads += other.threads
        self.events += other.events
        self.listed.add(other.listed)
        self.differences += other.differences


def compare(programs, setting, library, folder=None):
    """Both runs of a batch and all that differs."""
    with tempfile.TemporaryDirectory(prefix="rtrace-differential-", dir=folder) as place:
        path = write(programs, Path(place))
        told = ask_oracle(path, setting, library)
        seen, depths = ask_rtrace(path, setting)
    result = Result()
    told_at, seen_at = outermost(told), outermost(seen)
    for program in programs:
        result.programs += 1
        for name in (program.name, *program.threads):
            if name not in told_at and name not in seen_at:
                continue
            result.threads += 1
            thread, first, last = told_at.get(name, (None, 0, 0))
            expected = known.apply(told.get(thread, []), first, last, setting, result.listed)
            thread, first, last = seen_at.get(name, (None, 0, 0))
            got = seen.get(thread, [])[first:last]
            if library is None and setting.hook != "monitoring":
                got = [("return" if e[0] == "unwind" else e[0], *e[1:]) for e in got]
            result.events += len(expected)
            if got != expected:
                at = first_difference(expected, got)
                result.differences.append(Difference(program, name, at, expected, got))
                continue
            base = depths[thread][first]
            have = [depth - base for depth in depths[thread][first:last]]
            want = depths_of(expected)
            if have != want:
                at = first_difference(want, have)
                pairs = [list(zip(events, d, strict=True)) for events, d in ((expected, want), (got, have))]
                result.differences.append(Difference(program, name, at, *pairs))
    return result


def first_difference(expected, got):
    for at, (one, other) in enumerate(zip(expected, got, strict=False)):
        if one != other:
            return at
    return min(len(expected), len(got))


def shrink(difference, setting, library, rounds=60):
    """The smallest program found that still differs, in `rounds` attempts."""
    best = difference
    tried = 0
    progress = True
    while progress and tried < rounds:
        progress = False
        for smaller in best.program.smaller():
            tried += 1
            if tried > rounds:
                break
            try:
                compile(smaller.source, "smaller", "exec")
                found = compare([smaller], setting, library).differences
            except (SyntaxError, RuntimeError):
                continue
            if found:
                best, progress = found[0], True
                break
    return best
