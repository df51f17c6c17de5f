"""Removing a container's groups: what a cgroup holding says is made undone.

The common case is one rmdir in each hierarchy. Where a group is still in use, what lives in it is killed, the
groups the payload made beneath it go bottom-up, and the rmdir is tried again for a bounded time. Parents that
we made go only while they are empty: another container may stand in them by now. A group that was there
before us is emptied and stays.
"""

from __future__ import annotations

import posix
import select
import time
from errno import EBUSY

from pyruntime import errors
from pyruntime.cgroup import detect, knob, tree
from pyruntime.cgroup.group import from_record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyruntime.cgroup.group import Group

WAIT_SECONDS = 10.0
RETRY_MS = 1.0


def release(holding: dict[str, Any]) -> None:
    """Idempotent: what is gone already, with its hierarchy perhaps, counts as removed."""
    cgroup = from_record(holding)
    mounted = detect.mounted()
    left = [group for group in cgroup.groups if not _remove(group, mounted)]
    if not left:
        return
    from pyruntime.cgroup import members

    members.end(cgroup)
    poller = select.poll()  # of nothing: the wait between two tries
    deadline = time.monotonic() + WAIT_SECONDS
    while left := [group for group in left if not _remove(group, mounted, clear=True)]:
        if time.monotonic() > deadline:
            raise errors.StepError(f"remove cgroup {left[0].directory}", errno=EBUSY)
        # A process leaves its group a moment after its pidfd says that it has ended.
        poller.poll(RETRY_MS)


def _remove(group: Group, mounted: dict[str, int], *, clear: bool = False) -> bool:
    """True when nothing of ours is left of it."""
    device = mounted.get(group.mountpoint)
    if device is None:
        return True
    try:
        return _remove_path(group, device, clear=clear)
    except OSError as error:
        raise errors.StepError(
            f"remove cgroup {group.directory}", errno=error.errno or 0
        ) from error


def _remove_path(group: Group, device: int, *, clear: bool) -> bool:
    *above, name = group.parts
    fd = _reach(group, device, above)
    if fd is not None:
        try:
            if not _remove_group(fd, name, group, clear=clear):
                return False
        finally:
            posix.close(fd)
    for length in range(len(above), len(above) + 1 - group.made, -1):
        fd = _reach(group, device, above[: length - 1])
        if fd is None:
            continue
        try:
            if not tree.remove(fd, above[length - 1]):
                break  # a parent of ours that another container stands in
        finally:
            posix.close(fd)
    return True


def _reach(group: Group, device: int, parts: list[str]) -> int | None:
    """A handle on the directory; None where there is none, or a file in the way: nothing was made beneath it."""
    try:
        fd, depth = tree.descend(tree.open_mount(group.mountpoint, device), parts)
    except NotADirectoryError:
        return None
    if depth == len(parts):
        return fd
    posix.close(fd)
    return None


def _remove_group(above_fd: int, name: str, group: Group, *, clear: bool) -> bool:
    if group.made and tree.remove(above_fd, name):
        return True
    fd = tree.enter(above_fd, name)
    if fd is None:
        return True
    try:
        if clear:
            tree.clear(fd)
        if not group.made:
            return tree.is_leaf(fd) and not knob.processes(fd)
    finally:
        posix.close(fd)
    return clear and tree.remove(above_fd, name)
