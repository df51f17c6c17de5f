"""Where the groups of a container under test are, whatever runtime made it: hosts with cgroup v1 or a mixture have one
group per controller, hosts with v2 alone have one group."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.lib import facts
from tests.lib.box import Box


def cgroup_layout() -> str:
    """`v2`, `hybrid` or `v1`: what is mounted now."""
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        return "v2"
    return "hybrid" if Path("/sys/fs/cgroup/unified/cgroup.procs").exists() else "v1"


V2 = cgroup_layout() == "v2"


def hierarchies() -> dict[str, Path]:
    """{"memory": /sys/fs/cgroup/memory, …, "": the unified one}, from the mount table."""
    found = {}
    for mount in facts.own_mounts():
        if mount.kind == "cgroup2":
            found[""] = Path(mount.point)
        elif mount.kind == "cgroup":
            names = facts.parse_cgroups(Path("/proc/self/cgroup").read_text())
            for name in mount.super_options & names.keys():
                found[name] = Path(mount.point)
    return found


def joined() -> dict[str, Path]:
    """The hierarchies every runtime joins: those of v1, or the unified one where it is alone."""
    return {name: path for name, path in hierarchies().items() if name or V2}


def top(controller: str) -> Path:
    """The directory that is the top of a controller's hierarchy."""
    return hierarchies()["" if V2 else controller]


def group_of(box: Box, controller: str) -> Path:
    return top(controller) / box.id


def read_value(box: Box, name: str) -> str:
    """A file of the container's group, by its name: memory.max."""
    return (group_of(box, name.partition(".")[0]) / name).read_text().strip()


def places(pid: int) -> dict[str, str]:
    """{controller, or "" on v2: path} of the hierarchies every runtime joins."""
    seen = facts.parse_cgroups(Path(f"/proc/{pid}/cgroup").read_text())
    return {name: seen[name] for name in joined()}


def own_path(controller: str) -> str:
    return facts.parse_cgroups(Path("/proc/self/cgroup").read_text())[controller]


def below_own(controller: str, name: str) -> str:
    """Where a relative path leads: on v2 beside our own group, as ours has processes and can limit nothing."""
    own = own_path(controller)
    return "/" + f"{own.rpartition('/')[0] if V2 else own}/{name}".strip("/")


def chosen(v1: Mapping[str, str], v2: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """What this host's files should hold; None: this host has no such thing."""
    return v2 if V2 else v1
