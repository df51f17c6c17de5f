"""Giving a v2 group to the container's user (config-linux.md, Cgroup ownership): the directory, and the files that
the kernel says a delegatee needs. Limits are not among them, so a container cannot lift its own."""

from __future__ import annotations

import errno
import posix

from pyruntime import errors
from pyruntime.cgroup import detect

LIST = "/sys/kernel/cgroup/delegate"
WITHOUT_LIST = ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads")


def hand_over(dir_fd: int, uid: int, *, rootless: bool) -> None:
    """`uid` is the host's number. Who is not root owns the group already, or may not give it away."""
    try:
        for name in (".", *_files()):
            try:
                posix.chown(name, uid, -1, dir_fd=dir_fd, follow_symlinks=False)
            except FileNotFoundError:
                continue  # not every group has every file
    except OSError as error:
        if rootless and error.errno == errno.EPERM:
            return
        number = error.errno or 0
        raise errors.StepError(
            f"give the cgroup to user {uid}", "/linux/cgroupsPath", errno=number
        ) from error


def _files() -> list[str]:
    try:
        names = detect.read_proc(LIST).decode("ascii", "replace").split()
    except FileNotFoundError:
        return list(WITHOUT_LIST)
    return [name for name in names if "/" not in name]
