"""Whether somebody who is not the host's root may make a container's groups.

Asked before anything is made or written down: one hierarchy that refuses means no groups at all, because a
container that is limited in some hierarchies only is neither. On v2 a process may be put into a group only by who
may write cgroup.procs of the nearest group above both places (cgroup-v2.rst, "Delegation Containment"): a subtree
that systemd delegated to a user, user@UID.service, can be used from within and not from a login session beside it.
"""

from __future__ import annotations

import posix
from errno import EACCES, EROFS

from pyruntime.cgroup import detect, location, tree
from pyruntime.errors import StepError, strerror


def obstacle(layout: detect.Layout, cgroups_path: str | None, container_id: str) -> str | None:
    """What stands in the way, in words; None where the groups can be made and joined."""
    if not layout.hierarchies:
        return "no cgroup file system is mounted"
    absolute, parts = location.inner(cgroups_path, container_id)
    for hierarchy in layout.joined():
        try:
            words = _obstacle_in(hierarchy, location.components(layout, hierarchy, absolute, parts))
        except OSError as error:
            words = f"{hierarchy.mountpoint}: {strerror(error.errno or 0)}"
        except StepError as error:
            words = error.message
        if words:
            return words
    return None


def _obstacle_in(hierarchy: detect.Hierarchy, place: list[str]) -> str | None:
    fd, depth = tree.descend(tree.open_mount(hierarchy.mountpoint, hierarchy.device), place)
    try:
        directory = "/".join([hierarchy.mountpoint.rstrip("/"), *place[:depth]])
        if depth < len(place) and not _may_write(fd, "."):
            return _words(fd, directory)
        procs = "cgroup.procs" if hierarchy.unified else "tasks"
        if depth == len(place) and not _may_write(fd, procs):
            return _words(fd, f"{directory}/{procs}")
    finally:
        posix.close(fd)
    return _stranger(hierarchy, place[:depth]) if hierarchy.unified else None


def _stranger(hierarchy: detect.Hierarchy, place: list[str]) -> str | None:
    """The nearest group above ours and the container's, where it does not let us move processes."""
    own = detect.beneath(hierarchy.mount_root, hierarchy.own_path)
    if own is None:
        return None
    shared = []
    for one, other in zip([part for part in own.split("/") if part], place, strict=False):
        if one != other:
            break
        shared.append(one)
    fd, depth = tree.descend(tree.open_mount(hierarchy.mountpoint, hierarchy.device), shared)
    try:
        if depth == len(shared) and not _may_write(fd, "cgroup.procs"):
            return _words(fd, "/".join([hierarchy.mountpoint.rstrip("/"), *shared, "cgroup.procs"]))
    finally:
        posix.close(fd)
    return None


def _may_write(dir_fd: int, name: str) -> bool:
    return posix.access(name, posix.W_OK, dir_fd=dir_fd, effective_ids=True)


def _words(fd: int, path: str) -> str:
    read_only = posix.fstatvfs(fd).f_flag & posix.ST_RDONLY
    return f"{path}: {strerror(EROFS if read_only else EACCES)}"
