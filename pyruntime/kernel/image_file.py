"""The init's image as a file, where no memfd may be executed: vm.memfd_noexec = 2 (Linux 6.3, Documentation/admin-guide/sysctl/vm.rst).

Root's lies in a tmpfs that is mounted nowhere and becomes read-only; an ordinary user's in a directory for temporary files. It has no
name, every container has its own, and the kernel writes to no file that is being executed: so /proc/PID/exe leads to
nothing that a container could spoil for another (CVE-2019-5736).
"""

from __future__ import annotations

import posix
from errno import EACCES

from pyruntime.errors import KernelError
from pyruntime.kernel import calls
from pyruntime.kernel.native import lib

TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm")


def make() -> int:
    """A descriptor that can be read and executed; KernelError where there is no place for it."""
    mount: int = lib.pr_tmpfs(lib.MOUNT_ATTR_NOSUID | lib.MOUNT_ATTR_NODEV)
    if mount < 0:
        return _temporary()
    try:
        fd: int = lib.pr_init_file(mount)
        if fd >= 0:
            calls.mount_setattr(mount, 0, lib.MOUNT_ATTR_RDONLY)
    finally:
        posix.close(mount)
    return _opened(fd)


def _temporary() -> int:
    fd = -EACCES
    for path in TEMPORARY:
        try:
            if posix.statvfs(path).f_flag & posix.ST_NOEXEC:
                continue
            directory = posix.open(path, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
        except OSError:
            continue
        fd = lib.pr_init_file(directory)
        posix.close(directory)
        if fd >= 0:
            break
    return _opened(fd)


def _opened(fd: int) -> int:
    if fd < 0:
        raise KernelError(-fd, "place the init where vm.memfd_noexec forbids a memfd")
    return fd
