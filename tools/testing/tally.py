"""Long forms add up: what each run did, in a committed file, so that they may be run in parts."""

import datetime
import json
import subprocess


def add(root, name, python=None, **what):
    """Appends a line to `tests/tallies/<name>.jsonl`."""
    entry = {"at": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"}
    entry["commit"] = _commit(root)
    if python:
        entry["python"] = _say([str(python), "-c", "import sys; print(sys.version.split()[0])"])
    path = root / "tests" / "tallies" / f"{name}.jsonl"
    path.parent.mkdir(exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(entry | what) + "\n")


def _commit(root):
    """The commit, and whether anything but tallies was changed since."""
    git = ["git", "-C", str(root)]
    changed = _say([*git, "status", "--porcelain", "-uno", "--", ".", ":!tests/tallies"])
    return _say([*git, "describe", "--always"]) + "-dirty" * bool(changed)


def _say(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()
