"""Reading what a group's files count; a file that is not there, or no longer, is None or nothing.

A controller may be missing, a kernel may lack a file, and a container may disappear while it is looked at (R-39):
none of these is a failure of whoever only looks. Every read is bounded.
"""

from __future__ import annotations

import errno

from pyruntime.lib.files import read_file

NOTHING = (
    errno.ENOENT,
    errno.ENODEV,
    errno.EOPNOTSUPP,
)  # the last: pressure that cgroup.pressure switched off
LIMIT_BYTES = 1 << 20
NO_LIMIT = 2**64 - 1  # what runc prints for `max`


def text(dir_fd: int, name: str) -> str | None:
    try:
        return read_file(name, LIMIT_BYTES, dir_fd).decode("ascii", "replace")
    except OSError as error:
        if error.errno in NOTHING:
            return None
        raise


def number(dir_fd: int, name: str) -> int | None:
    """A file of one number."""
    return as_number(text(dir_fd, name) or "")


def as_number(word: str) -> int | None:
    word = word.strip()
    if word == "max":
        return NO_LIMIT
    return int(word) if word.removeprefix("-").isdecimal() else None


def numbers(dir_fd: int, name: str) -> list[int]:
    """A file of numbers on one line, such as cpuacct.usage_percpu."""
    return [int(word) for word in (text(dir_fd, name) or "").split() if word.isdecimal()]


def pairs(dir_fd: int, name: str) -> dict[str, int]:
    """A file of lines `name number`, such as memory.stat."""
    return as_pairs(text(dir_fd, name) or "")


def as_pairs(found: str) -> dict[str, int]:
    rows = (line.split() for line in found.splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdecimal()}


def ranges(dir_fd: int, name: str) -> list[int]:
    """A list such as `0-2,7`, every number of it."""
    found: list[int] = []
    for part in (text(dir_fd, name) or "").strip().split(","):
        first, _, last = part.partition("-")
        if first.isdecimal():
            found += range(int(first), int(last if last.isdecimal() else first) + 1)
    return found


def pressure(dir_fd: int, name: str) -> dict[str, dict[str, float | int]] | None:
    """Pressure stall information (Documentation/accounting/psi.rst): {some, full: {avg10, avg60, avg300, total}},
    the averages in per cent, the total in microseconds."""
    return as_pressure(text(dir_fd, name) or "")


def as_pressure(found: str) -> dict[str, dict[str, float | int]] | None:
    rows: dict[str, dict[str, float | int]] = {}
    for line in found.splitlines():
        kind, *fields = line.split()
        rows[kind] = {}
        for field in fields:
            key, _, value = field.partition("=")
            rows[kind][key] = int(value) if value.isdecimal() else float(value)
    return rows or None


def known(**values: int | None) -> dict[str, int]:
    """Those that are there, in their order."""
    return {key: value for key, value in values.items() if value is not None}
