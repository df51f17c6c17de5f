"""Mutations: small edits of pyruntime that break one statement of the specification each, and the tests that must see it.

    [[mutation]]
    name = "hostname-is-not-set"
    file = "pyruntime/features/host_names.py"
    text = "what stands there, exactly once"
    into = "what stands there instead"
    fails = ["namespaces/hostname"]

The tests named are run first on the tree as it is, where they must pass, and then on a copy with the edit, where each
must fail. A mutation that is survived, or whose text is no longer there (stale), fails the run; so does one that makes
pyruntime crash, for any test would see that.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance import tap
from tests.lib import programs
from tests.lib.hierarchies import cgroup_layout

DIRECTORY = Path(__file__).with_name("mutations")
RUN = Path(__file__).with_name("run")
KEYS = {"name", "file", "text", "into", "fails"}
ELSEWHERE = "not here"
CRASH = "internal error: "
"""How pyruntime reports an exception of its own."""
CRASHED = "crashed"


class MutationError(Exception):
    """The list of mutations is wrong."""


@dataclass(frozen=True)
class Mutation:
    name: str
    file: str
    text: str
    into: str
    fails: tuple[str, ...]
    layouts: tuple[str, ...] = ()

    def problem(self, top: Path = programs.PROJECT) -> str:
        """Why it cannot be applied, or nothing."""
        path = top / self.file
        if not path.is_file():
            return f"there is no {self.file}"
        count = path.read_text().count(self.text)
        if count != 1:
            return f"its text is {count} times in {self.file}"
        try:
            ast.parse(self.edited(top))
        except SyntaxError as error:
            return f"it makes {self.file} no Python: {error}"
        return ""

    def is_for(self, layout: str) -> bool:
        return not self.layouts or layout in self.layouts

    def edited(self, top: Path) -> str:
        return (top / self.file).read_text().replace(self.text, self.into)

    def apply(self, top: Path) -> None:
        (top / self.file).write_text(self.edited(top))


def read() -> list[Mutation]:
    found: list[Mutation] = []
    for path in sorted(DIRECTORY.glob("*.toml")):
        for row in tomllib.loads(path.read_text())["mutation"]:
            if not KEYS <= set(row) <= KEYS | {"layouts"}:
                raise MutationError(f"{path.name}: a mutation has {', '.join(sorted(KEYS))}: {row}")
            lists = {key: tuple(row[key]) for key in ("fails", "layouts") if key in row}
            found.append(Mutation(**{**row, **lists}))
    names = [one.name for one in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise MutationError(f"two mutations have one name: {', '.join(twice)}")
    return found


def interpreter() -> str:
    """One that has what pyruntime needs."""
    own = programs.PROJECT / ".venv/bin/python"
    return str(own) if own.exists() else sys.executable


def copy_tree(source: Path, directory: Path) -> Path:
    """The package as it was built, native module and generated tables included."""
    if not list((source / "pyruntime/kernel").glob("_native.*.so")):
        raise MutationError("pyruntime is not built: run `make`")
    leave = shutil.ignore_patterns("__pycache__")
    shutil.copytree(source / "pyruntime", directory / "pyruntime", ignore=leave)
    return directory


def ending(row: dict[str, Any]) -> str:
    """How a test ended; one that failed because pyruntime broke down is told apart."""
    broke = row["status"] == tap.FAILED and CRASH in json.dumps(row["details"])
    return CRASHED if broke else str(row["status"])


def results(top: Path, tests: Sequence[str]) -> dict[str, str]:
    """{test: how it ended} on the package below `top`, run as `python -m pyruntime`."""
    report = top / "report.json"
    report.unlink(missing_ok=True)
    words = f"/usr/bin/env PYTHONPATH={top} {interpreter()} -P -m pyruntime"
    command = [sys.executable, str(RUN), "--runtime", words, "--report", str(report), *tests]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not report.exists():
        raise MutationError(f"the tests did not run: {done.stdout}{done.stderr}")
    rows = json.loads(report.read_text())["results"]
    return {row["id"]: ending(row) for row in rows}


def of(test: str, found: dict[str, str]) -> list[str]:
    """The ends of a test, or of all its labels."""
    return [status for name, status in found.items() if test in (name, name.partition("[")[0])]


def passing(mutations: Iterable[Mutation], top: Path) -> set[str]:
    """Of the tests named, those that pass on the tree as it is; the others prove nothing."""
    tests = sorted({test for one in mutations for test in one.fails})
    found = results(top, tests)
    return {test for test in tests if of(test, found) and set(of(test, found)) == {tap.PASSED}}


def verdict(one: Mutation, good: set[str], sound: Path) -> str:
    """`killed`, or what is wrong."""
    problem = one.problem(sound)
    if problem:
        return f"STALE: {problem}"
    if not one.is_for(cgroup_layout()):
        return ELSEWHERE
    unproven = sorted(set(one.fails) - good)
    if unproven:
        return f"UNPROVEN: without it these do not pass: {', '.join(unproven)}"
    with tempfile.TemporaryDirectory(prefix="mutation-") as directory:
        os.chmod(directory, 0o755)
        top = copy_tree(sound, Path(directory))
        one.apply(top)
        try:
            found = results(top, one.fails)
        except MutationError as broken:
            return f"BROKEN: {broken}"
    broke = [test for test in one.fails if CRASHED in of(test, found)]
    if broke:
        return f"CRASHED {', '.join(broke)}"
    alive = [test for test in one.fails if tap.FAILED not in of(test, found)]
    return f"SURVIVED {', '.join(alive)}" if alive else "killed"


def walk(mutations: Sequence[Mutation]) -> Iterator[tuple[Mutation, str]]:
    """On a copy, so that the tree may change meanwhile."""
    with tempfile.TemporaryDirectory(prefix="unmutated-") as directory:
        os.chmod(directory, 0o755)
        sound = copy_tree(programs.PROJECT, Path(directory))
        here = cgroup_layout()
        usable = [one for one in mutations if one.is_for(here) and not one.problem(sound)]
        good = passing(usable, sound)
        for one in mutations:
            yield one, verdict(one, good, sound)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="conformance/mutate")
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all of them")
    parser.add_argument("--list", action="store_true", help="print them")
    options = parser.parse_args(argv)
    mutations = read()
    unknown = set(options.names) - {one.name for one in mutations}
    if unknown:
        print(f"there is no mutation called {', '.join(sorted(unknown))}")
        return 2
    chosen = [one for one in mutations if not options.names or one.name in options.names]
    if options.list:
        for one in chosen:
            print(f"{one.name}  {one.file}  {' '.join(one.fails)}")
        return 0
    words = []
    for one, word in walk(chosen):
        words.append(word)
        print(f"{one.name}: {word}", flush=True)
    killed, elsewhere = words.count("killed"), words.count(ELSEWHERE)
    print(f"killed {killed} of {len(words) - elsewhere}, {elsewhere} for other cgroup layouts")
    return 0 if killed and killed + elsewhere == len(words) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
