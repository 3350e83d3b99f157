"""Builds of CPython without a GIL: nothing is recorded, one line says so, the program runs on."""

import sys

import pytest

REFUSED = b"rtrace: not recording: this is a free-threaded build of CPython"
# Where there is no such interpreter, one that says it is one.
PRETENDS = "import sys; sys.abiflags += 't'"


@pytest.fixture
def paths(record):
    (record.folder / "sitecustomize.py").write_text(PRETENDS)
    return {} if "t" in sys.abiflags else {"PYTHONPATH": str(record.folder)}


def test_the_program_runs_on(record, paths):
    source = "import sys\nprint('ran', sys.argv[1:])\nsys.exit(7)\n"
    recorded = record(source, arguments=("a", "b"), env=paths, status=7)
    assert recorded.out == b"ran ['a', 'b']\n"
    assert recorded.err.startswith(REFUSED) and len(recorded.err.splitlines()) == 1
    assert not recorded.trace.exists()


def test_start_and_stop(record, paths):
    source = """\
        import rtrace, os, sys
        rtrace.start("own.bin")
        rtrace.mark("here")
        print(os.path.basename(rtrace.stop()), getattr(sys, "_is_gil_enabled", lambda: True)())
        """
    done = record.python(source, env=paths)
    # Importing us changes nothing of how threads run.
    enabled = getattr(sys, "_is_gil_enabled", lambda: True)()
    assert done.stdout == f"own.bin {enabled}\n".encode()
    assert done.stderr.startswith(REFUSED) and len(done.stderr.splitlines()) == 1
    assert not (record.folder / "own.bin").exists()
