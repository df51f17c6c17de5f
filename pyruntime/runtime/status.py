"""What a container is doing, told from facts: the record says what was asked for, /proc what became of it.

A SIGKILL of any verb at any point leaves a true status: the process is the one of the record only if its start
time and the boot are the same, and while the init waits, /proc/PID/exe is still the init's own image. Nothing but
its pidfd tells that it has ended.
"""

from __future__ import annotations

import posix

from pyruntime.lib import proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyruntime.plan.record import Record
    from pyruntime.runtime.store import Entry


def status(record: Record, entry: Entry) -> str:
    """creating, created, running, paused or stopped."""
    recorded = record["status"]
    if not is_alive(record):
        if recorded == "creating" and not record["pid"] and entry.is_locked_by_another():
            return "creating"
        return "stopped"
    if recorded in ("created", "starting"):
        recorded = "created" if _is_waiting(record) else "running"
    if recorded in ("created", "running") and is_frozen(record):
        return "paused"
    return str(recorded)


def _is_waiting(record: Record) -> bool:
    """Whether the process is still our init. EACCES means that it is: the init is not dumpable, so an unprivileged
    caller can read /proc/PID/exe only of the container's own program, while its main thread runs."""
    try:
        found = proc.exe_of(record["pid"])
    except PermissionError:
        return True
    if found is None:
        return not proc.is_shown(record["pid"])
    return found == list(record["initExe"])


def is_alive(record: Record) -> bool:
    """Whether the init, or the program it became, still runs."""
    pid = record["pid"]
    if pid == 0:
        return False
    found = proc.stat_of(pid)
    if found is not None and found[1] == record["startTime"]:
        if found[0] in proc.ENDED:
            return False
        if is_of_this_boot(record):
            return True
    fd = proc.open_pidfd(pid)
    if fd < 0:
        return False
    try:
        from pyruntime.runtime import identity

        return identity.is_of(fd, record) and not identity.has_ended(fd)
    finally:
        posix.close(fd)


def is_of_this_boot(record: Record) -> bool:
    """A procfs of processes alone (subset=pid) does not say which boot this is."""
    try:
        return bool(record["bootId"] == proc.boot_id())
    except FileNotFoundError:
        return True


def is_frozen(record: Record) -> bool:
    if not record.get("cgroup"):
        return False
    from pyruntime.cgroup import frozen

    return frozen.is_frozen(record["cgroup"])


def holds_back(record: Record) -> bool:
    """Whether SIGKILL may have to wait for a thaw."""
    if not record.get("cgroup"):
        return False
    from pyruntime.cgroup import frozen

    return frozen.holds_back(record["cgroup"])


def document(record: Record, now: str) -> dict[str, Any]:
    """The state as runc prints it (runtime.md, State; the rest is runc's): same fields, same order."""
    state: dict[str, Any] = {
        "ociVersion": record["ociVersion"],
        "id": record["id"],
        "pid": 0 if now == "stopped" else record["pid"],
        "status": now,
        "bundle": record["bundle"],
        "rootfs": record["rootfs"],
        "created": record["created"],
    }
    annotations = record["annotations"]
    if annotations:
        state["annotations"] = {name: annotations[name] for name in sorted(annotations)}
    state["owner"] = ""
    return state
