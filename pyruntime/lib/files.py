"""Whole files: read with a bound, written in one piece or not at all.

A name is always a single component beneath a directory's descriptor, or a path of our own making; the last
component is never followed if it is a link. What a reader finds is the old file or the new one, never half of
one: a new one gets a name nobody can guess, is written out, and takes its place by rename.
"""

from __future__ import annotations

import errno
import posix

# File types of st_mode, inode(7). The standard library's `stat` is not in the launcher, whose start it would lengthen.
S_IFMT, S_IFSOCK, S_IFLNK, S_IFREG, S_IFBLK, S_IFDIR, S_IFCHR, S_IFIFO = (
    0o170000, 0o140000, 0o120000, 0o100000, 0o060000, 0o040000, 0o020000, 0o010000)  # fmt: skip

_READ = posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW | posix.O_NOCTTY | posix.O_NONBLOCK
_NEW = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC | posix.O_NOFOLLOW
_APPEND = posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND | posix.O_CLOEXEC | posix.O_NOFOLLOW
_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
_CHUNK = 1 << 16


def read_file(path: str, limit: int = 1 << 20, dir_fd: int | None = None) -> bytes:
    """The bytes of a file of at most `limit`, else OSError (EFBIG). Never waits for a writer."""
    fd = posix.open(path, _READ, dir_fd=dir_fd)
    parts: list[bytes] = []
    size = 0
    try:
        # A short read is no end of file in /proc; one byte too many is enough to know.
        while size <= limit and (data := posix.read(fd, min(_CHUNK, limit + 1 - size))):
            parts.append(data)
            size += len(data)
    finally:
        posix.close(fd)
    if size > limit:
        raise OSError(errno.EFBIG, "larger than allowed", path)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def write_all(fd: int, data: bytes) -> None:
    """Every byte: write(2) may take fewer than it was given."""
    view = memoryview(data)
    while view:
        view = view[posix.write(fd, view) :]


def write_atomic(dir_fd: int, name: str, data: bytes, mode: int = 0o600) -> None:
    """Puts a file with these bytes under `name`, in place of what was there (a link is replaced)."""
    with Replacement(dir_fd, name, data, mode):
        pass


class Replacement:
    """Context manager that replaces the file `name` atomically. The new content is written to a temporary file at once,
    so that ENOSPC is raised before anything changes; it is renamed into place on success and removed on an exception."""

    def __init__(self, dir_fd: int, name: str, data: bytes, mode: int = 0o600) -> None:
        self._dir_fd = dir_fd
        self._name = name
        self._temporary = f"~{posix.urandom(8).hex()}"
        try:
            write_new(dir_fd, self._temporary, data, mode)
        except BaseException:
            remove_file(dir_fd, self._temporary)
            raise

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            remove_file(self._dir_fd, self._temporary)
            return
        try:
            posix.rename(
                self._temporary, self._name, src_dir_fd=self._dir_fd, dst_dir_fd=self._dir_fd
            )
        except BaseException:
            remove_file(self._dir_fd, self._temporary)
            raise


def write_new(dir_fd: int, name: str, data: bytes, mode: int = 0o600) -> None:
    """A file that must not be there yet; `mode` is what it gets whatever the umask says."""
    _write(posix.open(name, _NEW, mode, dir_fd=dir_fd), data, mode)


def append(dir_fd: int, name: str, data: bytes, mode: int = 0o600) -> None:
    """Adds to the end of a file, which is made if missing."""
    _write(posix.open(name, _APPEND, mode, dir_fd=dir_fd), data, mode)


def _write(fd: int, data: bytes, mode: int) -> None:
    try:
        posix.fchmod(fd, mode)
        write_all(fd, data)
    finally:
        posix.close(fd)


def remove_file(dir_fd: int, name: str) -> None:
    """Gone already is success."""
    try:
        posix.unlink(name, dir_fd=dir_fd)
    except FileNotFoundError:
        pass


def clear_directory(dir_fd: int) -> None:
    """Removes everything beneath a directory, through descriptors: no link is ever followed."""
    for name in posix.listdir(dir_fd):
        try:
            remove_file(dir_fd, name)
        except (IsADirectoryError, PermissionError):
            child = posix.open(name, _DIRECTORY, dir_fd=dir_fd)
            try:
                clear_directory(child)
            finally:
                posix.close(child)
            posix.rmdir(name, dir_fd=dir_fd)


def remove_directories(dir_fd: int, prefix: str) -> None:
    """Those whose names begin so. What will not go stays; another process may be at the same."""
    for name in posix.listdir(dir_fd):
        if not name.startswith(prefix):
            continue
        try:
            fd = posix.open(name, _DIRECTORY, dir_fd=dir_fd)
            try:
                clear_directory(fd)
            finally:
                posix.close(fd)
            posix.rmdir(name, dir_fd=dir_fd)
        except OSError:
            continue


def make_directory(path: str, dir_fd: int | None = None) -> None:
    """0700 whatever the umask takes away."""
    umask = posix.umask(0o077)
    try:
        posix.mkdir(path, 0o700, dir_fd=dir_fd)
    finally:
        posix.umask(umask)


def make_directories(path: str) -> None:
    """A directory and the missing ones above it. OSError also where a name above is there and leads nowhere."""
    missing: list[str] = []
    while not _made(path):
        missing.append(path)
        path = path.rstrip("/").rpartition("/")[0]
    for path in reversed(missing):
        try:
            make_directory(path)
        except FileExistsError:
            continue


def _made(path: str) -> bool:
    """False where the directory above is missing too."""
    try:
        make_directory(path)
    except FileExistsError:
        return True
    except FileNotFoundError:
        if "/" not in path.strip("/"):
            raise
        return False
    return True
