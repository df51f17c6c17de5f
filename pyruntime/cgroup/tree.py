"""Directories of a hierarchy, reached component by component from its mount.

Every step is an open beneath the descriptor of the step before, without following links, so that neither a
planted link nor `..` in a record leads elsewhere. The mount itself is proved: its device is the one
mountinfo gives for a cgroup file system, which an ordinary directory can not imitate.
"""

from __future__ import annotations

import errno
import posix

from pyruntime import errors
from pyruntime.cgroup.knob import GONE
from pyruntime.lib.files import S_IFDIR, S_IFMT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

DIRECTORY = posix.O_DIRECTORY | posix.O_CLOEXEC | posix.O_NOFOLLOW
HANDLE = DIRECTORY | posix.O_PATH
LISTING = DIRECTORY | posix.O_RDONLY


def open_mount(mountpoint: str, device: int) -> int:
    """A handle on the hierarchy's mount, proved to be the cgroup file system that mountinfo showed."""
    try:
        fd = posix.open(mountpoint, HANDLE)
    except OSError as error:
        number = error.errno or 0
        raise errors.StepError(f"open cgroup mount {mountpoint}", errno=number) from error
    if posix.fstat(fd).st_dev != device:
        posix.close(fd)
        raise errors.StepError(f"{mountpoint} is not the cgroup file system it was a moment ago")
    return fd


def descend(fd: int, parts: list[str]) -> tuple[int, int]:
    """(handle, depth) of the deepest directory of `parts` that exists; takes `fd` over, gives a handle."""
    for depth, part in enumerate(parts):
        try:
            below = enter(fd, part)
        except OSError:
            posix.close(fd)
            raise
        if below is None:
            return fd, depth
        posix.close(fd)
        fd = below
    return fd, len(parts)


def enter(dir_fd: int, name: str, flags: int = HANDLE) -> int | None:
    """A descriptor of a directory beneath; None where there is none."""
    try:
        return posix.open(name, flags, dir_fd=dir_fd)
    except OSError as error:
        if error.errno in GONE:
            return None
        raise


def reopen(dir_fd: int) -> int:
    """A descriptor that can list the directory a handle stands for."""
    return posix.open(".", LISTING, dir_fd=dir_fd)


def subgroups(dir_fd: int) -> list[str]:
    with posix.scandir(dir_fd) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]


def files(dir_fd: int) -> list[str]:
    """The names in the directory that are no groups."""
    fd = reopen(dir_fd)
    try:
        with posix.scandir(fd) as entries:
            return [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
    finally:
        posix.close(fd)


def every(dir_fd: int) -> Iterator[int]:
    """A handle on each group beneath `dir_fd` and on itself, deepest first; valid until the next one.

    Goes down and up again with one descriptor, as the payload may nest deeper than we may open files.
    `..` is safe here: a cgroup never moves to another parent.
    """
    return _visit(dir_fd, removing=False)


def clear(dir_fd: int) -> None:
    """Removes every group beneath `dir_fd` but those still in use."""
    for _ in _visit(dir_fd, removing=True):
        pass


def is_leaf(dir_fd: int) -> bool:
    """Whether there is no group beneath."""
    fd = reopen(dir_fd)
    try:
        return not subgroups(fd)
    finally:
        posix.close(fd)


def remove(parent_fd: int, name: str) -> bool:
    """rmdir; True when it is gone, False while it holds processes or groups. What was never made needs no removing,
    whatever the kernel says of the try: a mount that is read-only says so first (EROFS)."""
    try:
        posix.rmdir(name, dir_fd=parent_fd)
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.ENOTEMPTY):
            return False
        if error.errno not in GONE and is_there(parent_fd, name):
            raise
    return True


def is_there(parent_fd: int, name: str) -> bool:
    """Whether there is a group of that name; a file is none."""
    try:
        return posix.stat(name, dir_fd=parent_fd, follow_symlinks=False).st_mode & S_IFMT == S_IFDIR
    except OSError as error:
        if error.errno in GONE:
            return False
        raise


def _visit(top_fd: int, *, removing: bool) -> Iterator[int]:
    fd = reopen(top_fd)
    try:
        trail: list[str] = []
        todo = [subgroups(fd)]
        while todo:
            if todo[-1]:
                name = todo[-1].pop()
                below = enter(fd, name, LISTING)
                if below is not None:
                    posix.close(fd)
                    fd = below
                    trail.append(name)
                    todo.append(subgroups(fd))
                continue
            yield fd
            todo.pop()
            if trail:
                above = posix.open("..", LISTING, dir_fd=fd)
                posix.close(fd)
                fd = above
                name = trail.pop()
                if removing:
                    remove(fd, name)
    finally:
        posix.close(fd)
