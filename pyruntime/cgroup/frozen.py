"""Whether a container is paused, and whether it can die: all that the light verbs need of its cgroups, and so no other
module."""

from __future__ import annotations

import errno
import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LINKS_OF_A_LEAF = 2


def is_frozen(kept: dict[str, Any]) -> bool:
    """By its own freezer. One file is read, by path: the answer is for showing, nothing is done on it."""
    unified = kept["mode"] == "v2"
    for hierarchy, (mountpoint, path, _) in kept["groups"].items():
        if hierarchy == "" if unified else "freezer" in hierarchy.split(","):
            name = "cgroup.freeze" if unified else "freezer.self_freezing"
            try:
                return _read_path(f"{mountpoint}{path}/{name}") == b"1"
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENODEV):  # gone before, or while it was read
                    return False
                raise
    return False


def holds_back(kept: dict[str, Any]) -> bool:
    """Whether SIGKILL may have to wait for a thaw: on v1 what is frozen does not die, and the payload may have frozen
    groups it made below its own. Such groups show in the number of links."""
    if is_frozen(kept):
        return True
    for hierarchy, (mountpoint, path, _) in kept["groups"].items():
        if hierarchy and "freezer" in hierarchy.split(","):
            try:
                return posix.stat(mountpoint + path).st_nlink > LINKS_OF_A_LEAF
            except FileNotFoundError:
                return False
    return False


def _read_path(path: str) -> bytes:
    fd = posix.open(path, posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_CLOEXEC)
    try:
        return posix.read(fd, 16).strip()
    finally:
        posix.close(fd)
