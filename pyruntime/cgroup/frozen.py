"""Whether a container is paused: all that `state` needs of its cgroups, and so no other module."""

from __future__ import annotations

import errno
import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def is_frozen(kept: dict[str, Any]) -> bool:
    """By its own freezer. One file is read, by path: the answer is for showing, nothing is done on it."""
    unified = kept["mode"] == "v2"
    for hierarchy, (mountpoint, path, _) in kept["groups"].items():
        if hierarchy == "" if unified else "freezer" in hierarchy:
            name = "cgroup.freeze" if unified else "freezer.self_freezing"
            try:
                return _read_path(f"{mountpoint}{path}/{name}") == b"1"
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENODEV):  # gone before, or while it was read
                    return False
                raise
    return False


def _read_path(path: str) -> bytes:
    fd = posix.open(path, posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_CLOEXEC)
    try:
        return posix.read(fd, 16).strip()
    finally:
        posix.close(fd)
