"""Whether a process is the one of a record, where a look at /proc/PID/stat does not tell at once.

The start time proves it, as a reader in another time namespace sees it, too. Where the procfs hides the process
(hidepid), its pidfd has an inode of its own (Linux 6.9), and an init that was hidden from its own creator has two
bounds for its start: who had the number at the upper one, and began before it, is the init. On an older kernel a
process of that number that is hidden from us counts as the init: what cannot be read is no sign of death.
"""

from __future__ import annotations

import posix
import select
import time

from pyruntime.lib import proc
from pyruntime.runtime.status import is_of_this_boot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.plan.record import Record

THREAD = posix.O_EXCL  # PIDFD_THREAD (Linux 6.9)


def is_of(pidfd: int, record: Record) -> bool:
    """Whether the process behind the descriptor, which may have ended, is the record's. The descriptor was opened
    by number before: from then on the number is nobody else's, or the process has ended."""
    if not is_of_this_boot(record):
        return False
    found = proc.stat_of(record["pid"])
    if found is not None:
        return has_started(record, found[1])
    inode = record.get("pidfdInode")
    return not inode or posix.fstat(pidfd).st_ino == inode


def has_started(record: Record, seen: int) -> bool:
    """Whether a start time of /proc/PID/stat is the record's."""
    first, last = record.get("startedAfter", record["startTime"]), record["startTime"]
    if first <= seen <= last:
        return True
    moved = (proc.clock_offset() - record.get("clockOffset", 0)) * _ticks_per_second()
    # Both were rounded down after the shift, so that one tick more may be left.
    ticks = moved // proc.NANOSECONDS
    return bool(moved) and first + ticks <= seen <= last + ticks + 1


def estimate(record: Record) -> None:
    """For an init that is hidden from us, its creator: it has begun after us and before now."""
    ours = proc.stat_of(posix.getpid())
    record["startedAfter"] = ours[1] if ours else 0
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    record["startTime"] = now * _ticks_per_second() // proc.NANOSECONDS


def has_ended(pidfd: int) -> bool:
    """Every thread of it: a main thread that has ended alone is a zombie in /proc, and the process runs on."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def living_thread(pid: int) -> int:
    """A thread of a process whose main one has ended; 0 where that has not, or none is left."""
    if proc.thread_state(pid) != "Z":
        return 0
    try:
        threads = [int(name) for name in posix.listdir(f"/proc/{pid}/task")]
    except OSError:
        return 0
    return next((one for one in threads if proc.thread_state(one) not in ("", *proc.ENDED)), 0)


def open_thread(thread: int) -> int:
    """A pidfd of one thread; OSError on kernels that have none, and when it has ended."""
    return posix.pidfd_open(thread, THREAD)


def _ticks_per_second() -> int:
    return posix.sysconf("SC_CLK_TCK")
