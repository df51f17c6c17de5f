"""inotify(7): what happens to the names in a directory."""

from __future__ import annotations

import _struct
import posix

from pyruntime.errors import KernelError
from pyruntime.kernel.native import lib

_HEAD = _struct.Struct("=iIII")  # struct inotify_event: watch, mask, cookie, length of the name
_ROOM = 65536


class Inotify:
    """`fd` is for poll; every watch is one directory."""

    __slots__ = ("fd",)

    def __init__(self) -> None:
        self.fd = _checked(lib.pr_inotify_init(), "inotify_init1")

    def add(self, dir_fd: int, mask: int) -> int:
        """Watches the directory behind a descriptor, which may be closed then; returns the watch's number."""
        path = f"/proc/self/fd/{dir_fd}"
        found = lib.pr_inotify_add(self.fd, path.encode(), mask | lib.IN_ONLYDIR)
        return _checked(found, "inotify_add_watch")

    def read(self) -> list[tuple[int, int, str]]:
        """(watch, mask, name) of what has happened so far, without waiting; the watch is -1 when some was lost."""
        try:
            data = posix.read(self.fd, _ROOM)
        except BlockingIOError:
            return []
        found, at = [], 0
        while at < len(data):
            watch, mask, _, length = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            name = data[at : at + length].rstrip(b"\0").decode("utf-8", "surrogateescape")
            found.append((watch, mask, name))
            at += length
        return found

    def close(self) -> None:
        posix.close(self.fd)


def _checked(value: int, call: str) -> int:
    if value < 0:
        raise KernelError(-value, call)
    return value
