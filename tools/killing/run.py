"""Runs a case: starts the program, ends it, looks at what is left."""

import os
import random
import shutil
import signal
import struct
import subprocess

import tempfile
import time
from pathlib import Path

from .check import Check, Reader, Shared

PROGRAM = Path(__file__).with_name("program.py")
LONGEST = 30


class Machine:
    """Where programs run and what they are looked at with."""

    def __init__(self, python, view, base=None):
        self.python, self.view = python, view
        shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = Path(tempfile.mkdtemp(prefix="rtrace-kill-", dir=base or shm))

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def environment(self):
        found = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "RTRACE_"))}
        found["RTRACE_RING_DIR"] = str(self.folder)
        found["PYTHONDONTWRITEBYTECODE"] = "1"
        return found

    def run(self, case):
        """What is wrong with a case's trace, as a list of lines."""
        return Run(self, case).wrong()


class Run:
    def __init__(self, machine, case):
        self.machine, self.case = machine, case
        self.reader = Reader(machine.view)
        self.folder = machine.folder / case.seed.replace("/", "-")
        self.folder.mkdir()
        self.trace = self.folder / "trace.bin"
        self.shared = self.folder / "shared"
        self.shared.write_bytes(bytes(4096))
        self.die = random.Random(case.seed + "/when")

    def wrong(self):
        case = self.case
        process = self.start()
        try:
            collector = self.end(process)
            wrong = self.look(case.whole)
            if case.packing and not wrong:
                wrong = self.pack(collector)
        finally:
            process.kill()
            process.wait()
        if not wrong:
            self.clean_up()
        return wrong

    def start(self):
        case, path = self.case, [str(self.folder / "snapshot.bin")] if self.case.snapshots else []
        command = [self.machine.python, "-m", "rtrace", "run", "-o", str(self.trace)]
        command += ["--mode", case.mode, "--hook", case.hook, "--ring-size", str(case.ring_size)]
        told = (self.shared, case.threads, case.depth, case.steps, case.ending, case.at)
        with open(self.folder / "output", "wb") as output:
            return subprocess.Popen(
                [*command, *case.flags, str(PROGRAM), *map(str, told), *path],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self.machine.environment(),
                cwd=self.folder,
            )

    def end(self, process):
        """Ends the program as the case wants it; gives the collector's pid."""
        case, limit = self.case, time.monotonic() + LONGEST
        collector = None
        waits = {"start": None, "run": 0, "stop": 58 * 8}[case.moment]
        if case.at:
            waits = 57 * 8
        if waits is not None:
            self.wait_for(process, waits, limit)
        if case.also:
            collector = self.collector()
        if case.also == "collector" and collector:
            os.kill(collector, signal.SIGKILL)
        if case.at:
            try:
                process.wait(LONGEST)
            except subprocess.TimeoutExpired:
                process.kill()
        else:
            time.sleep(case.delay)
            process.kill()
        if case.also == "both" and collector:
            time.sleep(self.die.random() * 0.01)
            kill(collector)
        process.wait()
        return collector

    def wait_for(self, process, offset, limit):
        with open(self.shared, "rb", buffering=0) as file:
            while process.poll() is None and time.monotonic() < limit:
                if struct.unpack("<Q", os.pread(file.fileno(), 8, offset))[0]:
                    return
                time.sleep(0.0005)

    def session(self):
        found = [path.parent for path in self.machine.folder.glob("rtrace-*/*/session")]
        return [path for path in found if self.is_ours(path)]

    def is_ours(self, path):
        try:
            return os.fsencode(self.trace) in (path / "session").read_bytes()
        except OSError:
            return False

    def collector(self):
        """The pid in the session file, if one was started."""
        for path in self.session():
            try:
                page = (path / "session").read_bytes()
            except OSError:
                continue
            pid = struct.unpack_from("<Q", page, 72)[0] if len(page) >= 80 else 0
            if pid:
                return pid
        return None

    def look(self, whole):
        shared = Shared(self.shared)
        return Check(self.reader, self.trace, self.case, shared).run(whole).wrong

    def pack(self, collector):
        """Packs, killed at any instant; then again to the end, twice: the same bytes."""
        if not self.trace.exists() or not Shared(self.shared).begun:
            return []
        self.wait_for_collector()
        output = self.trace if self.case.packing == "pack" else self.folder / "copy.bin"
        command = [self.machine.view, "pack", str(self.trace), "-o", str(output)]
        for _ in range(2):
            packer = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip
            time.sleep(self.die.random() ** 2 * 0.02)
            packer.kill()
            packer.wait()
            wrong = [f"after a packer died: {one}" for one in self.look(False)]
            if wrong:
                return wrong
        kept = []
        for _ in range(2):
            done = subprocess.run(command, capture_output=True, timeout=60, check=False)
            if done.returncode:
                return [f"packing: {done.stderr.decode(errors='replace')[:300]}"]
            kept.append(output.read_bytes())
        wrong = [] if kept[0] == kept[1] else ["packing twice gives different bytes"]
        self.trace = output
        return wrong + [f"packed: {one}" for one in self.look(True)]

    def wait_for_collector(self):
        """A collector that lives finishes the session: packing is for what it leaves."""
        limit = time.monotonic() + LONGEST
        while time.monotonic() < limit:
            pid = self.collector()
            if not pid or not lives(pid):
                return
            time.sleep(0.002)

    def clean_up(self):
        self.wait_for_collector()
        for path in self.session():
            shutil.rmtree(path, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def hooks(python):
    """The hooks that an interpreter has, its own first."""
    version = subprocess.run(
        [python, "-c", "import sys; print(sys.version_info >= (3, 12))"],
        capture_output=True,
        check=True,
    )
    has = version.stdout.strip() == b"True"
    return ("monitoring", "profile", "trace") if has else ("profile", "trace")
