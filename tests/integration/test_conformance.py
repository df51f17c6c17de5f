"""The conformance suite on runtimes that are none: it must end, say so, and let nothing pass."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lib import programs

RUN = str(programs.PROJECT / "conformance/run")
VERSION = 'case "$*" in *--version*) echo "fake version 1.0"; exit 0;; esac\n'


def run(directory: Path, script: str, *words: str, patience: str = "1") -> tuple[int, list[str]]:
    runtime = directory / "fake"
    runtime.write_text(f"#!/bin/sh\n{VERSION}{script}\n")
    runtime.chmod(0o755)
    done = subprocess.run(
        [sys.executable, RUN, "--runtime", str(runtime), *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATIENCE": patience},
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout.splitlines()


def results(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith(("ok ", "not ok "))]


def test_a_runtime_that_hangs(tmp_path: Path) -> None:
    code, lines = run(
        tmp_path,
        "exec tail -f /dev/null",
        "lifecycle-and-errors/delete-of-nothing",
        patience="0.05",
    )
    assert code == 1
    assert [line.partition(" - ")[0] for line in results(lines)] == ["not ok 1"]
    assert any("hung" in line for line in lines)


@pytest.mark.nightly
def test_a_runtime_that_says_yes_to_everything(tmp_path: Path) -> None:
    """No test may be content with an exit status of 0."""
    code, lines = run(tmp_path, "echo '{}'", patience="0.05")
    assert code == 1
    assert not [line for line in results(lines) if line.startswith("ok ") and "# SKIP" not in line]


def test_what_is_not_there(tmp_path: Path) -> None:
    code, lines = run(tmp_path, "exit 1", "no-such-group")
    assert code == 1 and lines == ["Bail out! there is no group and no test called `no-such-group`"]
    done = subprocess.run(
        [sys.executable, RUN, "--runtime", str(tmp_path / "nobody")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and done.stdout.startswith("Bail out!")
