"""rtrace.start, stop, snapshot, recording, span, mark, counter; and the output file."""

import subprocess
import sys

import pytest
from support import HOOKS, MONITORING, environment, shape, view, within


def test_start_and_stop(record):
    source = """\
        import rtrace, sys
        def f():
            return len("x")
        def main():
            rtrace.start("a.bin")
            f()
            path = rtrace.stop()
            f()
            print(path)
        main()
        """
    done = record.python(source)
    trace = record.folder / "a.bin"
    assert done.stdout.decode().strip().endswith("a.bin")
    events = view("events", trace)
    assert shape([e for e in events if e["name"] == "f"]) == [("call", "f"), ("return", "f")]
    assert not [e for e in events if e["kind"] == "c_call"], "start records no C calls unless asked"
    info = view("info", trace)
    assert (info["processes"][0]["mode"], info["processes"][0]["end"]) == ("flight", "clean")
    assert all("rtrace" not in (e["module"] or "") for e in events)
    # main and <module> were open when the recording began.
    assert [e for e in events if e["name"] == "f"][0]["depth"] == 2
    roots = view("tree", trace)["lanes"][0]["roots"]
    assert roots[0]["name"] == "<module>" and roots[0]["began_before"] is True


def test_recording_is_a_context_manager(record):
    source = """\
        import rtrace
        def f():
            return len("x")
        with rtrace.recording("a.bin", mode="full", c_calls=True):
            f()
        """
    record.python(source)
    events = view("events", record.folder / "a.bin")
    assert shape(within(events, "f")) == [
        ("call", "f"),
        ("c_call", "len"),
        ("c_return", "len"),
        ("return", "f"),
    ]


def test_recording_ends_when_the_block_raises(record):
    source = """\
        import rtrace
        def f():
            raise ValueError("x")
        try:
            with rtrace.recording("a.bin"):
                f()
        except ValueError:
            print("raised")
        """
    assert record.python(source).stdout == b"raised\n"
    assert view("info", record.folder / "a.bin")["processes"][0]["end"] == "clean"


def test_marks_spans_and_counters(record):
    source = """\
        import rtrace
        def f():
            with rtrace.span("sp\\u00e4n"):
                rtrace.mark("m" * 2000)
                rtrace.counter("queue", 2.5)
                rtrace.counter("queue", 3)
        with rtrace.recording("a.bin"):
            f()
        """
    record.python(source)
    events = view("events", record.folder / "a.bin")
    found = [e for e in events if e["kind"] in ("mark", "span_begin", "span_end", "counter")]
    assert shape(found) == [
        ("span_begin", "sp\u00e4n"),
        ("mark", "m" * 1024),
        ("counter", "queue"),
        ("counter", "queue"),
        ("span_end", "sp\u00e4n"),
    ]
    assert [e["value"] for e in found if e["kind"] == "counter"] == [2.5, 3]


def test_marks_without_a_recording_do_nothing(record):
    source = """\
        import rtrace
        rtrace.mark("x"); rtrace.counter("y", 1)
        with rtrace.span("z"):
            print("fine")
        """
    assert record.python(source).stdout == b"fine\n"


def test_marks_under_run(record):
    recorded = record("import rtrace\nrtrace.mark('here')\n")
    marks = [event for event in recorded.events() if event["kind"] == "mark"]
    assert [event["name"] for event in marks] == ["here"]


def test_stop_without_start_is_an_error(record):
    done = record.python("import rtrace\nrtrace.stop()\n", status=1)
    assert b"Error" in done.stderr.splitlines()[-1]


def test_start_twice_is_an_error_and_the_first_goes_on(record):
    source = """\
        import rtrace
        def f(): pass
        rtrace.start("a.bin")
        try:
            rtrace.start("b.bin")
        except Exception as error:
            print(type(error).__name__)
        f()
        rtrace.stop()
        """
    record.python(source)
    assert within(view("events", record.folder / "a.bin"), "f")
    assert not (record.folder / "b.bin").exists()


def test_start_stop_many_times(record):
    source = """\
        import rtrace
        def f(): pass
        for i in range(20):
            rtrace.start("a.bin")
            f()
            rtrace.stop()
        """
    record.python(source)
    calls = [e for e in view("events", record.folder / "a.bin") if e["name"] == "f"]
    assert shape(calls) == [("call", "f"), ("return", "f")]
    assert sorted(path.name for path in record.folder.glob("*.bin")) == ["a.bin"]


@pytest.mark.parametrize("mode", ["flight", "full"])
def test_snapshot_and_go_on(record, mode):
    source = f"""\
        import rtrace
        def before(): pass
        def after(): pass
        rtrace.start("a.bin", mode="{mode}")
        before()
        print(rtrace.snapshot("snap.bin", reason="a reason"))
        after()
        rtrace.stop()
        """
    done = record.python(source)
    assert done.stdout.decode().strip().endswith("snap.bin")
    snap = view("events", record.folder / "snap.bin")
    assert within(snap, "before")
    assert not [event for event in snap if event["name"] == "after"]
    whole = view("events", record.folder / "a.bin")
    assert within(whole, "after")
    if mode == "full":
        assert within(whole, "before")
    assert view("verify", record.folder / "snap.bin")["ok"] is True


def test_interpreter_exit_ends_a_recording(record):
    record.python("import rtrace\nrtrace.start('a.bin')\ndef f(): pass\nf()\n")
    trace = record.folder / "a.bin"
    assert view("info", trace)["processes"][0]["end"] == "clean"
    assert within(view("events", trace), "f")


