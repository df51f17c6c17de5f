"""A run with --skips fails when a test is skipped for a reason that the table does not allow."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.lib.skips import too_many

ROOT = Path(__file__).resolve().parents[2]
TEST = (
    'import pytest\n\ndef test_it():\n    pytest.skip("no moon")\n\ndef test_other():\n    pass\n'
)


def test_reasons_and_counts() -> None:
    assert too_many(["a", "b", "a"], {"a": 2, "b": 1, "c": 5}) == []
    assert too_many(["a", "b", "a"], {"a": 1}) == [
        "2 skipped, 1 allowed: a",
        "1 skipped, 0 allowed: b",
    ]


@pytest.mark.parametrize(("table", "status"), [('"no moon" = 1', 0), ("", 1), ('"no sun" = 3', 1)])
def test_the_exit_status(tmp_path: Path, table: str, status: int) -> None:
    (tmp_path / "skips.toml").write_text(table)
    (tmp_path / "test_it.py").write_text(TEST)
    (tmp_path / "conftest.py").write_text((ROOT / "tests/conftest.py").read_text())
    words = [sys.executable, "-m", "pytest", "-q", "--skips", "skips.toml", "test_it.py"]
    done = subprocess.run(
        words,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert ("skips.toml: 1 skipped, 0 allowed: no moon" in done.stdout) == bool(status)


def test_the_table_of_bare_machines_has_a_bound() -> None:
    assert sum(tomllib.loads((ROOT / "tests/bare/skips.toml").read_text()).values()) < 200
