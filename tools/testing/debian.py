"""Fetches interpreters that this machine lacks from Debian unstable.

A minimal Debian is unpacked under `.pythons/debian` (ignored by git), and a
copy of each interpreter is pointed at that Debian's own loader and libraries,
so that it runs here as a program like any other: no chroot, no container.
"""

import os
import shutil
import subprocess
from pathlib import Path

FROM_DEBIAN = ("3.14", "3.15")


class CannotFetch(Exception):
    """What is missing, and what to do."""


def fetch(root, versions, log):
    """Makes `.pythons/bin/python<version>` for each of `versions`."""
    pythons = root / ".pythons"
    if os.geteuid() != 0:
        raise CannotFetch("fetching interpreters by debootstrap needs root")
    need(["debootstrap", "patchelf"], log)
    target = pythons / "debian"
    missing = [one for one in versions if not (target / "usr/bin" / f"python{one}").exists()]
    if missing:
        shutil.rmtree(target, ignore_errors=True)
        pythons.mkdir(exist_ok=True)
        packages = [f"python{one}{part}" for one in versions for part in ("", "-venv")]
        include = "--include=" + ",".join(["ca-certificates", *packages])
        run(["debootstrap", "--variant=minbase", include, "unstable", str(target)], log)
    for version in versions:
        adopt(pythons, target, version, log)


def need(programs, log):
    absent = [one for one in programs if not shutil.which(one)]
    if not absent:
        return
    if not shutil.which("apt-get"):
        raise CannotFetch(f"{' and '.join(absent)} not installed")
    run(["apt-get", "update", "-qq"], log)
    run(["apt-get", "install", "-y", "-qq", *absent], log)


def run(command, log):
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    done = subprocess.run(command, stdout=log, stderr=log, env=environment, check=False)
    if done.returncode:
        raise CannotFetch(f"`{' '.join(command[:3])} …` failed, see {log.name}")


def adopt(pythons, target, version, log):
    """A copy that finds its loader, libraries and pip wheel in `target`."""
    libraries = next(target.glob("usr/lib/*/ld-linux-*"), None)
    if libraries is None:
        raise CannotFetch(f"no loader in {target}")
    original = target / "usr/bin" / f"python{version}"
    here = target / "usr/bin" / f"rtrace-python{version}"
    run(
        [
            "patchelf", "--force-rpath", "--set-interpreter", str(libraries),
            "--set-rpath", str(libraries.parent), "--output", str(here), str(original),
        ],
        log,
    )  # fmt: skip
    here.chmod(0o755)
    library = target / "usr/lib" / f"python{version}"
    wheels = "/usr/share/python-wheels"
    for settings in library.glob("_sysconfig*"):
        if settings.suffix in (".py", ".json") and settings.is_file():
            text = settings.read_text()
            if f"{target}{wheels}" not in text:
                settings.write_text(text.replace(wheels, f"{target}{wheels}"))
    shutil.rmtree(library / "__pycache__", ignore_errors=True)
    folder = pythons / "bin"
    folder.mkdir(exist_ok=True)
    link = folder / f"python{version}"
    link.unlink(missing_ok=True)
    link.symlink_to(Path(os.path.relpath(here, folder)))
