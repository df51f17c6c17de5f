"""Why an init ended before it should: the exit status, and the out-of-memory killer by name."""

from __future__ import annotations

import posix

from pyruntime.errors import StepError
from pyruntime.lib.proc import SIGKILL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.plan.record import Record

ENDS = {
    110: "it found no tape",
    113: "the runtime's end of the socket closed",
    120: "a descriptor could not be handed over",
    121: "its image could not be executed",
}
NOT_BEGUN = (120, 121)
NO_LIMIT = 1 << 62  # v1 shows the largest number of pages where only a group above has one
LIMIT = "/linux/resources/memory/limit"
FLOOR_KIB, KIB_PER_MOUNT = 100, 2
"""Measured on Linux 6.18 (v1), for an init that waits for start, with the mounts of `spec`; runc needs 2.3 MiB."""


def exit_code(status: int) -> int:
    """A wait status as a shell says it: the program's exit status, 128 + n after signal n."""
    return 128 + (status & 0x7F) if status & 0x7F else status >> 8


def describe_end(pid: int, record: Record, *, joining: bool = False) -> Exception:
    """The error for an init, our child, that is gone without a word. Does not reap it.

    With `joining`, the group's OOM counter may belong to another process: an OOM kill is reported only if the init
    itself died of SIGKILL.
    """
    result = posix.waitid(posix.P_PID, pid, posix.WEXITED | posix.WNOWAIT)
    who = "the process" if joining else "container init"
    killed = (
        result is not None and result.si_code != posix.CLD_EXITED and result.si_status == SIGKILL
    )
    if (killed or not joining) and was_oom_killed(record):
        return out_of_memory(f"{who} was OOM-killed", record)
    if result is not None and result.si_status in NOT_BEGUN and _memory_counts(record, b"oom "):
        # Born into the cgroup, and between clone and execve: the killer passes over who stands in for its parent.
        return out_of_memory(
            "container init had no memory to start in: cannot allocate memory", record
        )
    if result is None:
        words = "it closed its socket"
    elif result.si_code == posix.CLD_EXITED:
        words = ENDS.get(result.si_status, f"exit status {result.si_status}")
    else:
        words = f"killed by signal {result.si_status}"
    return StepError(f"{who} ended before it was ready: {words}")


HINT = (
    f"the init of a container needs about {FLOOR_KIB} KiB, {KIB_PER_MOUNT} KiB more with each mount beyond the"
    " usual ones; the hooks and the program come on top"
)


def out_of_memory(what: str, record: Record) -> StepError:
    """The error, in runc's words, with the limit that was reached and what there has to be at least."""
    said = ""
    for text in _read(record, "memory.limit_in_bytes", "memory.max"):
        if text.strip().isdigit() and int(text) < NO_LIMIT:
            said = f": the limit is {int(text)} bytes"
    return StepError(f"{what} (memory limit too low?){said}", LIMIT, hint=HINT)


def name_limit(error: StepError, cgroup: Any) -> None:
    """Says of a clone that failed (EAGAIN) which limit it was; `cgroup` is that of the record."""
    from pyruntime.cgroup import driver

    limit = driver.reached_limit(cgroup)
    if limit and limit not in error.message:
        error.message += f": {limit}"


def was_oom_killed(record: Record) -> bool:
    """The memory controller counts its kills (v1: memory.oom_control, v2: memory.events)."""
    return _memory_counts(record, b"oom_kill ")


def _memory_counts(record: Record, key: bytes) -> bool:
    """Whether that counter of the container's memory controller is above zero."""
    return any(
        line.startswith(key) and line != key + b"0"
        for text in _read(record, "memory.oom_control", "memory.events")
        for line in text.splitlines()
    )


def _read(record: Record, *names: str) -> Iterator[bytes]:
    """Those of the files that the container's memory controller has."""
    groups = (record.get("cgroup") or {}).get("groups") or {}
    for hierarchy, (mountpoint, path, _) in groups.items():
        if "memory" not in hierarchy.split(",") and hierarchy:
            continue
        for name in names:
            try:
                fd = posix.open(f"{mountpoint}{path}/{name}", posix.O_RDONLY | posix.O_CLOEXEC)
            except OSError:
                continue
            try:
                yield posix.read(fd, 4096)
            finally:
                posix.close(fd)
