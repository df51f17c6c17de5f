"""known-tools.toml: the programs that pyruntime does not pass, with whose fault it is and why.

Strict both ways: a program that fails and is not listed is an error, and so is one that is listed and passes, or that
does not exist. A row may be bound to a kind of machine, and counts only there: `missing` names what the machine lacks (a
path, or a capability this process does not have), `since` the kernel from which on it is so. One that says
`sometimes` is looser: a race in the program decides whether it passes.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).resolve().parents[1] / "known-tools.toml"
FAULTS = {
    "suite": "the program is wrong, or no runtime can pass it",
    "spec": "the specification has changed since the program was written",
    "machine": "this machine lacks what the program needs",
    "choice": "a difference on purpose: docs/design.md",
    "ours": "not done yet",
}

CAPABILITIES = {"CAP_SYS_RESOURCE": 24}


class KnownError(Exception):
    """known-tools.toml cannot be used; the message says where."""


@dataclass(frozen=True)
class Row:
    fault: str
    why: str
    missing: str = ""
    since: str = ""
    sometimes: bool = False

    @property
    def applies(self) -> bool:
        return _lacks(self.missing) and _is_since(self.since)


def _lacks(what: str) -> bool:
    if what in CAPABILITIES:
        status = Path("/proc/self/status").read_text()
        effective = int(status.partition("CapEff:")[2].split()[0], 16)
        return not effective >> CAPABILITIES[what] & 1
    return not what or not os.path.lexists(what)


def _is_since(version: str) -> bool:
    """Whether the kernel that runs is at least so new; its name may end in words of the distribution."""
    if not version:
        return True
    wanted = [int(word) for word in version.split(".")]
    running = [int(word) for word in re.findall(r"\d+", os.uname().release)[: len(wanted)]]
    return running >= wanted


def load(file: Path = FILE) -> dict[str, Row]:
    rows = {}
    for name, entry in tomllib.loads(file.read_text()).items():
        try:
            row = Row(**entry)
        except TypeError as error:
            raise KnownError(f"{file.name}: [{name}]: {error}") from error
        if row.fault not in FAULTS or not row.why:
            raise KnownError(f"{file.name}: [{name}]: needs `why`, and one of {', '.join(FAULTS)}")
        rows[name] = row
    return rows


def surprises(rows: dict[str, Row], complaints: dict[str, str | None], *, whole: bool) -> list[str]:
    """What is not as listed. `whole`: every program of the suite ran, so that a row without one is stale."""
    found = []
    for name, why in complaints.items():
        row = rows.get(name)
        if why and not (row and row.applies):
            found.append(f"{name} fails and is not listed: {why}")
        if not why and row and row.applies and not row.sometimes:
            found.append(f"{name} passes and is listed: {row.why}")
    if whole:
        found += [f"{name} is listed and does not exist" for name in rows if name not in complaints]
    return found
