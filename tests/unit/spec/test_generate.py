"""The generator: its output is current, the same each time, and nothing of the schema gets lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "schema"))
import generate  # noqa: E402
from resolve import Resolver, SchemaError  # noqa: E402


def test_what_is_checked_in_is_current() -> None:
    done = subprocess.run(
        [sys.executable, "schema/generate.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_deterministic() -> None:
    """The hash seed of the process that ran it does not show."""
    code = "import generate, hashlib; print(hashlib.sha256(repr(generate.generate()).encode()).hexdigest())"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT / "schema",
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(outputs) == 1


REFUSED: list[dict[str, Any]] = [
    {"type": "string", "maxLength": 3},
    {"type": "string", "pattern": "^new$"},
    {"type": "number"},
    {"type": ["string", "null"]},
    {"oneOf": [{"type": "string"}, {"type": "integer"}]},
    {"type": "object", "properties": {}, "additionalProperties": {"type": "string"}},
    {"type": "object", "properties": {}, "additionalProperties": False},
    {"type": "integer", "enum": [1]},
    {"allOf": [{"type": "string"}]},
]


@pytest.mark.parametrize("node", REFUSED)
def test_unknown_constraints_are_refused(node: dict[str, Any], tmp_path: Path) -> None:
    """What the tables cannot say must stop the build, not vanish."""
    (tmp_path / "a.json").write_text(json.dumps(node))
    with pytest.raises(SchemaError):
        generate.Tables().add(Resolver(tmp_path).tree("a.json"))


def test_the_files_name_their_licence() -> None:
    assert "Apache License" in (ROOT / "schema" / "LICENSE").read_text()
    assert "1.3.0" in (ROOT / "schema" / "README.md").read_text()
