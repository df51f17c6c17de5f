"""The exact list of modules each verb loads in the launcher.

Every import is paid on every call of an engine; one careless line costs more than all that `state`
does. So the lists in imports.toml are exact both ways: a module more or less is a failure, and a
change of the list is read in review. `python -m tests.bench.test_imports` writes them anew.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lib import fast

ROOT = Path(__file__).resolve().parents[2]
EXPECTED = Path(__file__).with_name("imports.toml")
LAYOUT = ROOT / "native" / "launcher" / "modules.txt"
sys.path.insert(0, str(ROOT / "native" / "launcher"))

import build  # noqa: E402

# Appended to the entry in a copy of the package: says at the end what was loaded, on descriptor 9.
REPORT = """

def _reporting(real):
    def main(argv):
        import posix
        import sys

        status = real(argv)
        waiting = "run_body"  # what a module that was imported and never used still has (bootstrap.py)
        used = [
            name
            for name, module in sys.modules.items()
            if getattr(getattr(module, '__dict__', {}).get("__getattr__"), "__name__", "") != waiting
        ]
        posix.write(9, " ".join(used).encode())
        return status
    return main

main = _reporting(main)
"""
# What the interpreter itself has loaded before it runs a line of ours.
# `_native.lib` is no module: cffi puts it there.
INTERPRETER = {
    "pyruntime.kernel._native.lib",
    "sys",
    "builtins",
    "_frozen_importlib",
    "_imp",
    "_thread",
    "_warnings",
    "_weakref",
}

VERBS = {
    "--version": ["--version"],
    "features": ["features"],
    "create": ["create", "--bundle", "BUNDLE", "imports"],
    "state": ["state", "imports"],
    "list": ["list"],
    "kill": ["kill", "imports", "0"],
    "exec": ["exec", "imports", "/bin/hello"],
    "events --stats": ["events", "--stats", "imports"],
    "stats": ["stats", "--no-stream", "--interval", "10ms"],
    "pause": ["pause", "imports"],
    "ps": ["ps", "--format", "json", "imports"],
    "resume": ["resume", "imports"],
    "update": ["update", "--pids-limit", "1000", "imports"],
    "start": ["start", "imports"],
    "delete": ["delete", "imports"],
    "run": ["run", "--bundle", "BUNDLE", "imports-run"],
}
# Those that decide the order in which the modules lie in the executable.
LIFE = ("state", "start", "kill", "delete", "create", "run", "exec")


def layout(lists: dict[str, list[str]]) -> str:
    """The package's modules that a container's life loads, those of most verbs first."""
    uses = Counter(name for verb in LIFE for name in lists[verb] if name.startswith("pyruntime"))
    names = sorted(uses, key=lambda name: (-uses[name], name))
    return "".join(f"{name}\n" for name in names)


def build_reporting_launcher(root: Path) -> Path:
    """A launcher of the same package that reports its modules; the rest is the built tree's."""
    shutil.copytree(build.PACKAGE, root / "pyruntime", ignore=shutil.ignore_patterns("*.pyc"))
    with (root / "pyruntime" / "cli" / "main.py").open("a") as file:
        file.write(REPORT)
    build.build_fast(root / "pyruntime", root / "bin", build.extension_files())
    (root / "lib").symlink_to(ROOT / "build" / "lib")
    return root / "bin" / "pyruntime"


def loaded_by(launcher: Path, state: Path, argv: list[str]) -> list[str]:
    """Runs one verb and returns the modules it had loaded at its end, the interpreter's left out."""
    bundle = str(ROOT / "bundles" / "hello")
    words = [bundle if word == "BUNDLE" else word for word in argv]
    # Files and not pipes: a container keeps the descriptors of stdout and stderr open.
    with tempfile.TemporaryFile() as report, tempfile.TemporaryFile() as errors:
        done = subprocess.run(
            [launcher, "--root", state, *words],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env={},
            close_fds=False,
            preexec_fn=lambda: os.dup2(report.fileno(), 9),
        )
        report.seek(0)
        errors.seek(0)
        names = report.read().decode().split()
        said = errors.read().decode()
    assert done.returncode == 0, f"{argv[0]}: {said}"
    return sorted(set(names) - INTERPRETER)


def pid_of(launcher: Path, state: Path) -> int:
    with open(os.devnull, "r+b") as null:
        command = [str(launcher), "--root", str(state), "state", "imports"]
        told = subprocess.run(
            command,
            check=True,
            stdout=subprocess.PIPE,
            preexec_fn=lambda: os.dup2(null.fileno(), 9),
            close_fds=False,
        )
    return int(json.loads(told.stdout)["pid"])


def measure() -> dict[str, list[str]]:
    """All verbs in the order of a container's life."""
    subprocess.run([ROOT / "bundles" / "prepare", "hello"], check=True)
    with tempfile.TemporaryDirectory(prefix="pyruntime-imports-") as directory:
        root = Path(directory)
        launcher = build_reporting_launcher(root)
        state = root / "state"
        found = {}
        try:
            for verb, argv in VERBS.items():
                if verb == "start":
                    pidfd = os.pidfd_open(pid_of(launcher, state))
                found[verb] = loaded_by(launcher, state, argv)
                if verb == "start":
                    # The program of the example ends by itself; `delete` wants to find it ended.
                    select.select([pidfd], [], [], 10)
                    os.close(pidfd)
            return found
        finally:
            subprocess.run(
                [launcher, "--root", state, "delete", "--force", "imports"],
                check=False,
                stderr=subprocess.DEVNULL,
            )


@pytest.fixture(scope="module")
def measured() -> Iterator[dict[str, list[str]]]:
    fast.need()
    assert os.geteuid() == 0, "making containers needs root here"
    yield measure()


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_loads_exactly_its_modules(measured: dict[str, list[str]], verb: str) -> None:
    expected = tomllib.loads(EXPECTED.read_text())[verb]
    assert measured[verb] == expected, f"{EXPECTED.name} is written by python -m {__spec__.name}"


def test_the_layout_has_the_modules_of_a_life() -> None:
    lists = tomllib.loads(EXPECTED.read_text())
    assert LAYOUT.read_text() == layout(lists), f"it is written by python -m {__spec__.name}"


def main() -> None:
    lines = ["# The modules each verb loads; written by test_imports.py, read in review.", ""]
    measured = measure()
    for verb, names in measured.items():
        key = verb if verb.isalpha() else f'"{verb}"'
        lines += [f"{key} = [", *(f'    "{name}",' for name in names), "]", ""]
    EXPECTED.write_text("\n".join(lines[:-1]) + "\n")
    LAYOUT.write_text(layout(measured))


if __name__ == "__main__":
    main()
