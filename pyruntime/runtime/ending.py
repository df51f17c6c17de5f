"""Ending a container's init for good: SIGKILL by pidfd, and waiting on that pidfd, never by looking again and again."""

from __future__ import annotations

import posix
import select

from pyruntime import errors
from pyruntime.runtime import signals, status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WAIT_SECONDS = 10


def end(record: dict[str, Any]) -> None:
    """Returns when the init has ended, of this or before it; StepError if even SIGKILL does not help."""
    try:
        pidfd = signals.open_init(record)
    except errors.WrongStatus:
        return
    try:
        try:
            signals.send(pidfd, signals.KILL, record)
        except errors.WrongStatus:
            return
        if status.is_frozen(record):
            from pyruntime.cgroup import driver

            driver.thaw(record["cgroup"])
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        if not poll.poll(WAIT_SECONDS * 1000):
            raise errors.StepError(
                f"process {record['pid']} of container {record['id']} has not ended {WAIT_SECONDS} s after SIGKILL",
                hint="it hangs in the kernel, perhaps on a file system that does not answer; delete it later",
            )
    finally:
        posix.close(pidfd)
