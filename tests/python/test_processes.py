"""Child processes that are no forks: they join the session as the interpreter starts."""

import importlib.metadata
import os
import subprocess
import sys

import pytest
from support import HOOKS, MONITORING, environment, shape, view, within

STRICT = ("-W", "error") if MONITORING else ()

CHILD = """\
    import sys
    def work():
        return len("child")
    work()
    print(6 * 7)
    print("said", file=sys.stderr)
    sys.exit(3)
    """


def by_pid(recorded):
    return {process["pid"]: process for process in recorded.view("info")["processes"]}


def of(events, pid):
    return [event for event in events if event["pid"] == pid]


def launcher(*flags, end="child.py", more=""):
    """A program that runs `child.py`, and prints its pid, its output and its exit code."""
    command = [sys.executable, *flags, *([end] if isinstance(end, str) else end)]
    return f"""\
        import os, subprocess
        def launch():
            child = subprocess.Popen({command!r}, stdout=-1, stderr=-1 {more})
            out, err = child.communicate()
            return child.pid, out, err, child.returncode
        print(launch())
        """


def child_of(record, source=CHILD, *options, name="child.py", launch=None, **more):
    """Records a program that runs `source`; gives the recording and the child's pid."""
    record.script(source, name)
    recorded = record(launch or launcher(), *options, **more)
    pid, out, err, code = eval(recorded.out)
    assert (out, err, code) == (b"42\n", b"said\n", 3)
    return recorded, pid


@pytest.mark.parametrize("mode", ["full", "flight"])
def test_a_subprocess_is_in_the_trace(record, mode):
    recorded, pid = child_of(record, CHILD, "--mode", mode, python=STRICT)
    processes = by_pid(recorded)
    assert set(processes) == {recorded.pid, pid}
    child = processes[pid]
    assert (child["ppid"], child["end"]) == (recorded.pid, "clean")
    assert child["argv"][-1] == "child.py"
    assert os.path.samefile(child["argv"][0], sys.executable)
    events = recorded.events()
    mine = of(events, pid)
    assert shape(mine[:1] + mine[-1:]) == [("call", "<module>"), ("unwind", "<module>")]
    assert {(e["module"], e["depth"]) for e in mine if e["name"] == "<module>"} == {
        ("__main__", 0)
    }
    assert shape(within(mine, "work")) == [
        ("call", "work"),
        ("c_call", "len"),
        ("c_return", "len"),
        ("return", "work"),
    ]
    # One clock: the child runs while its parent waits for it.
    parents = within(of(events, recorded.pid), "launch")
    spawns = ("_posixsubprocess.fork_exec", "posix.posix_spawn")
    calls = [event for event in parents if event["kind"] == "c_call"]
    spawn = next(e for e in calls if f"{e['module']}.{e['name']}" in spawns)
    assert spawn["ts_ns"] < mine[0]["ts_ns"] < mine[-1]["ts_ns"] < parents[-1]["ts_ns"]
    assert recorded.view("info")["lost_events"] == 0
    assert recorded.view("verify")["ok"] is True


@pytest.mark.parametrize("flag", ["-I", "-E", "-s", "-Xdev"])
def test_a_subprocess_under(record, flag):
    recorded, pid = child_of(record, launch=launcher(flag))
    assert shape(within(of(recorded.events(), pid), "work"))[0] == ("call", "work")


def test_without_site_nothing_happens(record):
    recorded, pid = child_of(record, launch=launcher("-S"))
    assert set(by_pid(recorded)) == {recorded.pid}


@pytest.mark.parametrize("kind", ["module", "package", "directory", "code", "stdin"])
def test_the_outermost_frame_is_the_programs(record, kind):
    folder = record.folder / "pack"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    source = "def work():\n    return len('child')\nwork()\n"
    (folder / "__main__.py").write_text(source)
    record.script(source, "child.py")
    end = {
        "module": ["-m", "child"],
        "package": ["-m", "pack"],
        "directory": ["pack"],
        "code": ["-c", source],
        "stdin": ["-"],
    }[kind]
    more = ", stdin=open('child.py')" if kind == "stdin" else ""
    recorded = record(launcher(end=end, more=more))
    pid, _, err, code = eval(recorded.out)
    assert (err, code) == (b"", 0)
    mine = of(recorded.events(), pid)
    first, work = mine[0], within(mine, "work")
    assert (first["kind"], first["name"], first["depth"]) == ("call", "<module>", 0)
    assert first["module"] == "__main__"
    assert {event["depth"] for event in work} == {1, 2}
    assert by_pid(recorded)[pid]["argv"][1:] == end


