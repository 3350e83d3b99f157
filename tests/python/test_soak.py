"""The short form of `tools/soak`."""

import json
import subprocess
import sys

from support import ROOT, environment, view_program


def test_a_web_application_under_load():
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "soak"), "--seconds", "6"],
        capture_output=True,
        env=environment(RTRACE_VIEW=view_program()),
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    told = json.loads(done.stdout.splitlines()[0])
    assert told["requests"] > 50 and told["looks"] > 2 and told["failed"] == 0
