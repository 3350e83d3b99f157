import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import support  # noqa: E402

# A shell's background job ignores SIGINT, and so would every program that is started here.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def rings():
    """Where this test's rings live: memory, as in real use, and gone afterwards."""
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = tempfile.mkdtemp(prefix="rtrace-test-", dir=base)
    yield Path(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def record(tmp_path, rings):
    """`record(source, *flags)` gives a finished `Recording`; `.start` one that runs."""
    recorder = support.Recorder(tmp_path, rings)
    yield recorder
    recorder.close()