def test_a_child_with_an_environment_of_its_own(record):
    """Not recorded, and not disturbed."""
    recorded, _ = child_of(record, launch=launcher(more=", env={}"))
    assert len(by_pid(recorded)) == 1


def test_no_children(record):
    recorded, _ = child_of(record, CHILD, "--no-children")
    assert len(by_pid(recorded)) == 1


def test_closed_descriptors_and_a_new_session(record):
    recorded, pid = child_of(
        record, launch=launcher(more=", close_fds=True, start_new_session=True")
    )
    assert by_pid(recorded)[pid]["end"] == "clean"


def test_a_function_before_exec(record):
    """It forces a real fork, in which Python runs: one pid, first the fork, then the program."""
    recorded, pid = child_of(record, launch=launcher(more=", preexec_fn=lambda: os.getpid()"))
    stages = [p for p in recorded.view("info")["processes"] if p["pid"] == pid]
    assert [stage["end"] for stage in stages] == ["killed", "clean"]
    assert {stage["ppid"] for stage in stages} == {recorded.pid}
    assert within(of(recorded.events(), pid), "work")


def test_posix_spawn_and_system(record):
    record.script(CHILD, "child.py")
    source = f"""\
        import os, sys
        def launch():
            pid = os.posix_spawn(sys.executable, [sys.executable, "child.py"], os.environ)
            os.waitpid(pid, 0)
            os.system({f"{sys.executable} child.py; true"!r})
            return pid
        print(launch())
        """
    recorded = record(source)
    pid = int(recorded.out.split()[-1])
    processes = by_pid(recorded)
    assert len(processes) == 3
    assert processes[pid]["argv"] == [sys.executable, "child.py"]
    events = recorded.events()
    for child in set(processes) - {recorded.pid}:
        assert within(of(events, child), "work")


@pytest.mark.parametrize("mode", ["full", "flight"])
def test_exec_in_place(record, mode):
    record.script(CHILD, "child.py")
    source = """\
        import os, sys
        def before():
            return 1
        before()
        os.execv(sys.executable, [sys.executable, "child.py"])
        """
    recorded = record(source, "--mode", mode, status=3)
    assert recorded.out == b"42\n"
    if mode == "full":
        record.settle()
    stages = recorded.view("info")["processes"]
    assert [(stage["pid"], stage["end"]) for stage in stages] == [
        (recorded.pid, "killed"),
        (recorded.pid, "clean"),
    ]
    assert stages[1]["argv"] == [sys.executable, "child.py"]
    events = recorded.events()
    assert within(events, "before")
    assert within(events, "work")
    assert recorded.view("verify")["ok"] is True


def test_a_chain_of_spawn_fork_and_spawn(record):
    record.script(CHILD, "child.py")
    record.script(
        f"""\
        import os, subprocess
        pid = os.fork()
        if pid == 0:
            subprocess.call([{sys.executable!r}, "child.py"])
            os._exit(0)
        os.waitpid(pid, 0)
        """,
        "middle.py",
    )
    recorded = record(f"""\
        import subprocess
        subprocess.call([{sys.executable!r}, "middle.py"])
        """)
    processes = recorded.view("info")["processes"]
    assert [process["ppid"] for process in processes[1:]] == [
        process["pid"] for process in processes[:-1]
    ]
    assert [process["end"] for process in processes] == ["clean", "clean", "killed", "clean"]
    assert within(of(recorded.events(), processes[-1]["pid"]), "work")


MULTIPROCESSING = """\
    import multiprocessing, sys
    from concurrent.futures import ProcessPoolExecutor
    def square(n):
        return n * n
    if __name__ == "__main__":
        context = multiprocessing.get_context(sys.argv[1])
        process = context.Process(target=square, args=(3,))
        process.start()
        process.join()
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            print(sum(pool.map(square, range(10))), process.exitcode)
        with context.Pool(2) as pool:
            print(sum(pool.map(square, range(10))))
            pool.close()
            pool.join()
    """


