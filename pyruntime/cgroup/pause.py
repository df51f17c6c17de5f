"""Pausing: whether a container stands still by its own freezer, and making it so.

A group that stands still because one above it was frozen counts as running, as in runc: nobody paused it.
`state` asks this of every running container, so asking needs nothing but one read.
"""

from __future__ import annotations

import posix

from pyruntime import errors
from pyruntime.cgroup import knob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.cgroup.group import Cgroup

V1_ASKED, V2_ASKED = "freezer.self_freezing", "cgroup.freeze"


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


def thaw(cgroup: Cgroup) -> None:
    """Undoes freeze; a group that is gone needs none."""
    _set(cgroup, frozen=False)


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
            word = "freeze" if frozen else "thaw"
            raise errors.StepError(
                f"{word} cgroup {group.path}: {errors.strerror(error.errno or 0)}",
                errno=error.errno or 0,
            ) from error
    finally:
        posix.close(fd)
