"""Where a container's group stands in each hierarchy: linux.cgroupsPath made into path components.

Absolute paths count from the hierarchy's mount, relative ones from our own group (config-linux.md, "Cgroups
Path"); without one the container's id is the relative path. `..` is worked out in the text, as runc does, and
refused where it climbs: a group above the place given belongs to somebody else (R-37 of the threat list).
"""

from __future__ import annotations

from pyruntime import errors
from pyruntime.cgroup import detect

POINTER = "/linux/cgroupsPath"
MAX_COMPONENT_BYTES = 255


def problem(cgroups_path: str) -> str:
    """What is wrong with a path that is not empty; "" if nothing is."""
    depth = 0
    for part in cgroups_path.split("/"):
        if part == "..":
            if not depth:
                return f"`{cgroups_path}` climbs out with `..`"
            depth -= 1
        elif part and part != ".":
            depth += 1
            if "\0" in part or "\n" in part:
                return f"`{cgroups_path}` holds a NUL or a line break"
            if len(part.encode("utf-8", "surrogateescape")) > MAX_COMPONENT_BYTES:
                return f"`{cgroups_path}` has a name longer than {MAX_COMPONENT_BYTES} bytes"
    return "" if depth else f"`{cgroups_path}` names no group of its own"


def inner(cgroups_path: str | None, container_id: str) -> tuple[bool, list[str]]:
    """Returns (absolute, components) of the path. Raises StepError if the path has a `problem`."""
    if not cgroups_path:
        return False, [container_id]
    why = problem(cgroups_path)
    if why:
        raise errors.StepError(f"cgroupsPath {why}", POINTER)
    parts: list[str] = []
    for part in cgroups_path.split("/"):
        if part == "..":
            parts.pop()
        elif part and part != ".":
            parts.append(part)
    return cgroups_path.startswith("/"), parts


def components(
    layout: detect.Layout, hierarchy: detect.Hierarchy, absolute: bool, parts: list[str]
) -> list[str]:
    """The group's path beneath the mount of `hierarchy`."""
    if absolute:
        return parts
    if hierarchy.unified:
        if layout.mode == "hybrid":
            # runc counts from the mount here and not from its own group; /proc/self/cgroup of a
            # container must not depend on the runtime.
            return parts
        # A v2 group with processes cannot hand controllers to its children, and ours has us in it.
        return _own(hierarchy)[:-1] + parts
    return _own(hierarchy) + parts


def _own(hierarchy: detect.Hierarchy) -> list[str]:
    path = detect.beneath(hierarchy.mount_root, hierarchy.own_path)
    if path is None:
        raise errors.StepError(
            f"our own cgroup {hierarchy.own_path} lies outside the {hierarchy.title} hierarchy mounted on {hierarchy.mountpoint}",
            POINTER,
            hint="give an absolute cgroupsPath",
        )
    return [part for part in path.split("/") if part]
