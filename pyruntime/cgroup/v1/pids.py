"""linux.resources.pids on v1: zero is a limit (runtime-spec 1.3), below zero means none."""

from __future__ import annotations

from pyruntime.cgroup import knob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def asked(resources: Mapping[str, Any]) -> bool:
    return resources["pids"].get("limit") is not None


def apply(dir_fd: int, resources: Mapping[str, Any]) -> None:
    limit = resources["pids"]["limit"]
    knob.set_value(
        dir_fd, "pids.max", "max" if limit < 0 else str(limit), "pids limit", "/pids/limit"
    )


def stats(dir_fd: int) -> dict[str, int]:
    """How many processes and threads, and how many there may be; without a limit there is none."""
    from pyruntime.cgroup import reading

    limit = reading.number(dir_fd, "pids.max")
    return reading.known(
        current=reading.number(dir_fd, "pids.current"),
        limit=None if limit == reading.NO_LIMIT else limit,
    )
