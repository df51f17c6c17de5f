"""What a pidfd tells of the end of a process that is no child of ours."""

from __future__ import annotations

from pyruntime.kernel.native import ffi, lib


def exit_status(pidfd: int) -> int | None:
    """The wait status of a process that its parent has waited for; PIDFD_GET_INFO with PIDFD_INFO_EXIT, Linux 6.15.

    None where the kernel does not tell, and as long as nobody has waited for it.
    """
    status = ffi.new("int *")
    return int(status[0]) if lib.pr_exit_status(pidfd, status) == 1 else None
