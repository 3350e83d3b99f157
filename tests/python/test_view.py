"""`rtrace-view` as a command: what it refuses, what it prints."""

import json
import os
import subprocess

import pytest
from support import environment, run_view, view_program

COMMANDS = ["info", "report", "events", "tree", "stacks", "exceptions", "verify", "calls", "places"]
PROGRAM = "def f():\n    return len('x')\nf()\n"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "content", [b"", b"just some text\n", b"\x89RTR", b"\x89RTR\r\n\x1a\n" + bytes(56), bytes(4096)]
)
def test_a_file_that_is_no_trace(tmp_path, command, content):
    path = tmp_path / "bad.bin"
    path.write_bytes(content)
    for flags in ((), ("--json",)):
        done = run_view(command, path, *flags, check=1)
        assert done.stdout == "" or command == "verify"
        assert len(done.stderr.splitlines()) == 1 and "bad.bin" in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_directory_and_a_missing_file(tmp_path, command):
    for path in (tmp_path, tmp_path / "missing.bin", "/dev/null"):
        done = run_view(command, path, check=1)
        assert len(done.stderr.splitlines()) == 1 and str(path) in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense", "trace.bin"),
        ("info",),
        ("info", "a", "b"),
        ("events", "trace.bin", "--no-such-flag"),
        ("events", "trace.bin", "--limit", "many"),
        ("events", "trace.bin", "--from", "5 parsecs"),
        ("events", "trace.bin", "--function", "("),
        ("report", "trace.bin", "--sort", "beauty"),
        ("pack", "trace.bin"),
    ],
)
def test_wrong_usage_is_status_2(record, arguments):
    record(PROGRAM)
    done = run_view(*arguments, cwd=record.folder, check=2)
    assert done.stdout == "" and done.stderr


def test_without_a_terminal_it_reports(record):
    recorded = record(PROGRAM)
    plain = run_view(recorded.trace, check=0).stdout
    assert plain == run_view("report", recorded.trace, check=0).stdout
    assert "f" in plain


def test_text_of_every_command(record):
    recorded = record(PROGRAM)
    for command in COMMANDS:
        done = run_view(command, recorded.trace, check=0)
        assert done.stdout and not done.stderr, command


def test_the_longest_calls_and_where_they_are(record):
    recorded = record(
        """
        import time
        def nap(s): time.sleep(s)
        def other(): nap(0.001)
        nap(0.2)
        for i in range(5): other()
        nap(0.1)
        """
    )
    found = recorded.view("calls", "--function", r"\.nap$", "--longer-than", "50ms")
    assert not found["more"]
    assert [call["name"] for call in found["calls"]] == ["nap", "nap"]
    long, short = found["calls"]
    assert long["duration_ns"] >= 200_000_000 > short["duration_ns"] >= 100_000_000
    assert (long["depth"], long["end"]) == (1, "returned")
    assert long["start_ns"] + long["duration_ns"] <= short["start_ns"]
    limited = recorded.view("calls", "--function", r"\.nap$", "--limit", "1")
    assert limited == {"more": True, "calls": [long]}
    # By the report: every call of it is among them, and the longest is its longest.
    row = next(row for row in recorded.view("report")["functions"] if row["name"] == "nap")
    every = recorded.view("calls", "--function", r"\.nap$", "--limit", "99")["calls"]
    lengths = [call["duration_ns"] for call in every]
    assert len(every) == row["calls"] == 7
    assert (max(lengths), min(lengths)) == (row["max_ns"], row["min_ns"])
    (place,) = recorded.view("places", "--function", r"\.other$")["places"]
    assert place["from_ns"] <= short["start_ns"] and place["chunks"] == 1
    assert recorded.view("places", "--function", "nobody")["places"] == []
    assert run_view("calls", recorded.trace, "--longer-than", "soon", check=2).stderr


def test_help_and_version():
    assert "events" in run_view("--help", check=0).stdout
    assert "0.1.0" in run_view("--version", check=0).stdout


def test_sessions_are_listed(record):
    recorded = record.start("import sys\nprint('ready', flush=True)\nsys.stdin.read()\n")
    recorded.wait_for("ready")
    done = subprocess.run(
        [view_program()],
        env=environment(record.rings),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=True,
    )
    assert str(recorded.pid).encode() in done.stdout
    recorded.finish()


def test_a_closed_pipe_is_no_error(record):
    recorded = record("def f(): pass\nfor i in range(20000): f()\n")
    command = f"{view_program()} events {recorded.trace} --json | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
    assert done.returncode == 0 and done.stderr == b""
    assert json.loads(done.stdout)


def test_verify(record):
    recorded = record(PROGRAM)
    result = recorded.view("verify")
    assert result["ok"] is True and result["problems"] == []
    assert result["events"] == recorded.view("info")["events"]
    assert result["chunks"] > 0
    raw = bytearray(recorded.trace.read_bytes())
    at = raw.index(b"EVNT") + 28 + 100
    raw[at] ^= 1
    damaged = record.folder / "damaged.bin"
    damaged.write_bytes(raw)
    done = run_view("verify", damaged, "--json", check=1)
    result = json.loads(done.stdout)
    assert result["ok"] is False
    assert result["problems"] and {"offset", "what"} <= set(result["problems"][0])


def test_bench_frames(record):
    recorded = record(PROGRAM)
    result = recorded.view("bench-frames")
    keys = "width height frames median_ns p99_ns max_ns full_repaint_bytes".split()
    assert set(keys) <= set(result)
    assert result["frames"] > 0 and result["median_ns"] <= result["p99_ns"] <= result["max_ns"]


def test_pack_of_a_finished_trace(record):
    recorded = record(PROGRAM)
    packed = record.folder / "packed.bin"
    run_view("pack", recorded.trace, "-o", packed, check=0)
    assert run_view("events", packed, "--json").stdout == "".join(
        json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n"
        for event in recorded.events()
    ) or len(run_view("events", packed, "--json").stdout.splitlines()) == len(recorded.events())


def test_a_symlink_to_a_trace(record):
    recorded = record(PROGRAM)
    link = record.folder / "link.bin"
    os.symlink(recorded.trace, link)
    assert run_view("info", link, check=0)
