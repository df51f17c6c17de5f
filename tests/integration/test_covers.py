"""The marks `covers("x")` are true: among the tests that have one, some fail on a runtime that ignores x.

What the schema requires cannot be left out, and what unit tests alone cover is not tried.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.lib import programs, property_dropper

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "schema"))

import properties  # noqa: E402
from resolve import Resolver  # noqa: E402

TREE = Resolver().tree("config-schema.json")
SOME_FAILED = 1  # pytest's exit status


def value_of(leaf: str) -> str:
    """A list of plain values counts as one."""
    return leaf.removesuffix(".*")


def is_required(path: str) -> bool:
    node: Any = TREE
    *parents, last = path.split(".")
    for name in parents:
        node = node["items"] if name == "*" else node["properties"][name]
    return last in node.get("required", ())


def claims() -> dict[str, list[str]]:
    """{path: tests marked with it} for those of tests/integration."""
    found = {}
    for row in properties.rows():
        tests = [test for test in row.tests if test.startswith("integration/")]
        if row.support == properties.FULL and tests and not is_required(value_of(row.leaf)):
            found[value_of(row.leaf)] = tests
    return found


CLAIMS = claims()


def test_there_are_claims() -> None:
    assert len(CLAIMS) > 80
    document = {"a": [{"b": 1, "c": 2}, {"b": 3}], "d": {"e": 4}}
    property_dropper.forget(document, ["a", "*", "b"])
    property_dropper.forget(document, ["d", "e", "f"])
    assert document == {"a": [{"c": 2}, {}], "d": {"e": 4}}


@pytest.mark.nightly
@pytest.mark.skipif(programs.runtime_name() != "pyruntime", reason="the marks are pyruntime's")
@pytest.mark.parametrize("path", CLAIMS)
def test_ignoring_it_is_noticed(tmp_path: Path, path: str) -> None:
    runtime = tmp_path / "pyruntime"
    script = Path(property_dropper.__file__)
    runtime.write_text(f'#!/bin/sh\nexec {sys.executable} -I {script} "$@"\n')
    runtime.chmod(0o755)
    (real,) = programs.runtime_command()
    files = [str(ROOT / "tests" / test) for test in CLAIMS[path]]
    outcome = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *files],
        env={**os.environ, "RUNTIME": str(runtime), "REAL": real, "FORGET": path},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    words = outcome.stdout[-2000:]
    assert outcome.returncode == SOME_FAILED, f"nobody misses {path}: {files}\n{words}"