@pytest.mark.parametrize("mode", ["full", "flight"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(record, method, mode):
    strict = STRICT if method != "fork" else ()
    recorded = record(
        MULTIPROCESSING, "--mode", mode, arguments=(method,), python=strict
    )
    assert recorded.out == b"285 0\n285\n"
    # The servers that multiprocessing starts end after the program.
    record.settle()
    events = recorded.events()
    calls = [e for e in events if (e["kind"], e["name"]) == ("call", "square")]
    assert len(calls) == 21
    workers = {event["pid"] for event in calls}
    assert recorded.pid not in workers
    processes = by_pid(recorded)
    assert {process["end"] for process in processes.values()} == {"clean"}
    assert workers < set(processes)
    assert recorded.view("verify")["ok"] is True


def test_options_are_the_parents(record):
    source = """\
        import colorsys
        def deep():
            return colorsys.rgb_to_hls(inner(), 0, 0)
        def inner():
            return len("child")
        def work():
            return deep()
        work()
        print(6 * 7)
        import sys
        print("said", file=sys.stderr)
        sys.exit(3)
        """
    flags = ("--no-c-calls", "--exclude", "*import*", "--exclude", "colorsys", "--max-depth", "3")
    recorded, pid = child_of(record, source, *flags)
    mine = of(recorded.events(), pid)
    assert not [e for e in mine if e["kind"].startswith("c_") or e["module"] == "colorsys"]
    # Other packages of the environment may put finders of theirs into an import.
    names = {event["name"] for event in mine if event["file"] == mine[0]["file"]}
    assert names == {"<module>", "work", "deep"}
    both = {tuple(map(process.get, ("hook", "mode"))) for process in by_pid(recorded).values()}
    assert len(both) == 1


@pytest.mark.skipif(not MONITORING, reason="the hook profile sees no lines")
def test_a_program_that_a_filter_leaves_out(record):
    """The functions that it leaves in are seen although the outermost frame is not."""
    recorded, pid = child_of(record, CHILD, "--include", "work", "--lines")
    mine = of(recorded.events(), pid)
    assert mine[0]["name"] == "work"
    assert {event["name"] for event in mine} <= {"work", "len"}
    assert any(event["kind"] == "line" for event in mine)


@pytest.mark.parametrize("hook", ["profile", "monitoring"] if MONITORING else ["profile"])
def test_the_hook_is_the_parents(record, hook):
    recorded, pid = child_of(record, CHILD, "--hook", hook)
    assert by_pid(recorded)[pid]["hook"] == hook
    mine = of(recorded.events(), pid)
    assert shape(within(mine, "work"))[0] == ("call", "work")
    assert (mine[0]["name"], mine[0]["depth"]) == ("<module>", 0)


def test_one_function_is_one_symbol_in_all_children(record):
    record.script(CHILD, "child.py")
    recorded = record(f"""\
        import subprocess
        for _ in range(5):
            subprocess.call([{sys.executable!r}, "child.py"])
        """)
    rows = [row for row in recorded.view("report")["functions"] if row["name"] == "work"]
    assert [row["calls"] for row in rows] == [5]


def test_the_api_in_a_child_of_a_recorded_program(record):
    """The child is in its parent's trace already: asking again is no mistake and no loss."""
    record.script(
        """\
        import rtrace, sys
        def before():
            pass
        def within():
            pass
        before()
        rtrace.start("own.bin")
        within()
        print(rtrace.stop())
        with rtrace.recording("own.bin"):
            within()
        before()
        """,
        "child.py",
    )
    recorded = record(launcher())
    pid, out, err, code = eval(recorded.out)
    assert (out.decode(), err, code) == (f"{recorded.trace}\n", b"", 0)
    assert not (record.folder / "own.bin").exists()
    calls = [e["name"] for e in of(recorded.events(), pid) if e["kind"] == "call"]
    assert [name for name in calls if name in ("before", "within")] == [
        "before",
        "within",
        "within",
        "before",
    ]


def test_the_command_in_a_child_of_a_recorded_program(record):
    """Asked for a trace, it makes one; what it runs is not in its parent's."""
    record.script(CHILD, "child.py")
    own = record.folder / "own.bin"
    recorded = record(
        launcher(end=["-m", "rtrace", "run", "-o", str(own), "child.py"])
    )
    pid, out, err, code = eval(recorded.out)
    assert (out, code) == (b"42\n", 3)
    assert view("info", own)["processes"][0]["pid"] == pid
    assert within(view("events", own), "work")
    assert not [event for event in recorded.events() if event["name"] == "work"]
    assert by_pid(recorded)[pid]["end"] == "clean"


def test_start_and_stop_invite_and_uninvite(record):
    record.script(CHILD, "child.py")
    done = record.python(f"""\
        import os, subprocess, rtrace
        before = dict(os.environ)
        rtrace.start("trace.bin", children=False)
        assert dict(os.environ) == before
        rtrace.stop()
        rtrace.start("trace.bin")
        subprocess.call([{sys.executable!r}, "child.py"])
        rtrace.stop()
        assert dict(os.environ) == before
        subprocess.call([{sys.executable!r}, "child.py"])
        """)
    assert done.stdout == b"42\n42\n"
    processes = view("info", record.folder / "trace.bin")["processes"]
    assert [process["end"] for process in processes] == ["clean", "clean"]


@pytest.mark.parametrize("where", ["/nowhere", "", "\udcff", "."])
def test_a_session_that_cannot_be_joined(record, where):
    done = record.native(CHILD, env={"RTRACE_SESSION": where})
    assert (done.stdout, done.stderr, done.returncode) == (b"42\n", b"said\n", 3)


def test_nothing_of_ours_is_imported_where_nothing_is_recorded(record):
    source = "import sys\nprint([name for name in sys.modules if 'rtrace' in name])\n"
    done = record.native(source)
    assert done.stdout == b"[]\n"


def test_a_joined_program_finds_few_modules_more(record):
    source = """\
        import sys
        print([name for name in sorted(sys.modules) if "rtrace" not in name])
        """
    alone = record.native(source)
    record.script(source, "child.py")
    recorded = record(launcher())
    _, out, _, _ = eval(recorded.out)
    # One is built in, the other a page of constants.
    assert set(eval(out)) - set(eval(alone.stdout)) <= {"atexit", "__future__"}


def test_the_start_up_files_belong_to_the_package():
    files = {str(file) for file in importlib.metadata.files("rtrace") or ()}
    names = {"rtrace_children.pth", "_rtrace_children.py"}
    assert names <= files
    for name in names:
        path = importlib.metadata.distribution("rtrace").locate_file(name)
        assert "RTRACE_SESSION" in path.read_text()


def test_the_start_up_line_may_run_twice(record):
    """`site` has been seen to do so."""
    record.script(
        """\
        import _rtrace_children
        _rtrace_children.join()
        def work():
            return 1
        work()
        """,
        "child.py",
    )
    recorded = record(launcher())
    pid, _, err, code = eval(recorded.out)
    assert (err, code) == (b"", 0)
    assert len(by_pid(recorded)) == 2
    calls = [e for e in of(recorded.events(), pid) if e["kind"] == "call"]
    assert [e["name"] for e in calls if e["name"] == "work"] == ["work"]


def test_environment_is_only_ours(record):
    """What a child finds is one variable more."""
    source = "import os\nprint(sorted(os.environ))\n"
    record.script(source, "child.py")
    recorded = record(launcher())
    _, out, _, _ = eval(recorded.out)
    alone = subprocess.run(
        [sys.executable, "child.py"],
        cwd=record.folder,
        env=environment(record.rings),
        capture_output=True,
        check=True,
    )
    assert set(eval(out)) - set(eval(alone.stdout)) == {"RTRACE_SESSION"}


@pytest.mark.skipif(not MONITORING, reason="the hook profile is never refused")
def test_a_child_whose_hook_is_refused_runs_on_and_is_counted(record):
    record.script(
        """\
        import sys
        for number in range(6):
            if sys.monitoring.get_tool(number) is None:
                sys.monitoring.use_tool_id(number, "other")
        import site
        site.main()
        assert "rtrace" in sys.modules
        print("on")
        """,
        "child.py",
    )
    recorded = record(launcher("-S"))
    pid, out, err, code = eval(recorded.out)
    assert (out, err, code) == (b"on\n", b"", 0)
    assert pid in by_pid(recorded)
    assert recorded.view("info")["lost_events"] == 1


@pytest.mark.parametrize("hook", HOOKS)
def test_what_we_do_around_a_fork_is_not_the_programs(record, hook):
    source = """
        import multiprocessing, multiprocessing.util, os, rtrace, sys
        def bare():
            child = os.fork()
            if child == 0:
                os._exit(0)
            os.waitpid(child, 0)
        def work():
            rtrace.mark("in the child")
        if __name__ == "__main__":
            bare()
            child = multiprocessing.get_context("fork").Process(target=work)
            child.start()
            child.join()
    """
    recorded = record(source, "--hook", hook)
    events = recorded.events()
    inside = {e["name"] for e in within(events, "bare")}
    assert inside == {"bare", *(name for name in inside if name.startswith(("fork", "waitpid")))}
    named = [e["name"] for e in events if e["kind"] == "mark"]
    assert named == ["in the child"]
    ends = [process["end"] for process in recorded.view("info")["processes"]]
    assert sorted(ends) == ["clean", "clean", "killed"]


def test_a_joined_child_names_as_many_functions_as_its_parent(record):
    source = """
        import subprocess, sys
        names = {}
        exec("\\n".join(f"def a_function_with_a_long_name_{i:060}(): pass" for i in range(900)), names)
        for name, function in names.items():
            if name.startswith("a_function"):
                function()
        if len(sys.argv) == 1:
            subprocess.run([sys.executable, __file__, "child"], check=True)
    """
    recorded = record(source, "--max-memory", "4MiB", "--no-c-calls")
    names = [e["name"] for e in recorded.events() if e["kind"] == "call"]
    assert sum(name.startswith("a_function") for name in names) == 2 * 900
    assert "(overflow)" not in names
