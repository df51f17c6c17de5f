"""Groups made by the cgroup driver for the time of a test, processes that live in them, and what differs between
hosts with cgroup v1 or a mixture (one group per controller) and with v2 alone (one group)."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyruntime.cgroup import detect, driver
from pyruntime.cgroup.group import Cgroup
from tests.lib import facts
from tests.lib.box import Box

V2 = detect.layout().mode == "v2"


class Maker:
    """Prepares groups and releases all of them in the end, whatever the test did."""

    def __init__(self) -> None:
        self.holdings: list[dict[str, Any]] = []
        self.made: list[Cgroup] = []
        self.processes: list[subprocess.Popen[bytes]] = []

    def prepare(self, path: str | None, resources: dict[str, Any], name: str = "unused") -> Cgroup:
        assert list(driver.rules(resources)) == []
        # Looked at anew: the test run may have been moved to another group since this file was read.
        cgroup = driver.prepare(detect.layout(), path, name, resources, self.holdings.append)
        self.made.append(cgroup)
        return cgroup

    def release(self) -> None:
        while self.holdings:
            driver.release(self.holdings.pop())

    def child_in(
        self, *directories: str, ignore: bool = False, script: str = ""
    ) -> subprocess.Popen[bytes]:
        """A process that waits in these groups; `ignore` makes it deaf to SIGTERM."""
        words = ("trap '' TERM; " if ignore else "") + (script or "echo; read x")
        process = subprocess.Popen(
            [
                "/bin/sh",
                "-c",
                f'for d; do echo 0 > "$d/cgroup.procs"; done; {words}',
                "sh",
                *directories,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.processes.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    def close(self) -> None:
        for cgroup in self.made:
            cgroup.close()
        self.release()
        for process in self.processes:
            process.kill()
            process.communicate()


def read(cgroup: Cgroup, controller: str, name: str) -> str:
    """A file of the group whose hierarchy has this controller."""
    group = cgroup.group(controller)
    assert group is not None
    return Path(group.directory, name).read_text().strip()


# Where the groups of a container under test are, whatever runtime made it.


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
