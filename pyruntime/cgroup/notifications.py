"""What a group announces by itself: the memory running out, counters that rise, pressure above a threshold.

Each notice has `fd` and `mask` for poll and `read`, which says what is new: {} for nothing, None when the group is gone.
v1 announces that memory ran out on an eventfd (Documentation/admin-guide/cgroup-v1/memory.rst, OOM Control), v2 by
POLLPRI on memory.events (admin-guide/cgroup-v2.rst). Both do so before or while the kernel kills, not after.
"""

from __future__ import annotations

import errno
import posix
import select

from pyruntime import errors
from pyruntime.cgroup import detect, knob, reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias, TypeVar

    from pyruntime.cgroup.group import Cgroup, Group

    Notice: TypeAlias = "Eventfd | Counters | Pressure"
    Made = TypeVar("Made")

_READ = posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW
_WATCH = posix.O_RDWR | posix.O_NONBLOCK | posix.O_CLOEXEC | posix.O_NOFOLLOW
KINDS = ("cpu", "memory", "io")


class Eventfd:
    """Out of memory on v1. It is announced for a group above as well, as its processes may be killed for that one."""

    __slots__ = ("fd", "kind", "_group")
    mask = select.POLLIN

    def __init__(self, group: Group, dir_fd: int) -> None:
        self.kind = "oom"
        self._group = group
        self.fd = posix.eventfd(0, posix.EFD_CLOEXEC | posix.EFD_NONBLOCK)
        try:
            control = posix.open("memory.oom_control", _READ, dir_fd=dir_fd)
            try:
                knob.write_plain(dir_fd, "cgroup.event_control", f"{self.fd} {control}")
            finally:
                posix.close(control)
        except BaseException:
            posix.close(self.fd)
            raise

    def read(self) -> dict[str, Any] | None:
        """The kernel announces the removal of the group in the same way."""
        try:
            times = posix.eventfd_read(self.fd)
        except BlockingIOError:
            return {}
        handle = self._group.open()
        if handle is None:
            return None
        posix.close(handle)
        return {"times": times}

    def close(self) -> None:
        posix.close(self.fd)


class Counters:
    """A file of counters that announces its changes: memory.events, pids.events."""

    __slots__ = ("fd", "kind", "last", "before")
    mask = select.POLLPRI

    def __init__(self, kind: str, dir_fd: int, name: str) -> None:
        self.kind = kind
        self.fd = posix.open(name, _READ, dir_fd=dir_fd)
        self.last = reading.as_pairs(posix.pread(self.fd, knob.MAX_READ_BYTES, 0).decode())
        self.before = self.last

    def read(self) -> dict[str, Any] | None:
        """All of them, when one has changed."""
        try:
            found = reading.as_pairs(posix.pread(self.fd, knob.MAX_READ_BYTES, 0).decode())
        except OSError as error:
            if error.errno in reading.NOTHING:
                return None
            raise
        if found == self.last:
            return {}
        self.before, self.last = self.last, found
        return found

    def rose(self, *names: str) -> bool:
        """Whether one of these did with the last change."""
        return any(self.last.get(name, 0) > self.before.get(name, 0) for name in names)

    def close(self) -> None:
        posix.close(self.fd)


class Trigger:
    """A threshold of pressure: `share` (some or full) of the time lost, `stall_us` within `window_us`."""

    __slots__ = ("resource", "share", "stall_us", "window_us")

    def __init__(self, resource: str, share: str, stall_us: int, window_us: int) -> None:
        self.resource = resource
        self.share = share
        self.stall_us = stall_us
        self.window_us = window_us

    @property
    def line(self) -> bytes:
        return f"{self.share} {self.stall_us} {self.window_us}".encode() + b"\0"

    def check(self) -> None:
        """UnsupportedError where the kernel takes no such trigger, or has no groups that count it."""
        if not any(hierarchy.unified for hierarchy in detect.layout().hierarchies):
            raise errors.UnsupportedError(
                "pressure is counted by cgroup v2, which is not mounted here"
            )
        path = f"/proc/pressure/{self.resource}"
        hint = "without CAP_SYS_RESOURCE a window is a multiple of 2s"
        try:
            fd = posix.open(path, _WATCH)
            try:
                posix.write(fd, self.line)
            finally:
                posix.close(fd)
        except OSError as error:
            number = error.errno or 0
            raise errors.UnsupportedError(
                f"set a trigger on {path}: {errors.strerror(number)}",
                hint=hint if number == errno.EINVAL else None,
            ) from error


class Pressure:
    """A trigger set on a group; at most one announcement per window (Documentation/accounting/psi.rst)."""

    __slots__ = ("fd", "kind", "trigger")
    mask = select.POLLPRI

    def __init__(self, trigger: Trigger, dir_fd: int) -> None:
        self.kind = "pressure"
        self.trigger = trigger
        self.fd = posix.open(f"{trigger.resource}.pressure", _WATCH, dir_fd=dir_fd)
        try:
            posix.write(self.fd, trigger.line)
        except BaseException:
            posix.close(self.fd)
            raise

    def read(self) -> dict[str, Any] | None:
        try:
            text = posix.pread(self.fd, knob.MAX_READ_BYTES, 0).decode()
        except OSError as error:
            if error.errno in reading.NOTHING:
                return None
            raise
        trigger = self.trigger
        return {
            "resource": trigger.resource,
            "share": trigger.share,
            "stallUs": trigger.stall_us,
            "windowUs": trigger.window_us,
            "psi": reading.as_pressure(text),
        }

    def close(self) -> None:
        posix.close(self.fd)


def out_of_memory(cgroup: Cgroup) -> Eventfd | Counters | None:
    """None without the memory controller, or where the group is gone."""
    unified = cgroup.mode == "v2"
    group = cgroup.group("" if unified else "memory")
    if group is None:
        return None
    if unified:
        return _opened(group, lambda dir_fd: Counters("memory", dir_fd, "memory.events"))
    return _opened(group, lambda dir_fd: Eventfd(group, dir_fd))


def is_out_of_memory(notice: Notice) -> bool:
    """Whether that is what its last news was. A kill for want of memory further up counts."""
    if isinstance(notice, Counters):
        return notice.kind == "memory" and notice.rose("oom", "oom_kill")
    return isinstance(notice, Eventfd)


def processes(cgroup: Cgroup) -> Counters | None:
    """How often a fork was refused for the limit: pids.events, of v1 as well."""
    group = cgroup.group("" if cgroup.mode == "v2" else "pids")
    if group is None:
        return None
    return _opened(group, lambda dir_fd: Counters("pids", dir_fd, "pids.events"))


def pressure(cgroup: Cgroup, trigger: Trigger) -> Pressure | None:
    """Counted in the unified hierarchy only: None on a host with v1 alone, or where the kernel counts none."""
    group = cgroup.group("")
    return None if group is None else _opened(group, lambda dir_fd: Pressure(trigger, dir_fd))


def _opened(group: Group, make: Callable[[int], Made]) -> Made | None:
    dir_fd = group.open()
    if dir_fd is None:
        return None
    try:
        return make(dir_fd)
    except OSError as error:
        if error.errno in reading.NOTHING:
            return None
        raise
    finally:
        posix.close(dir_fd)
