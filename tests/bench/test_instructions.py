"""How many instructions the small verbs execute, counted by callgrind: no noise, so a real gate.

Times depend on the machine and its load; a count does not. A verb that goes over its number has
grown an import, a system call wrapper or a loop; raise a number only for something worth it.
The other verbs are not here: valgrind knows neither their clone nor pidfds. The exact import lists
(test_imports.py) and `make bench` watch those.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lib import fast

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER = ROOT / "build" / "bin" / "pyruntime"

NAME = f"counted-{os.getpid()}"  # pytest-xdist may make one in each of its processes

# Millions of instructions, libc and the dynamic linker included.
GATES = {"--version": 5.6, "state": 7.3, "list": 7.4}


def count(state: Path, *argv: str) -> float:
    """Millions of instructions of `pyruntime ARGV`, which must succeed; the least of three, for addresses are random."""
    fast.need()
    return min(count_once(state, *argv) for _ in range(3))


def count_once(state: Path, *argv: str) -> float:
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        pytest.skip("valgrind is not installed")
    tool = [valgrind, "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    done = subprocess.run(
        [*tool, LAUNCHER, "--root", state, *argv],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found, done.stderr
    return int(found.group(1)) / 1e6


@pytest.fixture(scope="module")
def created(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state directory of one created container, NAME."""
    assert os.geteuid() == 0, "making a container needs root here"
    state = tmp_path_factory.mktemp("state")
    subprocess.run([ROOT / "bundles" / "prepare", "hello"], check=True)
    command = [str(LAUNCHER), "--root", str(state)]
    bundle = ["--bundle", str(ROOT / "bundles" / "hello")]
    with open(os.devnull, "r+b") as null:
        subprocess.run([*command, "create", *bundle, NAME], check=True, stdin=null, stdout=null)
    yield state
    subprocess.run([*command, "delete", "--force", NAME], check=True)


def test_the_bare_start(tmp_path: Path) -> None:
    assert count(tmp_path, "--version") <= GATES["--version"]


def test_state(created: Path) -> None:
    assert count(created, "state", NAME) <= GATES["state"]


def test_list(created: Path) -> None:
    assert count(created, "list") <= GATES["list"]
