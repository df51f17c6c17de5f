"""Ending a container's init for good: SIGKILL by pidfd, and waiting on that pidfd, never by looking again and again."""

from __future__ import annotations

import posix
import select

from pyruntime import errors
from pyruntime.lib.proc import SIGKILL
from pyruntime.runtime import signals, status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.plan.record import Record

WAIT_SECONDS = 10
ROUND_MS = 500


def end(record: Record) -> None:
    """Returns when the init has ended, of this or before it; StepError if even SIGKILL does not help."""
    try:
        pidfd = signals.open_init(record)
    except errors.WrongStatus:
        return
    try:
        try:
            signals.send(pidfd, SIGKILL, record)
        except errors.WrongStatus:
            return
        if not _awaited(pidfd, record):
            raise errors.StepError(
                f"process {record['pid']} of container {record['id']} has not ended {WAIT_SECONDS} s after SIGKILL",
                hint="it hangs in the kernel, perhaps on a file system that does not answer; delete it later",
            )
    finally:
        posix.close(pidfd)


def _awaited(pidfd: int, record: Record) -> bool:
    """Whether it has ended in time. Another process may freeze one more before its own end: asked anew each round."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    for _ in range(WAIT_SECONDS * 1000 // ROUND_MS or 1):
        if status.holds_back(record):
            from pyruntime.cgroup import driver

            driver.thaw_all(record["cgroup"])
        if poll.poll(ROUND_MS):
            return True
    return False
