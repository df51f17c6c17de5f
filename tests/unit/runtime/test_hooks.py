"""pyruntime/runtime/hooks.py: a hook of the runtime's side alone, without a container."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pyruntime.errors import HookError
from pyruntime.runtime import hooks


def run(directory: Path, script: str, **members: Any) -> None:
    record = {"ociVersion": "1.3.0", "id": "web", "pid": 1, "bundle": str(directory)}
    hook = {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin"], **members}
    hooks.run("prestart", [hook], record, "created")


@pytest.mark.parametrize("seconds", [1, 1 << 31, 1 << 62, 10**20 - 1])
def test_any_timeout_may_be_given(tmp_path: Path, seconds: int) -> None:
    """More milliseconds than poll(2) takes once ended in a traceback, with the hook still running."""
    run(tmp_path, "cat > state; exec true", timeout=seconds)
    assert (tmp_path / "state").stat().st_size


def test_a_timeout_that_passes(tmp_path: Path) -> None:
    with pytest.raises(HookError, match=r"hook ran past specified timeout of 1\.0s"):
        run(tmp_path, "exec sleep 60", timeout=1)
