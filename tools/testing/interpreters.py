"""Finds the CPython interpreters of the supported versions."""

import os
import shutil
import subprocess
from pathlib import Path

SUPPORTED = ("3.11", "3.12", "3.13", "3.14", "3.15")
# Builds without a GIL: the package is built and imported there, and refuses to record.
FREE_THREADED = ("3.14t", "3.15t")

PROBE = (
    "import sys, venv, sysconfig; print('%d.%d' % sys.version_info[:2], sys.implementation.name,"
    " 't' if sysconfig.get_config_var('Py_GIL_DISABLED') else '', sys.base_prefix, sep='|')"
)


def version_of(python):
    """("3.12", base prefix) of a usable CPython, else (None, why not)."""
    try:
        done = subprocess.run(
            [str(python), "-c", PROBE], capture_output=True, text=True, timeout=60, check=False
        )
    except OSError as error:
        return None, str(error)
    except subprocess.TimeoutExpired:
        return None, "does not answer"
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        return None, last
    version, implementation, threaded, prefix = done.stdout.strip().split("|")
    if implementation != "cpython":
        return None, f"is {implementation}"
    return version + threaded, prefix


def candidates(version, root):
    """Paths that may hold this version, the best first."""
    fetched = root / ".pythons" / "bin" / f"python{version}"
    if fetched.exists():
        yield fetched
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    if pyenv.is_dir():
        found = [one for one in pyenv.iterdir() if one.name.startswith(version + ".")]
        for one in sorted(found, key=lambda one: _numbers(one.name), reverse=True):
            yield one / "bin" / "python"
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if "shims" not in Path(folder).parts:
            found = shutil.which(f"python{version}", path=folder)
            if found:
                yield Path(found)


def _numbers(name):
    return [int(part) if part.isdigit() else -1 for part in name.split(".")]


def find(root, wanted=SUPPORTED):
    """({version: path}, {version: why it is skipped})."""
    found, skipped = {}, {}
    for version in wanted:
        reason = "not found"
        for python in candidates(version, root):
            seen, detail = version_of(python)
            if seen == version:
                found[version] = python
                break
            reason = f"{python}: {detail if seen is None else 'is ' + seen}"
        else:
            skipped[version] = reason
    return found, skipped
