"""No space, no rights, no luck: the program runs on, one line says what was given up, the
trace says it too."""

import os
import resource
import shutil
import signal
import subprocess
import sys

import pytest
from support import environment, run_view, view

PROGRAM = """\
    import sys, threading
    def leaf(n):
        return n
    def work(count):
        for n in range(count):
            leaf(n)
    def main():
        work(60_000)
        for _ in range(3):
            thread = threading.Thread(target=work, args=(2_000,))
            thread.start()
            thread.join()
        print("ran on")
        sys.exit(7)
    main()
    """


def mount(at, size):
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(at)],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"mounts are not allowed here: {done.stderr.decode().strip()}")


@pytest.fixture
def small(tmp_path):
    """`small(size)` mounts a tmpfs of that size and gives its path."""
    mounted = []

    def make(size):
        at = tmp_path / f"small-{len(mounted)}"
        at.mkdir()
        mount(at, size)
        mounted.append(at)
        return at

    yield make
    for at in mounted:
        subprocess.run(["umount", "-l", str(at)], check=False)


def the_line(recorded, *says):
    """The one line on stderr, which says all of this."""
    (line,) = recorded.err.decode().splitlines()
    assert line.startswith("rtrace: ") and all(word in line for word in says), line
    return line


def ran_on(recorded):
    assert (recorded.out, recorded.returncode) == (b"ran on\n", 7), recorded.err


def causes(recorded):
    return {event["cause"] for event in recorded.events() if event["kind"] == "lost"}


@pytest.mark.parametrize("mode", ["flight", "full"])
@pytest.mark.parametrize("size", [4096, 16384, 32768])
def test_no_room_at_start(record, small, mode, size):
    rings = small(size)
    recorded = record(PROGRAM, "--mode", mode, "--ring-dir", str(rings), status=None)
    ran_on(recorded)
    line = the_line(recorded)
    if "not recording" in line:
        assert "no space" in line and not recorded.trace.exists()
    else:
        # Half of what is free is the budget: too little for a ring.
        assert ("events are lost" in line or "still writing" in line) and size > 4096
        assert recorded.view("info")["lost_events"] > 100_000


@pytest.mark.parametrize("mode", ["flight", "full"])
def test_no_room_to_grow(record, small, mode):
    rings = small("256k")
    flags = ("--mode", mode, "--max-memory", "64MiB", "--ring-size", "8MiB")
    recorded = record(PROGRAM, *flags, "--ring-dir", str(rings), status=None)
    ran_on(recorded)
    if mode == "flight":
        the_line(recorded, "the trace is", "refused")
        assert "no_space" in causes(recorded)
    info = recorded.view("info")
    assert info["events"] > 10_000 and recorded.view("verify")["ok"]
    assert "exit" in [event["name"] for event in recorded.events("--thread", "MainThread")[-200:]]


@pytest.mark.parametrize("mode", ["flight", "full"])
def test_no_room_for_other_threads(record, small, mode):
    source = """\
        import threading
        def leaf(n): return n
        def work(gate, count):
            for n in range(count): leaf(n)
            gate.wait()
        gate = threading.Event()
        threads = [threading.Thread(target=work, args=(gate, 500)) for _ in range(8)]
        for thread in threads: thread.start()
        gate.set()
        for thread in threads: thread.join()
        print("ran on")
        raise SystemExit(7)
        """
    rings = small("192k")
    flags = ("--mode", mode, "--max-memory", "64MiB", "--ring-dir", str(rings))
    recorded = record(source, *flags, status=None)
    ran_on(recorded)
    the_line(recorded, "events are lost: the file system refused")
    lost = [event for event in recorded.events() if event["kind"] == "lost"]
    assert {event["cause"] for event in lost} == {"no_space"}
    info = recorded.view("info")
    assert info["lost_events"] == sum(event["count"] for event in lost) > 500
    assert "no_space" in run_view("info", recorded.trace, check=0).stdout


def test_no_room_for_the_trace(record, small):
    place = small("64k")
    trace = place / "trace.bin"
    (place / "filler").write_bytes(bytes(48 << 10))
    recorded = record.start(PROGRAM, "--mode", "flight", trace=str(trace)).finish()
    ran_on(recorded)
    the_line(recorded, "not finished", "no space")
    events = len(recorded.events())
    assert events > 10_000
    # Nothing of it is gone: with room again it is packed to the end.
    (place / "filler").unlink()
    elsewhere = record.folder / "packed.bin"
    run_view("pack", trace, "-o", elsewhere, check=0)
    assert len(view("events", elsewhere)) == events


def limited(kind, soft):
    def limit():
        resource.setrlimit(kind, (soft, soft))

    return limit


def start_with(record, source, before, *flags, env=None, command=()):
    """Starts a recording in a process to which `before` was done."""
    path = record.script(source)
    trace = record.folder / "trace.bin"
    recorder = [sys.executable, "-m", "rtrace", "run", "-o", str(trace), *flags, str(path)]
    done = subprocess.run(
        [*command, *recorder],
        cwd=record.folder,
        env=env or environment(record.rings),
        capture_output=True,
        preexec_fn=before,
        timeout=120,
        check=False,
    )

    class Done:
        out, err, returncode = done.stdout, done.stderr, done.returncode

        def view(self, command, *flags):
            return view(command, trace, *flags)

        def events(self, *flags):
            return self.view("events", *flags)

    Done.trace = trace
    return Done()


