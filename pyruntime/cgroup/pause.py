"""Pausing: whether a container stands still by its own freezer, and making it so.

A group that stands still because one above it was frozen counts as running, as in runc: nobody paused it.
`state` asks this of every running container, so asking needs nothing but one read.
"""

from __future__ import annotations

import posix
import select
import time

from pyruntime import errors
from pyruntime.cgroup import knob, tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.cgroup.group import Cgroup

V1_ASKED, V2_ASKED = "freezer.self_freezing", "cgroup.freeze"
PATIENCE_S = 10.0
ROUND_MS = 10
ROUNDS_TO_A_THAW = 50


def is_frozen(cgroup: Cgroup) -> bool:
    """Read by path: the answer is for showing, nothing is done on it."""
    unified = cgroup.mode == "v2"
    group = cgroup.group("" if unified else "freezer")
    if group is None:
        return False
    try:
        return knob.read_path(f"{group.directory}/{V2_ASKED if unified else V1_ASKED}") == "1"
    except OSError as error:
        if error.errno in knob.GONE:
            return False
        raise


def is_frozen_at(dir_fd: int, *, unified: bool) -> bool:
    """The same of a directory that is about to be used."""
    try:
        return knob.read(dir_fd, V2_ASKED if unified else V1_ASKED) == "1"
    except OSError as error:
        if error.errno in knob.GONE:
            return False
        raise


def freeze(cgroup: Cgroup) -> None:
    """Stands the container still; on v1 the last of its processes may take a moment more."""
    _set(cgroup, frozen=True)


def stand_still(cgroup: Cgroup) -> None:
    """Freezes and returns when every process stands still; else lets them run again and raises StepError."""
    unified = cgroup.mode == "v2"
    group = cgroup.group("" if unified else "freezer")
    if group is None:
        raise errors.UnsupportedError("the container has no freezer cgroup: it cannot be paused")
    freeze(cgroup)
    fd = group.open()
    if fd is None:
        return  # removed: there is nobody left to stand still
    try:
        still = _await_v2(fd) if unified else _await_v1(fd)
    except BaseException:
        thaw(cgroup)
        raise
    finally:
        posix.close(fd)
    if not still:
        thaw(cgroup)
        raise errors.StepError(
            f"freeze cgroup {group.path}: not every process has stopped after {PATIENCE_S:.0f} s"
        )


def _await_v1(dir_fd: int) -> bool:
    """Nothing tells when FREEZING has become FROZEN; where a process forks all the time it may never, and another
    attempt catches it (Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst)."""
    deadline, rounds = time.monotonic() + PATIENCE_S, 0
    while True:
        try:
            if knob.read(dir_fd, "freezer.state") == "FROZEN":
                return True
            if time.monotonic() > deadline:
                return False
            rounds += 1
            if rounds % ROUNDS_TO_A_THAW == 0:
                knob.write(dir_fd, "freezer.state", "THAWED")
                time.sleep(ROUND_MS / 1000)
            knob.write(dir_fd, "freezer.state", "FROZEN")
        except OSError as error:
            if error.errno in knob.GONE:
                return True
            raise
        time.sleep(0 if rounds < 3 else ROUND_MS / 1000)


def _await_v2(dir_fd: int) -> bool:
    """cgroup.events announces its changes (Documentation/admin-guide/cgroup-v2.rst)."""
    flags = posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW
    try:
        fd = posix.open("cgroup.events", flags, dir_fd=dir_fd)
    except FileNotFoundError:
        return True
    try:
        poll = select.poll()
        poll.register(fd, select.POLLPRI)
        deadline = time.monotonic() + PATIENCE_S
        while b"frozen 1" not in posix.pread(fd, 256, 0):
            left_ms = (deadline - time.monotonic()) * 1000
            if left_ms <= 0:
                return False
            poll.poll(left_ms)
        return True
    except OSError as error:
        if error.errno in knob.GONE:
            return True
        raise
    finally:
        posix.close(fd)


def thaw(cgroup: Cgroup) -> None:
    """Undoes freeze; a group that is gone needs none."""
    _set(cgroup, frozen=False)


def thaw_all(cgroup: Cgroup) -> None:
    """The container and, on v1, every group its payload froze below: nobody dies there before."""
    _set(cgroup, frozen=False)
    group = None if cgroup.mode == "v2" else cgroup.group("freezer")
    top_fd = None if group is None else group.open()
    if group is None or top_fd is None:
        return
    try:
        for fd in tree.every(top_fd):
            knob.write(fd, "freezer.state", "THAWED")
    except OSError as error:
        if error.errno not in knob.GONE:
            raise _failed("thaw", group.path, error) from error
    finally:
        posix.close(top_fd)


def _failed(word: str, path: str, error: OSError) -> errors.StepError:
    number = error.errno or 0
    return errors.StepError(f"{word} cgroup {path}", errno=number)


def _set(cgroup: Cgroup, *, frozen: bool) -> None:
    unified = cgroup.mode == "v2"
    group = cgroup.group("" if unified else "freezer")
    if group is None:
        return
    fd = group.open()
    if fd is None:
        return
    try:
        if unified:
            knob.write(fd, V2_ASKED, "1" if frozen else "0")
        else:
            knob.write(fd, "freezer.state", "FROZEN" if frozen else "THAWED")
    except OSError as error:
        if error.errno not in knob.GONE:
            raise _failed("freeze" if frozen else "thaw", group.path, error) from error
    finally:
        posix.close(fd)