def test_threads_that_run_already_are_recorded(record):
    source = """\
        import rtrace, threading
        go, done = threading.Event(), threading.Event()
        def f(): pass
        def worker():
            go.wait()
            f()
            done.set()
        t = threading.Thread(target=worker, name="early")
        t.start()
        rtrace.start("a.bin")
        go.set()
        done.wait()
        t.join()
        rtrace.stop()
        """
    record.python(source)
    assert within(view("events", record.folder / "a.bin", "--thread", "early"), "f")


# ---- the output file -------------------------------------------------------

PROGRAM = "def f(): pass\nf()\n"


def test_a_clean_trace_is_overwritten(record):
    record(PROGRAM)
    second = record("def g(): pass\ng()\n")
    names = {event["name"] for event in second.events()}
    assert "g" in names and "f" not in names
    assert [path.name for path in record.folder.glob("*.bin")] == ["trace.bin"]


def ran_without_a_recording(recorded):
    """The program ran to its end, and one line says why there is no trace."""
    assert recorded.returncode == 0 and recorded.out == b"ran\n"
    lines = recorded.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith(b"rtrace: not recording: "), recorded.err
    return lines[0]


def test_a_file_that_is_not_ours_is_refused(record):
    other = record.folder / "trace.bin"
    other.write_text("precious")
    assert b"trace.bin" in ran_without_a_recording(record("print('ran')\n"))
    assert other.read_text() == "precious"


def test_a_directory_is_refused(record):
    (record.folder / "trace.bin").mkdir()
    ran_without_a_recording(record("print('ran')\n"))


def test_an_output_in_a_missing_folder_is_said(record):
    recorded = record("print('ran')\n", trace="no/such/trace.bin")
    assert b"no/such" in ran_without_a_recording(recorded)


def test_a_start_that_cannot_record_does_not_stop_the_program(record):
    (record.folder / "trace.bin").write_text("precious")
    source = """
        import rtrace
        rtrace.start("trace.bin")
        rtrace.mark("unseen")
        with rtrace.span("unseen"):
            rtrace.counter("unseen", 1)
        rtrace.snapshot("other.bin")
        print(rtrace.stop())
        with rtrace.recording("trace.bin"):
            print("ran")
    """
    done = record.python(source)
    assert done.stdout.decode().splitlines() == [str(record.folder / "trace.bin"), "ran"]
    said = [line.split(b":")[1] for line in done.stderr.splitlines()]
    assert said == [b" not recording"] * 2


def test_a_killed_trace_is_kept_by_another_name(record):
    # Without a collector, which would finish the killed session.
    source = "import os\ndef killed(): os.kill(os.getpid(), 9)\nkilled()\n"
    record(source, "--mode", "flight", status=-9)
    record(PROGRAM, "--mode", "flight")
    names = sorted(path.name for path in record.folder.glob("*.bin"))
    assert len(names) == 2 and "trace.bin" in names
    kept = record.folder / next(name for name in names if name != "trace.bin")
    assert kept.name.startswith("trace.")
    assert "killed" in {event["name"] for event in view("events", kept)}


def test_two_recordings_at_once_take_two_files(record):
    first = record.start("import sys\nprint('ready', flush=True)\nsys.stdin.read()\n")
    first.wait_for("ready")
    second = record.start(PROGRAM).finish()
    assert second.returncode == 0
    other = record.folder / f"trace.{second.pid}.bin"
    assert other.exists() and str(other).encode() in second.err
    assert "f" in {event["name"] for event in view("events", other)}
    first.finish()
    assert first.view("info")["processes"][0]["end"] == "clean"


def test_private_modes(record):
    recorded = record.start("import sys\nprint('ready', flush=True)\nsys.stdin.read()\n")
    recorded.wait_for("ready")
    folders = [path for path in record.rings.rglob("*") if path.is_dir()]
    files = [path for path in record.rings.rglob("*") if path.is_file()]
    assert folders and files
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in [*files, recorded.trace]} == {0o600}
    recorded.finish()


def test_nothing_is_left_in_memory_after_a_clean_end(record):
    record(PROGRAM, "--mode", "flight")
    assert not [path for path in record.rings.rglob("*") if path.is_file()]


def test_the_command_and_the_module_are_one(record):
    script = record.script(PROGRAM)
    command = [str(sys.executable).replace("python", "rtrace")]
    import os
    import shutil

    command = shutil.which("rtrace", path=os.path.dirname(sys.executable))
    assert command, "the package installs no rtrace command"
    done = subprocess.run(
        [command, "run", "-o", "x.bin", str(script)],
        cwd=record.folder,
        env=environment(record.rings),
        capture_output=True,
        check=True,
    )
    assert b"x.bin" in done.stderr
    assert within(view("events", record.folder / "x.bin"), "f")


@pytest.mark.parametrize("hook", HOOKS)
def test_hooks_of_the_api(record, hook):
    source = f"""\
        import rtrace
        def f(): return len("x")
        rtrace.start("a.bin", hook="{hook}", c_calls=True)
        f()
        rtrace.stop()
        """
    record.python(source)
    assert len(within(view("events", record.folder / "a.bin"), "f")) == 4


@pytest.mark.skipif(not MONITORING, reason="3.12 and later")
def test_another_tool_keeps_its_callbacks(record):
    source = """\
        import sys, rtrace
        m = sys.monitoring
        seen = []
        m.use_tool_id(3, "other")
        m.register_callback(3, m.events.PY_START, lambda code, offset: seen.append(code.co_name))
        m.set_events(3, m.events.PY_START)
        def f(): pass
        with rtrace.recording("a.bin"):
            f()
        f()
        print(seen.count("f"), m.get_tool(3))
        """
    assert record.python(source).stdout == b"2 other\n"
    assert within(view("events", record.folder / "a.bin"), "f")
