"""A container's status from facts: pid and start time, boot, record, what its init executes (runtime.md, State)."""

from __future__ import annotations

import posix

from pyruntime.lib import proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def is_alive(record: dict[str, Any]) -> bool:
    """The init of this record: not another process of the same pid, not of another boot, not a zombie."""
    pid = record["pid"]
    if pid <= 1:
        return False
    facts = proc.stat_of(pid)
    if facts is None or facts[1] != record["startTime"] or facts[0] in "ZX":
        return False
    return record["bootId"] == proc.boot_id()


def status_of(record: dict[str, Any]) -> str:
    """creating, created, running, paused or stopped."""
    if not is_alive(record):
        return "stopped"
    status: str = record["status"]
    if status == "starting":
        status = "created" if _is_init(record) else "running"
    if status == "running" and record.get("cgroup"):
        from pyruntime.cgroup import driver

        if driver.is_frozen(record["cgroup"]):
            return "paused"
    return status


def _is_init(record: dict[str, Any]) -> bool:
    """A start that died says nothing; what the process executes does."""
    try:
        facts = posix.stat(f"/proc/{record['pid']}/exe")
    except OSError:
        return False
    return [facts.st_dev, facts.st_ino] == record["initExe"]
