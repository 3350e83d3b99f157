"""The golden files, read from SPEC.md alone, dump as the Rust decoder dumps them."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from rtrace_py import dump, open_trace, zstd  # noqa: E402

GOLDEN = ROOT / "tests" / "golden"
NAMES = sorted(path.stem for path in GOLDEN.glob("*.txt"))


def test_the_golden_files_are_there():
    assert len(NAMES) == 9


@pytest.mark.skipif(not zstd.available(), reason=zstd.MISSING)
@pytest.mark.parametrize("name", NAMES)
def test_both_readers_dump_the_same(name):
    path = GOLDEN / f"{name}.bin"
    trace = open_trace(str(path if path.exists() else GOLDEN / name))
    text = "".join(line + "\n" for line in dump.dump(trace))
    assert text == (GOLDEN / f"{name}.txt").read_text(encoding="ascii")


def test_without_zstd_it_says_what_to_install():
    code = (
        "import sys; sys.modules['compression.zstd'] = sys.modules['zstandard'] = None;"
        "sys.argv = ['rtrace_py', '--events', sys.argv[1]];"
        "from rtrace_py.__main__ import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", code, str(GOLDEN / "one_call.bin")]
    done = subprocess.run(command, cwd=ROOT / "tools", capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "zstandard" in done.stderr
    assert len(done.stderr.splitlines()) == 1
