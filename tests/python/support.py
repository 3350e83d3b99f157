"""Records small programs, reads them back; what every test module uses."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MONITORING = sys.version_info >= (3, 12)
HOOKS = ["monitoring", "profile"] if MONITORING else ["profile"]
ALL_HOOKS = [*HOOKS, "trace"]
DEFAULT_HOOK = HOOKS[0]


def view_program():
    """The `rtrace-view` under test."""
    given = os.environ.get("RTRACE_VIEW")
    built = [ROOT / "target" / kind / "rtrace-view" for kind in ("release", "debug")]
    for path in [given, *map(str, built), shutil.which("rtrace-view")]:
        if path and os.access(path, os.X_OK):
            return path
    raise RuntimeError("rtrace-view is not built: cargo build --release -p rtrace-analyzer")


def environment(rings=None, **more):
    found = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    found["PYTHONDONTWRITEBYTECODE"] = "1"
    if rings:
        found["RTRACE_RING_DIR"] = str(rings)
    found.update(more)
    return found


def run_view(*arguments, check=None, **options):
    """Runs rtrace-view; with `check` the exit status must be that."""
    done = subprocess.run(
        [view_program(), *map(str, arguments)],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
        check=False,
        **options,
    )
    done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
    if check is not None:
        assert done.returncode == check, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done


def view(command, trace, *flags):
    """What `rtrace-view COMMAND TRACE --json` prints; a list of lines for `events`."""
    done = run_view(command, trace, "--json", *flags, check=0)
    if command == "events":
        return [json.loads(line) for line in done.stdout.splitlines()]
    return json.loads(done.stdout)


class Recording:
    """A program under `python -m rtrace run`, started or finished."""

    def __init__(self, folder, process, trace):
        self.folder = folder
        self.process = process
        self.trace = trace
        self.out = self.err = None
        self.returncode = None

    @property
    def pid(self):
        return self.process.pid

    def finish(self, given=None, timeout=120):
        out, err = self.process.communicate(given, timeout=timeout)
        self.out = (self.out or b"") + out
        self.err = err
        self.returncode = self.process.returncode
        return self

    def wait_for(self, text, timeout=60):
        """Reads stdout until a line says `text`."""
        limit = time.monotonic() + timeout
        self.out = self.out or b""
        while time.monotonic() < limit:
            line = self.process.stdout.readline()
            self.out += line
            if text.encode() in line:
                return
            if not line:
                break
        self.kill()
        raise AssertionError(f"{text!r} never came: {self.out} {self.process.stderr.read()}")

    def kill(self, with_signal=signal.SIGKILL):
        self.process.send_signal(with_signal)
        self.process.wait(timeout=60)
        self.returncode = self.process.returncode

    def view(self, command, *flags):
        return view(command, self.trace, *flags)

    def events(self, *flags):
        return self.view("events", *flags)

    @property
    def main_serial(self):
        process = self.view("info")["processes"][0]
        return min(thread["serial"] for thread in process["threads"])


class Recorder:
    """Makes recordings in one test's folder."""

    def __init__(self, folder, rings):
        self.folder = folder
        self.rings = rings
        self.started = []

    def script(self, source, name="program.py"):
        path = self.folder / name
        path.write_text(textwrap.dedent(source), encoding="utf-8")
        return path

    def start(self, source, *flags, arguments=(), python=(), env=None, trace="trace.bin"):
        """Starts recording `source`, the text of a program or a tuple of the command's end."""
        end = source if isinstance(source, tuple) else (str(self.script(source)),)
        trace = self.folder / trace
        command = [sys.executable, *python, "-m", "rtrace", "run", "-o", str(trace)]
        process = subprocess.Popen(
            [*command, *flags, *end, *arguments],
            cwd=self.folder,
            env=environment(self.rings, **(env or {})),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        recording = Recording(self.folder, process, trace)
        self.started.append(recording)
        return recording

    def __call__(self, source, *flags, given=None, status=0, **options):
        """Records to the end; the exit status must be `status` (None: any)."""
        recording = self.start(source, *flags, **options).finish(given)
        if status is not None:
            assert recording.returncode == status, recording.err.decode()
        return recording

    def native(self, source, given=None, arguments=(), python=(), env=None):
        """The same program without rtrace."""
        end = source if isinstance(source, tuple) else (str(self.script(source)),)
        return subprocess.run(
            [sys.executable, *python, *end, *arguments],
            cwd=self.folder,
            env=environment(self.rings, **(env or {})),
            input=given or b"",
            capture_output=True,
            timeout=120,
            check=False,
        )

    def python(self, source, *arguments, status=0, python=(), env=None):
        """Runs a program that uses the API itself; gives the finished process."""
        path = self.script(source)
        done = subprocess.run(
            [sys.executable, *python, str(path), *map(str, arguments)],
            cwd=self.folder,
            env=environment(self.rings, **(env or {})),
            capture_output=True,
            timeout=120,
            check=False,
        )
        if status is not None:
            assert done.returncode == status, done.stderr.decode()
        return done

    def settle(self, timeout=30):
        """Waits until the collector of a full recording has finished its session."""
        limit = time.monotonic() + timeout
        while list(self.rings.rglob("session")):
            assert time.monotonic() < limit, "the collector did not finish the session"
            time.sleep(0.05)

    def close(self):
        for recording in self.started:
            if recording.process.poll() is None:
                recording.process.kill()
            for stream in (recording.process.stdin, recording.process.stdout):
                if stream and not stream.closed:
                    stream.close()
            if recording.process.stderr and not recording.process.stderr.closed:
                recording.process.stderr.close()
            recording.process.wait(timeout=60)


def within(events, name, thread=None):
    """The events from the first entry of function `name` to its exit, in its thread."""
    out, depth, serial = [], None, thread
    for event in events:
        if serial is not None and event["thread"] != serial:
            continue
        if depth is None:
            if event["kind"] == "call" and event["name"] == name:
                depth, serial = event["depth"], event["thread"]
                out.append(event)
            continue
        out.append(event)
        if event["depth"] == depth and event["kind"] in ("return", "unwind"):
            return out
    assert depth is not None, f"{name} was never called"
    return out


def shape(events):
    return [(event["kind"], event["name"]) for event in events]
