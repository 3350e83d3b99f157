"""The Python half: the built package and `rtrace-view`, under each interpreter."""

import hashlib
import os
import shutil
from pathlib import Path

from . import steps as results

ZSTD_IN_LIBRARY = ("3.14", "3.15", "3.14t", "3.15t")
TESTS = ("tests/python", "tools/tests")
FREE_THREADED_TESTS = ("tests/python/test_free_threaded.py",)


def test(root, target, steps, found, extra):
    """Builds `rtrace-view` once and the recorder for each interpreter, then runs pytest."""
    view = target / "release" / "rtrace-view"
    build = ["cargo", "build", "--locked", "--release", "-p", "rtrace-analyzer"]
    if not steps.run("build rtrace-view", build, cwd=root):
        return
    packaged = False
    for version, python in found.items():
        venv = ready(root, steps, version, python)
        if venv is None or not install(root, target, steps, version, venv):
            continue
        if not packaged:
            # Once is enough: the package holds a program and nothing of Python.
            pip = [venv / "bin/python", "-m", "pip", "install", "-q", "--no-build-isolation"]
            path = f"{venv / 'bin'}{os.pathsep}{steps.environment['PATH']}"
            packaged = steps.run(
                "rtrace-view as a package", [*pip, root / "analyzer"], environment={"PATH": path}
            )
        report = steps.logs / f"pytest-{version}.xml"
        report.unlink(missing_ok=True)
        command = [venv / "bin/python", "-m", "pytest", "-q", "-n", "2", f"--junitxml={report}"]
        command += [*(FREE_THREADED_TESTS if version.endswith("t") else TESTS), *extra]
        steps.run(
            f"python tests {version}",
            command,
            results.junit(report),
            environment={"RTRACE_VIEW": str(view), "PYTHONDONTWRITEBYTECODE": "1"},
            cwd=root,
        )


def ready(root, steps, version, python):
    """The virtual environment for an interpreter, with what the tests need."""
    venv = root / f".venv-{version}"
    needs = (root / "tests/python/requirements.txt").read_text().split()
    if version.endswith("t"):
        needs = [one for one in needs if one.startswith(("maturin", "pytest"))]
    packages = needs + ([] if version in ZSTD_IN_LIBRARY else ["zstandard"])
    stamp = hashlib.sha256(f"{python.resolve()} {packages}".encode()).hexdigest()
    mark = venv / "rtrace-test-stamp"
    if mark.exists() and mark.read_text() == stamp and (venv / "bin/python").exists():
        return venv
    shutil.rmtree(venv, ignore_errors=True)
    if not steps.run(f"virtual environment {version}", [python, "-m", "venv", venv]):
        return None
    pip = [venv / "bin/python", "-m", "pip", "install", "-q", *packages]
    if not steps.run(f"test packages {version}", pip):
        return None
    mark.write_text(stamp)
    return venv


def install(root, target, steps, version, venv):
    """Builds the recorder's wheel with the environment's maturin and installs it."""
    wheels = target / "wheels" / version
    shutil.rmtree(wheels, ignore_errors=True)
    python = venv / "bin/python"
    build = [python, "-m", "maturin", "build", "--release", "--locked", "-q", "-i", python]
    build += ["-m", root / "recorder/Cargo.toml", "-o", wheels]
    if not steps.run(f"build recorder {version}", build, environment={"PYO3_PYTHON": str(python)}):
        return False
    pip = [python, "-m", "pip", "install", "-q", "--force-reinstall", "--no-deps"]
    return steps.run(f"install recorder {version}", [*pip, *sorted(Path(wheels).glob("*.whl"))])
