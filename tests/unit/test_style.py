"""Linters are tests. Those of .venv must be there; those of the system are skipped where absent."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent
# Directories with something written by hand in them.
WHERE = ("pyruntime", "native", "schema", "tests", "conformance", "bundles", ".ci")


def run(*command: str | Path) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{Path(command[0]).name}:\n{done.stdout}{done.stderr}"


def system_tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def files(*suffixes: str) -> list[str]:
    found = []
    for place in WHERE:
        for path in (ROOT / place).rglob("*"):
            if path.suffix in suffixes and "rootfs" not in path.parts:
                found.append(str(path.relative_to(ROOT)))
    return sorted(found)


def shell_scripts() -> list[str]:
    found = []
    for place in WHERE:
        for path in (ROOT / place).rglob("*"):
            if path.suffix in ("", ".sh") and "rootfs" not in path.parts and path.is_file():
                with path.open("rb") as file:
                    if file.readline().startswith((b"#!/bin/sh", b"#!/bin/bash")):
                        found.append(str(path.relative_to(ROOT)))
    return sorted(found)


def is_formatted(tool: str, name: str) -> bool:
    command = [tool, "--dry-run", "-Werror", name]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0


def test_ruff() -> None:
    run(TOOLS / "ruff", "check", "--no-cache", ".")


def test_format() -> None:
    run(TOOLS / "ruff", "format", "--no-cache", "--check", ".")


@pytest.mark.slow
def test_types() -> None:
    run(TOOLS / "mypy")


def test_spelling() -> None:
    run(TOOLS / "codespell", *(place for place in WHERE if (ROOT / place).exists()), "docs")


def test_shell() -> None:
    run(system_tool("shellcheck"), *shell_scripts())


def test_c_format() -> None:
    generated = {"native/shim/init_image.h"}
    sources = [name for name in files(".c", ".h") if name not in generated]
    tool = system_tool("clang-format")
    other = [name for name in sources if not is_formatted(tool, name)]
    assert not other, "clang-format -i " + " ".join(other)
