"""Copying a tree of the image for tmpcopyup, by descriptors: nothing is followed, nothing of it is opened that could
wait or act (security: R-23). Links stay links; owners, modes, times and extended attributes (capabilities of files,
ACLs) come along; devices and sockets are left out; the room is the tmpfs's.
"""

from __future__ import annotations

import errno
import posix

DIRECTORY, REGULAR, LINK, FIFO = 0o040000, 0o100000, 0o120000, 0o010000
KIND, MODE = 0o170000, 0o7777
_OPEN = posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC
_MAKE = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC
_BLOCK = 1 << 20  # bytes
DEPTH = 256  # directories within each other; a deeper tree is somebody's trap
# What a tmpfs, or one without all rights, cannot take, and what is gone meanwhile.
_WITHOUT = (errno.EOPNOTSUPP, errno.EPERM, errno.ENODATA)


def copy_tree(source: int, target: int, *, owner: bool) -> None:
    """Everything beneath `source` appears beneath `target`; both may be O_PATH. With `owner` the directory itself gets
    that of the source as well. OSError as the kernel says."""
    umask = posix.umask(0)
    try:
        facts = posix.stat(source)
        found = _copy_directory(source, target, DEPTH)
        if owner:
            posix.chown(".", facts.st_uid, facts.st_gid, dir_fd=target, follow_symlinks=False)
        _set_attributes(found, ".", target)
    finally:
        posix.umask(umask)


def _copy_directory(source: int, target: int, depth: int) -> dict[str, bytes]:
    """Its extended attributes, which the caller sets: a change of the owner takes capabilities away."""
    if depth == 0:
        raise OSError(40, posix.strerror(40))  # ELOOP
    here = posix.open(".", _OPEN | posix.O_DIRECTORY, dir_fd=source)
    try:
        for name in posix.listdir(here):
            try:
                facts = posix.stat(name, dir_fd=here, follow_symlinks=False)
                _copy_entry(name, facts, here, target, depth)
            except FileNotFoundError:
                continue  # somebody shares the tree and removed it meanwhile
        return _attributes(here)
    finally:
        posix.close(here)


def _copy_entry(name: str, facts: posix.stat_result, here: int, target: int, depth: int) -> None:
    kind, mode = facts.st_mode & KIND, facts.st_mode & MODE
    found: dict[str, bytes] = {}
    if kind == LINK:
        posix.symlink(posix.readlink(name, dir_fd=here), name, dir_fd=target)
    elif kind == DIRECTORY:
        posix.mkdir(name, 0o700, dir_fd=target)
        inner = posix.open(name, _OPEN | posix.O_DIRECTORY, dir_fd=here)
        made = posix.open(name, _OPEN | posix.O_DIRECTORY, dir_fd=target)
        try:
            found = _copy_directory(inner, made, depth - 1)
        finally:
            posix.close(inner)
            posix.close(made)
    elif kind == REGULAR:
        found = _copy_file(name, here, target)
    elif kind == FIFO:
        posix.mkfifo(name, 0o600, dir_fd=target)
    else:
        return
    posix.chown(name, facts.st_uid, facts.st_gid, dir_fd=target, follow_symlinks=False)
    _set_attributes(found, name, target)
    if kind != LINK:
        posix.chmod(name, mode, dir_fd=target)
    posix.utime(
        name, ns=(facts.st_atime_ns, facts.st_mtime_ns), dir_fd=target, follow_symlinks=False
    )


def _copy_file(name: str, here: int, target: int) -> dict[str, bytes]:
    source = posix.open(name, _OPEN, dir_fd=here)
    try:
        if posix.fstat(source).st_mode & KIND != REGULAR:
            raise OSError(40, posix.strerror(40))  # swapped since we looked
        made = posix.open(name, _MAKE, 0o600, dir_fd=target)
        try:
            while posix.sendfile(made, source, None, _BLOCK):
                pass
        finally:
            posix.close(made)
        return _attributes(source)
    finally:
        posix.close(source)


def _attributes(fd: int) -> dict[str, bytes]:
    found = {}
    try:
        for name in posix.listxattr(fd):
            found[name] = posix.getxattr(fd, name)
    except OSError as error:
        if error.errno not in _WITHOUT:
            raise
    return found


def _set_attributes(found: dict[str, bytes], name: str, directory: int) -> None:
    if not found:
        return
    fd = posix.open(name, _OPEN, dir_fd=directory)
    try:
        for key, value in found.items():
            try:
                posix.setxattr(fd, key, value)
            except OSError as error:
                if error.errno not in _WITHOUT:
                    raise
    finally:
        posix.close(fd)
