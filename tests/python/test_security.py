"""Whose files are used, who may read them, and what a hostile program can have printed."""

import os
import re
import stat

import pytest
from support import environment, run_view, view

NOBODY = 65534
HOSTILE = "\x1b]0;x\x07\x9b\u202e\r\n\t\x00\x7f"
#: What must not reach a terminal: controls, bidirectional overrides, lone surrogates.
FORBIDDEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff]"
)
COMMANDS = ("info", "report", "events", "tree", "stacks", "exceptions", "verify")
as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root, to give a file away")

SOURCE = """\
    import os, sys, threading
    bad = "\\x1b]0;x\\x07\\x9b\\u202e\\r\\n\\t\\x7f\\ud800"
    def make(name, file):
        def f(work):
            return work()
        f.__code__ = f.__code__.replace(co_name=name, co_qualname=name,
                                        co_filename=file)
        return f
    def raises():
        raise type("E" + bad, (Exception,), {})("message" + bad)
    def work():
        import rtrace
        rtrace.mark("mark" + bad)
        rtrace.counter("counter" + bad, 1.5)
        with rtrace.span("span" + bad):
            try:
                raises()
            except Exception:
                pass
        if "die" in sys.argv:
            os.kill(os.getpid(), 9)
    globals()["__name__"] = "module" + bad
    thread = threading.Thread(target=make("f" + bad, "/tmp/file" + bad + ".py"), args=(work,))
    thread.name = "thread" + bad
    thread.start()
    thread.join()
    """


def modes(folder):
    """The mode of every file and directory below, by path."""
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(parent, name)
            found[path] = stat.S_IMODE(os.lstat(path).st_mode)
    return found


@pytest.mark.parametrize("mode", ["flight", "full"])
def test_nobody_else_may_read(record, mode):
    """Whatever the program's umask, and whoever made the empty file that was there before."""
    os.close(os.open(record.folder / "trace.bin", os.O_CREAT, 0o666))
    os.chmod(record.folder / "trace.bin", 0o666)
    source = """\
        import os, sys, threading
        def leaf(n): return n
        os.umask(0)
        for name in range(4):
            thread = threading.Thread(target=leaf, args=(1,)); thread.start(); thread.join()
        for n in range(40_000): leaf(n)
        if hasattr(os, "fork"):
            pid = os.fork()
            if not pid: os._exit(0)
            os.waitpid(pid, 0)
        import rtrace
        rtrace.snapshot(sys.argv[1])
        print("ready", flush=True)
        sys.stdin.read()
        """
    copy = record.folder / "copy.bin"
    running = record.start(source, "--mode", mode, arguments=(str(copy),))
    running.wait_for("ready")
    there = modes(record.rings)
    assert len(there) >= (6 if mode == "flight" else 5), there
    for path, bits in there.items():
        assert bits == (0o700 if os.path.isdir(path) else 0o600), (path, oct(bits))
    running.finish(b"")
    for path in (running.trace, copy):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


@pytest.mark.parametrize("command", [*COMMANDS, "list"])
@pytest.mark.parametrize("end", ["clean", "died"])
def test_nothing_hostile_is_printed(record, command, end):
    """Names of functions, files, modules, threads, exceptions, marks; arguments and paths."""
    folder = record.folder / "odd \x1b[2J\u202e\n"
    folder.mkdir()
    recorded = record.start(
        SOURCE, "--mode", "flight", "--hook", "trace" if command == "events" else "auto",
        trace=str(folder / "trace\x9b.bin"),
        arguments=[HOSTILE.replace("\0", ""), "die" if end == "died" else ""],
    ).finish()  # fmt: skip
    assert not FORBIDDEN.search(recorded.err.decode("utf-8", "surrogatepass")), recorded.err
    if command == "list":
        done = run_view(check=0, env=environment(record.rings), cwd=folder)
        assert "trace" in done.stdout
        assert not FORBIDDEN.search(done.stdout + done.stderr)
        return
    for flags in ((), ("--json",)):
        done = run_view(command, recorded.trace, *flags, check=0)
        assert not FORBIDDEN.search(done.stdout + done.stderr)
    if command == "events":
        texts = {e["name"] for e in view("events", recorded.trace)}
        bad = "\x1b]0;x\x07\x9b\u202e\r\n\t\x7f\ud800"
        assert {"f" + bad, "mark" + bad, "counter" + bad, "span" + bad} <= texts


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_hostile_in_what_is_said_of_a_file(tmp_path, command):
    bad = tmp_path / "no\x1b[2J\u202etrace.bin"
    bad.write_bytes(b"\x89RTR\x1b[2J\x9b" * 20)
    for path in (bad, tmp_path / "gone\x1b[2J.bin"):
        done = run_view(command, path, check=1)
        assert len(done.stderr.splitlines()) == 1
        assert not FORBIDDEN.search(done.stdout + done.stderr)


