"""Keepers of namespaces: a small process that holds namespaces of chosen kinds for a container to join.

    with Keeper("user", "network", maps=(Map(0, 100000, 65536),)) as keeper:
        bundle.namespace("network", keeper.path("network"))

The process is the reporter's `keep` (inside_spaces.h); it ends with the block. `uts` of a keeper is named "keeper".
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from tests.lib import programs
from tests.lib.bundle import Bundle

FILES = {
    "pid": "pid",
    "network": "net",
    "mount": "mnt",
    "ipc": "ipc",
    "uts": "uts",
    "user": "user",
    "cgroup": "cgroup",
    "time": "time",
}
"""How /proc/PID/ns names each type of config.json."""


class Map(NamedTuple):
    """One line of an id map, as config.json has it."""

    container: int
    host: int
    size: int

    @property
    def document(self) -> dict[str, int]:
        return {"containerID": self.container, "hostID": self.host, "size": self.size}


SUBORDINATE = (Map(0, 100000, 65536),)


def inode(kind: str, pid: int | str = "self") -> str:
    """`net:[4026531840]`: what tells one namespace from another."""
    return os.readlink(f"/proc/{pid}/ns/{FILES[kind]}")


def parse_map(text: str) -> list[Map]:
    return [Map(*(int(word) for word in line.split())) for line in text.splitlines()]


def write_maps(pid: int, maps: tuple[Map, ...], *, setgroups: bool = True) -> None:
    lines = "".join(f"{one.container} {one.host} {one.size}\n" for one in maps)
    if not setgroups:
        Path(f"/proc/{pid}/setgroups").write_text("deny")
    Path(f"/proc/{pid}/gid_map").write_text(lines)
    Path(f"/proc/{pid}/uid_map").write_text(lines)


def map_users(bundle: Bundle, maps: tuple[Map, ...], path: str | None = None) -> Bundle:
    """A user namespace with these maps for users and groups; with a path the maps of that one."""
    lines = [one.document for one in maps]
    bundle.namespace("user", path)
    return bundle.set("linux.uidMappings", lines).set("linux.gidMappings", lines)


class Keeper:
    """The namespaces are new; `user` owns the others where it is among them."""

    def __init__(
        self,
        *kinds: str,
        maps: tuple[Map, ...] = SUBORDINATE,
        setgroups: bool = True,
        offsets: dict[str, int] | None = None,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        self.kinds = kinds
        self.maps = maps
        self.setgroups = setgroups
        self.offsets = offsets or {}
        self.prepare = prepare
        self.pid = 0

    def __enter__(self) -> Keeper:
        self.process = subprocess.Popen(
            [str(programs.inside()), "keep", *self.kinds],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=self.prepare,
        )
        try:
            while not self.pid:
                self._step()
        except BaseException:
            self.close()
            raise
        return self

    def _step(self) -> None:
        assert self.process.stdout is not None and self.process.stdin is not None
        line = self.process.stdout.readline()
        assert line, "the keeper ended early"
        said = json.loads(line)
        if said["cmd"] == "kept":
            self.pid = said["pid"]
            return
        if said["cmd"] == "maps":
            write_maps(said["pid"], self.maps, setgroups=self.setgroups)
        elif said["cmd"] == "offsets":
            lines = "".join(f"{clock} {value} 0\n" for clock, value in self.offsets.items())
            Path(f"/proc/{said['pid']}/timens_offsets").write_text(lines)
        else:
            raise AssertionError(f"the keeper cannot: {said}")
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def path(self, kind: str) -> str:
        return f"/proc/{self.pid}/ns/{FILES[kind]}"

    def inode(self, kind: str) -> str:
        return inode(kind, self.pid)

    def end(self) -> None:
        """The process that holds them all ends; what is held open otherwise stays."""
        pidfd = os.pidfd_open(self.pid)
        os.kill(self.pid, signal.SIGKILL)
        select.select([pidfd], [], [])
        os.close(pidfd)

    def close(self) -> None:
        assert self.process.stdout is not None and self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
