"""known.toml: what a runtime is known to fail, and how many tests a host may skip.

    [skips]
    v2 = 12

    [[runc]]
    versions = ["1.1.*"]
    layouts = ["v2"]
    tests = ["process/umask-unset"]
    reason = "sets 0022"
    spec = "config.md, User: if unset, the umask is not changed from the calling process' umask"
    engine = "tests/engines/test_containerd.py::test_of_what_it_needs"

`versions` are shell patterns for the version that `--version` prints; without `layouts` an entry holds on all. A
test's name without its label stands for all of its labels. It is strict both ways: a failure that is not listed is
one, and a listed test that passes is one, too. Only an entry with `race = true` may pass as well; its reason says
what races. `engine` is a test, of an engine where there is one, that needs it so, and is asked of every entry of
pyruntime.
"""

from __future__ import annotations

import fnmatch
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("known.toml")
KEYS = {"versions", "layouts", "tests", "reason", "spec", "engine", "race"}


class KnownError(Exception):
    """The list itself is wrong."""


@dataclass(frozen=True)
class Entry:
    runtime: str
    versions: tuple[str, ...]
    layouts: tuple[str, ...]
    tests: tuple[str, ...]
    reason: str
    spec: str
    engine: str
    race: bool

    def names(self, there: Iterable[str]) -> Iterator[str]:
        """The tests it lists, of those that there are."""
        for test in there:
            if test in self.tests or test.partition("[")[0] in self.tests:
                yield test

    def concerns(self, runtime: str, version: str, layout: str) -> bool:
        return (
            runtime == self.runtime
            and any(fnmatch.fnmatchcase(version, pattern) for pattern in self.versions)
            and (not self.layouts or layout in self.layouts)
        )


@dataclass(frozen=True)
class Known:
    entries: tuple[Entry, ...]
    skips: dict[str, int]

    def excuses(
        self, runtime: str, version: str, layout: str, there: Sequence[str]
    ) -> dict[str, Entry]:
        """{test: entry}; a test listed twice for one runtime is an error of the list."""
        found: dict[str, Entry] = {}
        for entry in self.entries:
            if entry.concerns(runtime, version, layout):
                for test in entry.names(there):
                    if test in found:
                        raise KnownError(f"{runtime} {version}: {test} is listed twice")
                    found[test] = entry
        return found

    def check(self, there: Sequence[str]) -> None:
        """Every test that is listed exists."""
        names = {*there, *(test.partition("[")[0] for test in there)}
        for entry in self.entries:
            unknown = sorted(set(entry.tests) - names)
            if unknown:
                raise KnownError(f"{entry.runtime}: there is no test {', '.join(unknown)}")


def entry_of(runtime: str, row: dict[str, Any]) -> Entry:
    if not {"versions", "tests", "reason", "spec"} <= row.keys() <= KEYS:
        raise KnownError(
            f"{runtime}: an entry has versions, tests, reason, spec and may have layouts, engine, race: {row}"
        )
    return Entry(
        runtime,
        tuple(row["versions"]),
        tuple(row.get("layouts", ())),
        tuple(row["tests"]),
        row["reason"],
        row["spec"],
        row.get("engine", ""),
        row.get("race", False),
    )


def read(path: Path = FILE) -> Known:
    document = tomllib.loads(path.read_text())
    skips = document.pop("skips", {})
    entries = [entry_of(runtime, row) for runtime, rows in document.items() for row in rows]
    return Known(tuple(entries), skips)
