"""The few numbers of a container that a table shows, read as cheaply as files can be: every second, of hundreds.

What is dear to make is left out: memory.stat walks the whole group. Files are opened by their path beneath the mount of
their hierarchy, which was proved once: a cgroup file system has no links, and Group has checked the path.
"""

from __future__ import annotations

import posix

from pyruntime.cgroup import detect, reading, tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyruntime.cgroup.group import Cgroup

    Parser = Callable[[bytes], Any]

_READ = posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW
ROOM = 16384  # bytes of nearly every file in one read; some have lines for each device
NO_LIMIT_V1 = 1 << 62  # what v1 shows for none is the largest number of pages


class Mounts:
    """Descriptors of the hierarchies' mounts; `with` closes them."""

    __slots__ = ("_fds", "_devices")

    def __init__(self) -> None:
        self._fds: dict[str, int] = {}
        self._devices = detect.mounted()

    def __enter__(self) -> Mounts:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in self._fds.values():
            posix.close(fd)

    def fd(self, mountpoint: str) -> int | None:
        if mountpoint not in self._fds:
            if mountpoint not in self._devices:
                return None
            self._fds[mountpoint] = tree.open_mount(mountpoint, self._devices[mountpoint])
        return self._fds[mountpoint]


class Glance:
    """Where a container's numbers stand."""

    __slots__ = ("_rows",)

    def __init__(self, cgroup: Cgroup, mounts: Mounts) -> None:
        table = V2 if cgroup.mode == "v2" else V1
        self._rows: list[tuple[str, int, str, Parser]] = []
        for key, controller, name, parser in (*table, *PRESSURES):
            group = cgroup.group(controller)
            fd = None if group is None else mounts.fd(group.mountpoint)
            if group is not None and fd is not None:
                self._rows.append((key, fd, f"{group.path[1:]}/{name}", parser))

    def read(self) -> dict[str, Any]:
        """{cpu (ns), memory, memory_limit, pids, pids_limit, io (bytes read, bytes written), cpu_pressure,
        memory_pressure, io_pressure (per cent of the last ten seconds)}; what is missing is not in it."""
        found, missing = {}, []
        for row in self._rows:
            key, mount_fd, path, parser = row
            try:
                fd = posix.open(path, _READ, dir_fd=mount_fd)
                try:
                    found[key] = parser(_whole(fd))
                finally:
                    posix.close(fd)
            except OSError as error:
                if error.errno not in reading.NOTHING:
                    raise
                missing.append(row)
        if missing:
            self._rows = [row for row in self._rows if row not in missing]
        return found


def _whole(fd: int) -> bytes:
    """A read that is not full was the last."""
    text = part = posix.read(fd, ROOM)
    while len(part) == ROOM:
        part = posix.read(fd, ROOM)
        text += part
    return text


def _limit(text: bytes) -> int | None:
    if text[:3] == b"max":
        return None
    value = int(text)
    return None if value >= NO_LIMIT_V1 else value


def _usage_v2(text: bytes) -> int:
    """The first line of cpu.stat."""
    return int(text[text.index(b" ") + 1 : text.index(b"\n")]) * 1000


def _io_v1(text: bytes) -> tuple[int, int]:
    read = written = 0
    for line in text.splitlines():
        _, _, rest = line.partition(b" ")
        if rest[:5] == b"Read ":
            read += int(rest[5:])
        elif rest[:6] == b"Write ":
            written += int(rest[6:])
    return read, written


def _io_v2(text: bytes) -> tuple[int, int]:
    read = written = 0
    for word in text.split():
        if word[:7] == b"rbytes=":
            read += int(word[7:])
        elif word[:7] == b"wbytes=":
            written += int(word[7:])
    return read, written


def _pressure(text: bytes) -> float:
    """avg10 of the first line, `some`."""
    start = text.index(b"avg10=") + 6
    return float(text[start : text.index(b" ", start)])


V1 = (
    ("cpu", "cpuacct", "cpuacct.usage", int),
    ("memory", "memory", "memory.usage_in_bytes", int),
    ("memory_limit", "memory", "memory.limit_in_bytes", _limit),
    ("pids", "pids", "pids.current", int),
    ("pids_limit", "pids", "pids.max", _limit),
    ("io", "blkio", "blkio.throttle.io_service_bytes_recursive", _io_v1),
)
V2 = (
    ("cpu", "", "cpu.stat", _usage_v2),
    ("memory", "", "memory.current", int),
    ("memory_limit", "", "memory.max", _limit),
    ("pids", "", "pids.current", int),
    ("pids_limit", "", "pids.max", _limit),
    ("io", "", "io.stat", _io_v2),
)
PRESSURES = tuple(
    (f"{name}_pressure", "", f"{name}.pressure", _pressure) for name in ("cpu", "memory", "io")
)
