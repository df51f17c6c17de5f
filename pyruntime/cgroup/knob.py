"""Reading and writing the files of a cgroup, each beneath the descriptor of its directory.

A value is one write(2). What may stand in a value is decided here and once: nobody smuggles a second line, or
a second field where one was meant, into a controller's file (R-25).
"""

from __future__ import annotations

import errno
import posix

from pyruntime import errors

SAFE = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ :,*.-_=/+")
MAX_READ_BYTES = 65536
GONE = (errno.ENOENT, errno.ENODEV)


def write(dir_fd: int, name: str, value: str) -> None:
    """One value into one file; OSError as the kernel gives it."""
    if not value or not SAFE.issuperset(value):
        raise errors.StepError(f"value `{value}` for {name} is not one a cgroup file takes")
    write_plain(dir_fd, name, value)


def write_plain(dir_fd: int, name: str, value: str) -> None:
    """`write` of what a file itself has said before."""
    fd = posix.open(name, posix.O_WRONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW, dir_fd=dir_fd)
    try:
        posix.write(fd, value.encode())
    finally:
        posix.close(fd)


def set_value(dir_fd: int, name: str, value: str, what: str, pointer: str) -> None:
    """`write`, its failure told as the property of linux.resources that asked for it."""
    try:
        write(dir_fd, name, value)
    except OSError as error:
        raise failed(what, value, pointer, error) from error


def failed(what: str, value: str, pointer: str, error: OSError) -> errors.StepError:
    number = error.errno or 0
    why = "this kernel has no such setting" if number == errno.ENOENT else ""
    place = "/linux/resources" + pointer
    return errors.StepError(f"set {what} to {value}", place, errno=number, why=why)


def read(dir_fd: int, name: str) -> str:
    """The text of a file without its last line break."""
    fd = posix.open(name, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW, dir_fd=dir_fd)
    try:
        return posix.read(fd, MAX_READ_BYTES).decode("ascii", "replace").rstrip("\n")
    finally:
        posix.close(fd)


def read_path(path: str) -> str:
    """`read` of an absolute path."""
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW)
    try:
        return posix.read(fd, MAX_READ_BYTES).decode("ascii", "replace").rstrip("\n")
    finally:
        posix.close(fd)


def exists(dir_fd: int, name: str) -> bool:
    return posix.access(name, posix.F_OK, dir_fd=dir_fd, follow_symlinks=False)


def processes(dir_fd: int) -> list[int]:
    """The thread groups with a thread in this group; none where the group is gone.

    A threaded v2 group refuses cgroup.procs, so its threads stand for their processes.
    """
    for name in ("cgroup.procs", "cgroup.threads"):
        try:
            return _numbers(dir_fd, name)
        except OSError as error:
            if error.errno in GONE:
                return []
            if error.errno != errno.EOPNOTSUPP:
                raise
    return []


def _numbers(dir_fd: int, name: str) -> list[int]:
    fd = posix.open(name, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW, dir_fd=dir_fd)
    try:
        parts = []
        while part := posix.read(fd, MAX_READ_BYTES):
            parts.append(part)
    finally:
        posix.close(fd)
    return [int(word) for word in b"".join(parts).split()]
