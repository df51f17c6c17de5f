"""How a process ended that is no child of ours, as far as the kernel tells.

wait(2) is for parents. Until the parent has waited, the wait status stands in /proc/PID/stat (field 52, proc(5)) for
whoever may look into the process; afterwards the pidfd knows it, since Linux 6.15. Between two looks one may become the
other, so the pidfd is asked again.
"""

from __future__ import annotations

import posix

from pyruntime.kernel.pidfd import exit_status
from pyruntime.lib import proc
from pyruntime.lib.files import read_file


def wait_status(pidfd: int, pid: int, start_time: int) -> int | None:
    """The wait status of a process that has ended; None where nobody tells."""
    found = exit_status(pidfd)
    if found is None:
        found = _of_zombie(pid, start_time)
    return exit_status(pidfd) if found is None else found


def _of_zombie(pid: int, start_time: int) -> int | None:
    try:
        text = read_file(f"/proc/{pid}/stat", 4096)
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(b")") + 2 :].split()
    if fields[0] != b"Z" or int(fields[19]) != start_time:
        return None
    status = int(fields[49])
    return status if status or _may_look() else None  # who may not look is shown 0


def _may_look() -> bool:
    """The host's root may look into whatever process; ptrace(2), access mode checking."""
    return posix.geteuid() == 0 and not proc.in_user_namespace()


def code_and_signal(status: int | None) -> tuple[int | None, int | None]:
    """Exit status or signal number; the other is None, both are when nobody told."""
    if status is None:
        return None, None
    signal = status & 0x7F
    return (None, signal) if signal else (status >> 8 & 0xFF, None)