@as_root
@pytest.mark.parametrize("what", ["empty", "clean"])
def test_another_users_file_is_left_alone(record, what):
    """He could go on reading it, and changing it."""
    path = record.folder / "trace.bin"
    path.touch() if what == "empty" else record("print(1)\n", "--mode", "flight")
    os.chown(path, NOBODY, NOBODY)
    os.chmod(path, 0o666)
    before = path.read_bytes()
    recorded = record("print('ran on')\n", "--mode", "flight", status=None)
    assert recorded.returncode == 0 and recorded.out == b"ran on\n"
    assert "belongs to another user" in recorded.err.decode()
    assert path.read_bytes() == before


@as_root
@pytest.mark.parametrize("what", ["owner", "link", "file", "fifo"])
def test_what_stands_in_the_place_of_our_directory(record, what):
    place = record.rings / f"rtrace-{os.getuid()}"
    elsewhere = record.folder / "elsewhere"
    elsewhere.mkdir()
    if what == "owner":
        place.mkdir(mode=0o777)
        os.chown(place, NOBODY, NOBODY)
    elif what == "link":
        place.symlink_to(elsewhere)
    elif what == "fifo":
        os.mkfifo(place)
    else:
        place.write_bytes(b"x")
    recorded = record("print('ran on')\n", status=None)
    assert recorded.returncode == 0 and recorded.out == b"ran on\n"
    (line,) = recorded.err.decode().splitlines()
    assert "not recording" in line and str(place) in line
    assert not list(elsewhere.iterdir())
    assert what != "owner" or not list(place.iterdir())


@pytest.mark.parametrize("what", ["link", "fifo", "dangling"])
def test_what_stands_in_the_place_of_the_trace(record, what):
    path, precious = record.folder / "trace.bin", record.folder / "precious"
    if what != "dangling":
        precious.write_bytes(b"precious")
    os.mkfifo(path) if what == "fifo" else path.symlink_to(precious)
    recorded = record("print('ran on')\n", status=None)
    assert recorded.returncode == 0 and recorded.out == b"ran on\n"
    assert "not recording" in recorded.err.decode()
    assert precious.exists() == (what != "dangling")
    assert what == "dangling" or precious.read_bytes() == b"precious"


@pytest.mark.parametrize("name", ["session", "symbols", "process-0", "ring-0"])
def test_a_session_directory_that_is_a_trap(record, name):
    """A fifo must not hold the reader, a link not lead it, nor anything grow its memory."""
    recorded = record.start(
        "import os\ndef f(): os.kill(os.getpid(), 9)\nf()\n", "--mode", "flight"
    ).finish()
    (session,) = (path.parent for path in record.rings.rglob("session"))
    for trap in (os.mkfifo, lambda at: os.symlink("/dev/zero", at), os.mkdir):
        path = session / name
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()
        trap(path)
        for command in COMMANDS:
            done = run_view(command, recorded.trace)
            assert done.returncode in (0, 1) and len(done.stderr) < 2000
        run_view("pack", recorded.trace, "-o", record.folder / "copy.bin")
