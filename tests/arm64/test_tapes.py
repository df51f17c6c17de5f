"""Tapes of arm64 played by an init of arm64 under qemu-user, and plans with arm64's numbers.

The unit tests of the init and of the features run again, in an interpreter of their own, with tests.lib.foreign:
what qemu-user cannot do is left out and named (tests/lib/emulator.py).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.lib.programs import PROJECT


def passed(*places: str) -> int:
    """How many tests passed with another machine's numbers and init; fails with their report."""
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "tests.lib.foreign",
        "-m",
        "not nightly",
        *places,
    ]
    patience = str(4 * float(os.environ.get("PATIENCE") or "1"))
    done = subprocess.run(
        words,
        cwd=PROJECT,
        env={**os.environ, "PATIENCE": patience},
        capture_output=True,
        text=True,
        check=False,
    )
    print("\n".join(line for line in done.stdout.splitlines() if line.startswith("left out")))
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return int(re.findall(r"(\d+) passed", done.stdout)[0])


@pytest.mark.slow
def test_the_init_plays_tapes() -> None:
    names = sorted(path.name for path in (PROJECT / "tests/unit/native").glob("test_init_*.py"))
    assert passed(*(f"tests/unit/native/{name}" for name in names)) > 100


@pytest.mark.slow
def test_plans_hold_for_another_machines_numbers() -> None:
    assert passed("tests/unit/features", "tests/unit/plan") > 500
