"""A container's groups, one in each hierarchy, as the runtime holds them and as the state record keeps them."""

from __future__ import annotations

import posix

from pyruntime import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class Group:
    """The group in one hierarchy; `path` counts from `mountpoint` and starts with a slash.

    `made` is how many of its last components we made: 0 for a group that was there before us, whose
    directory then stays; more than 1 where parents were missing too.
    """

    __slots__ = ("hierarchy", "mountpoint", "path", "made")

    def __init__(self, hierarchy: str, mountpoint: str, path: str, made: int) -> None:
        self.hierarchy = hierarchy
        self.mountpoint = mountpoint
        self.path = path
        self.made = made

    @property
    def directory(self) -> str:
        return self.mountpoint.rstrip("/") + self.path

    @property
    def parts(self) -> list[str]:
        return self.path.split("/")[1:]

    def open(self, mounted: Mapping[str, int] | None = None) -> int | None:
        """A handle on the directory; None where it is gone or its hierarchy is no longer mounted.

        `mounted` is detect.mounted(), for those who open several groups.
        """
        from pyruntime.cgroup import detect, tree

        if mounted is None:
            mounted = detect.mounted()
        device = mounted.get(self.mountpoint)
        if device is None:
            return None
        fd, depth = tree.descend(tree.open_mount(self.mountpoint, device), self.parts)
        if depth == len(self.parts):
            return fd
        posix.close(fd)
        return None


class Cgroup:
    """The groups, and the descriptors a new process joins them by.

    `task_fds` are the v1 `tasks` files: a single-threaded process writes `0` to each and has joined, on the
    kernel's lock-free way (writing another process's pid to cgroup.procs waits for an RCU grace period).
    `unified_fd` is the directory for CLONE_INTO_CGROUP, on v2 and on hybrid hosts. `unit` is what the record keeps of
    the systemd unit the groups belong to, if they do.
    """

    __slots__ = ("mode", "groups", "task_fds", "unified_fd", "unit")

    def __init__(self, mode: str, groups: list[Group]) -> None:
        self.mode = mode
        self.groups = groups
        self.task_fds: list[int] = []
        self.unified_fd: int | None = None
        self.unit: dict[str, Any] | None = None

    @property
    def paths(self) -> dict[str, str]:
        """Hierarchy name → absolute directory."""
        return {group.hierarchy: group.directory for group in self.groups}

    @property
    def relative(self) -> dict[str, str]:
        """Hierarchy name → path beneath the hierarchy's mount."""
        return {group.hierarchy: group.path for group in self.groups}

    def group(self, controller: str) -> Group | None:
        """The group whose hierarchy has `controller` ('' for the unified one)."""
        for group in self.groups:
            if controller in group.hierarchy.split(","):
                return group
        return None

    def close(self) -> None:
        """Closes the join descriptors; the groups stay."""
        fds, self.task_fds = self.task_fds, []
        if self.unified_fd is not None:
            fds.append(self.unified_fd)
            self.unified_fd = None
        for fd in fds:
            posix.close(fd)


def as_record(mode: str, groups: list[Group]) -> dict[str, Any]:
    return {
        "mode": mode,
        "groups": {group.hierarchy: [group.mountpoint, group.path, group.made] for group in groups},
    }


def from_record(record: dict[str, Any]) -> Cgroup:
    """The groups of a state record or a holding, without descriptors."""
    try:
        groups = [
            Group(hierarchy, *_checked(mountpoint, path, made))
            for hierarchy, (mountpoint, path, made) in record["groups"].items()
        ]
        return Cgroup(record["mode"], groups)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise errors.PyruntimeError(
            f"the record of the container's cgroups is damaged ({error})"
        ) from error


def _checked(mountpoint: Any, path: Any, made: Any) -> tuple[str, str, int]:
    """Records are read by whoever may delete: nothing in them may lead out of the hierarchy."""
    if not isinstance(mountpoint, str) or not isinstance(path, str) or type(made) is not int:
        raise TypeError("wrong types")
    parts = path.split("/")
    if not path.startswith("/") or not mountpoint.startswith("/") or "\0" in path + mountpoint:
        raise ValueError(f"path {path}")
    if any(part in ("", ".", "..") for part in parts[1:]) or not 0 <= made <= len(parts) - 1:
        raise ValueError(f"path {path}")
    return mountpoint, path, made