@pytest.mark.parametrize("mode", ["flight", "full"])
@pytest.mark.parametrize("limit", [1000, 30_000, 100_000])
def test_a_limit_on_file_sizes(record, mode, limit):
    # SIGXFSZ would end it where its default is not ignored, as it is by CPython itself.
    source = "import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n" + PROGRAM.replace(
        "\n    ", "\n"
    ).removeprefix("    ")
    recorded = start_with(record, source, limited(resource.RLIMIT_FSIZE, limit), "--mode", mode)
    ran_on(recorded)
    line = the_line(recorded)
    if limit < 50_000:
        assert "not recording" in line or "lost" in line
    else:
        assert recorded.view("info")["events"] > 4_000


NO_DESCRIPTORS = """\
    import os, threading
    spaces = {}
    for n in range(200):
        exec(f"def late_{n}(): return {n}", spaces)
    def before(): pass
    before()
    taken = []
    try:
        while True:
            taken.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    for n in range(200):
        spaces[f"late_{n}"]()
    def alone(): pass
    thread = threading.Thread(target=alone)
    thread.start()
    thread.join()
    for number in taken:
        os.close(number)
    def after(): pass
    thread = threading.Thread(target=after)
    thread.start()
    thread.join()
    print("ran on")
    raise SystemExit(7)
    """


@pytest.mark.parametrize("mode", ["flight", "full"])
def test_no_descriptor_left(record, mode):
    before = limited(resource.RLIMIT_NOFILE, 64)
    recorded = start_with(record, NO_DESCRIPTORS, before, "--mode", mode)
    ran_on(recorded)
    the_line(recorded, "events are lost: the process had no memory or descriptor left")
    calls = [e["name"] for e in recorded.events() if e["kind"] == "call"]
    # Names first seen when there was none are there all the same.
    assert [name for name in calls if name.startswith("late_")] == [f"late_{n}" for n in range(200)]
    assert "(overflow)" not in calls and "after" in calls and "alone" not in calls
    assert causes(recorded) == {"process_limit"}


@pytest.mark.parametrize("mode", ["flight", "full"])
@pytest.mark.parametrize("what", ["ring", "session", "everything"])
def test_files_that_somebody_removes(record, mode, what):
    source = f"""\
        import os, pathlib, shutil, threading, time
        def leaf(n): return n
        def work(count):
            for n in range(count): leaf(n)
        work(5_000)
        (session,) = pathlib.Path(os.environ["RTRACE_RING_DIR"]).rglob("session")
        what = {what!r}
        if what == "ring":
            (session.parent / "ring-0").unlink()
        elif what == "session":
            session.unlink()
        else:
            shutil.rmtree(session.parent, ignore_errors=True)
        def new_name(): pass
        for _ in range(3):
            new_name()
            thread = threading.Thread(target=work, args=(3_000,))
            thread.start()
            thread.join()
        work(50_000)
        print("ran on")
        raise SystemExit(7)
        """
    recorded = record(source, "--mode", mode, status=None)
    ran_on(recorded)
    the_line(recorded, "the trace is")
    assert run_view("info", recorded.trace).returncode == 0


def test_a_read_only_output_directory(record, small):
    place = small("1m")
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    recorded = record.start(PROGRAM, trace=str(place / "trace.bin")).finish()
    ran_on(recorded)
    the_line(recorded, "not recording", "trace.bin")
    assert not list(record.rings.rglob("session"))


@pytest.mark.skipif(not shutil.which("unshare"), reason="no unshare")
@pytest.mark.parametrize("options", ["size=64m", "size=48k", "ro"])
def test_a_small_or_absent_dev_shm(record, options):
    """As containers have it: 64 MB, or nothing that can be written to."""
    env = environment(TMPDIR=str(record.folder), XDG_RUNTIME_DIR="")
    mounts = f'mount -t tmpfs -o {options} tmpfs /dev/shm && exec "$@"'
    probe = ["unshare", "-m", "sh", "-c", mounts, "sh"]
    if subprocess.run([*probe, "true"], capture_output=True, check=False).returncode:
        pytest.skip("mount namespaces are not allowed here")
    recorded = start_with(record, PROGRAM, None, "--mode", "flight", env=env, command=probe)
    ran_on(recorded)
    the_line(recorded, "the trace is")
    info = recorded.view("info")
    assert info["processes"][0]["end"] == "clean"
    if options != "size=48k":
        assert info["lost_events"] == 0 and info["events"] > 120_000


def test_no_mapping_is_ever_a_bus_error(record, small):
    """A file system that fills up under a running recording."""
    rings = small("512k")
    source = f"""\
        def leaf(n): return n
        for n in range(500): leaf(n)
        try:
            with open({str(rings / "filler")!r}, "wb") as file:
                file.write(bytes(1 << 20))
        except OSError:
            pass
        for n in range(100_000): leaf(n)
        for n in range(50):
            exec(f"def made_{{n}}(): pass\\nmade_{{n}}()")
        print("ran on")
        raise SystemExit(7)
        """
    recorded = record(source, "--mode", "flight", "--ring-dir", str(rings), status=None)
    assert recorded.returncode != -signal.SIGBUS
    ran_on(recorded)
    assert recorded.view("info")["events"] > 2_000


def test_who_may_read(record):
    recorded = record("print(1)\n", "--mode", "flight")
    assert os.stat(recorded.trace).st_mode & 0o777 == 0o600
