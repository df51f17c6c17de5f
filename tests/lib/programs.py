"""The programs a test needs: the runtime under test, and the static reporter that runs inside.

The reporter is compiled once per source text into build/tests, by whatever process comes first.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
BUSYBOX = Path("/bin/busybox")


class MissingProgram(Exception):
    """Something the tests cannot do without is not there: never a reason to skip."""


def runtime_command() -> list[str]:
    """The words of $RUNTIME, or the installed-launcher shape from this tree."""
    words = shlex.split(os.environ.get("RUNTIME", "")) or [str(PROJECT / "build/bin/pyruntime")]
    path = shutil.which(words[0])
    if path is None:
        raise MissingProgram(
            f"the runtime under test, `{words[0]}`, is not an executable ($RUNTIME)"
        )
    return [os.path.abspath(path), *words[1:]]


def runtime_name() -> str:
    """`runc`, `crun`, `pyruntime` …: what known deviations are listed under."""
    words = runtime_command()
    return "pyruntime" if "pyruntime" in words[1:] else os.path.basename(words[0])


def inside() -> Path:
    """The static reporter, compiled if its source is newer than the last build."""
    parts = sorted(HERE.glob("inside*.[ch]"))
    digest = hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()[:16]
    target = PROJECT / "build" / "tests" / f"inside-{digest}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_suffix(f".{os.getpid()}")
        command = ["gcc", "-static", "-O2", "-Wall", "-Wextra", "-Werror"]
        try:
            subprocess.run([*command, "-o", str(fresh), str(HERE / "inside.c")], check=True)
        except (OSError, subprocess.CalledProcessError) as problem:
            raise MissingProgram(
                f"the in-container reporter does not build: {problem}"
            ) from problem
        fresh.rename(target)
    return target


def busybox() -> Path:
    """Debian's static busybox, for the tests that want a shell."""
    if not BUSYBOX.exists():
        raise MissingProgram(f"{BUSYBOX} is missing (Debian: busybox-static)")
    return BUSYBOX
