"""The runtime under test: its name and version, and the surroundings it needs."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass

from tests.bench.runtimes import UNIFIED
from tests.lib import kernel, programs
from tests.lib.patience import scaled

VERSION = re.compile(r"^(\S+) version (\S+)", re.MULTILINE)


class RuntimeProblem(Exception):
    """There is nothing to test."""


@dataclass(frozen=True)
class Runtime:
    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def choose(words: str) -> Runtime:
    """Makes that command the runtime under test ($RUNTIME, which the boxes read) and asks it who it is."""
    if words:
        os.environ["RUNTIME"] = words
    try:
        command = [*programs.runtime_command(), "--version"]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=scaled(30)
        )
    except (programs.MissingProgram, OSError, subprocess.TimeoutExpired) as problem:
        raise RuntimeProblem(str(problem)) from problem
    found = VERSION.search(done.stdout)
    if done.returncode != 0 or found is None:
        raise RuntimeProblem(
            f"`{' '.join(command)}` does not say `NAME version VERSION`: {done.stdout}{done.stderr}"
        )
    return Runtime(found[1], found[2])


def suit(runtime: Runtime) -> None:
    """crun refuses a hybrid host, but only because it sees the unified mount: without that one, in our own mount
    namespace, it works on the v1 hierarchies."""
    if runtime.name == "crun" and UNIFIED.is_mount():
        kernel.umount(str(UNIFIED))
