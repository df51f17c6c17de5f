"""The processes of a container's groups: who they are, and signalling all of them.

A pid read from a group may be somebody else's by the time of the signal. So each is opened as a pidfd first
and signalled only if the group lists it still: then the pidfd is of the process that was listed.
"""

from __future__ import annotations

import _signal
import errno
import posix
import select
import time

from pyruntime import errors
from pyruntime.cgroup import detect, knob, pause, tree
from pyruntime.lib.proc import SIGKILL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.cgroup.group import Cgroup

BATCH = 200  # descriptors open at once
WAIT_SECONDS = 10.0
ROUND_MS = 1000
# Any of these lists the members; devices first, as in runc.
LISTING = ("devices", "pids", "freezer", "memory", "cpu", "name=systemd", "")


def pids(cgroup: Cgroup) -> list[int]:
    """Every process in the container's group and in the groups beneath it."""
    for controller in LISTING:
        group = cgroup.group(controller)
        if group is not None:
            fd = group.open()
            if fd is None:
                return []
            try:
                return listed(fd)
            finally:
                posix.close(fd)
    return []


def kill_all(cgroup: Cgroup, signal: int) -> None:
    """Signals every process but ourselves. They stand still meanwhile, so that none forks out of reach; a
    paused container stays paused, except that SIGKILL has to reach it."""
    was_frozen = pause.is_frozen(cgroup)
    fds = _open_all(cgroup)
    try:
        among_them = any(posix.getpid() in listed(fd) for fd in fds)
        ended = signal == SIGKILL and not among_them and _kill_by_kernel(cgroup)
        if not ended and not among_them:
            pause.freeze(cgroup)
        # After the kernel's kill only those are left to do that v1 lists and the unified group does not.
        for fd in fds:
            signal_members(fd, signal)
    except OSError as error:
        raise errors.StepError(
            f"signal cgroup {cgroup.groups[0].path}", errno=error.errno or 0
        ) from error
    finally:
        for fd in fds:
            posix.close(fd)
        if signal == SIGKILL:
            pause.thaw_all(cgroup)
        elif not was_frozen:
            pause.thaw(cgroup)


def end(cgroup: Cgroup) -> None:
    """Kills every process and waits until none is left."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        kill_all(cgroup, SIGKILL)
        fds = _open_all(cgroup)
        try:
            left = max((_await_end(fd) for fd in fds), default=0)
        finally:
            for fd in fds:
                posix.close(fd)
        if not left:
            return
        if time.monotonic() > deadline:
            raise errors.StepError(
                f"cgroup {cgroup.groups[0].path} still has {left} process(es) after SIGKILL"
            )
        select.poll().poll(1)  # of nothing: ended processes leave the list a moment later


def signal_members(group_fd: int, signal: int) -> None:
    """Signals each process of a group and of those beneath it, except ourselves."""
    for fd in tree.every(group_fd):
        others = [pid for pid in knob.processes(fd) if pid not in (0, posix.getpid())]
        for start in range(0, len(others), BATCH):
            handles = _pidfds(others[start : start + BATCH])
            try:
                still = set(knob.processes(fd))
                for pid, handle in handles.items():
                    if pid in still:
                        _signal_one(handle, signal)
            finally:
                for handle in handles.values():
                    posix.close(handle)


def _await_end(group_fd: int) -> int:
    """Waits for up to a batch of members to end; how many are listed then."""
    handles = _pidfds(listed(group_fd)[:BATCH])
    try:
        poller = select.poll()
        for handle in handles.values():
            poller.register(handle, select.POLLIN)
        waiting = len(handles)
        deadline = time.monotonic() + ROUND_MS / 1000
        while waiting and (left_ms := (deadline - time.monotonic()) * 1000) > 0:
            for handle, _ in poller.poll(left_ms):
                poller.unregister(handle)
                waiting -= 1
    finally:
        for handle in handles.values():
            posix.close(handle)
    return len(listed(group_fd))


def listed(group_fd: int) -> list[int]:
    """The processes of a group and of those beneath it."""
    return [pid for fd in tree.every(group_fd) for pid in knob.processes(fd)]


def _pidfds(numbers: list[int]) -> dict[int, int]:
    handles: dict[int, int] = {}
    for pid in numbers:
        try:
            handles[pid] = posix.pidfd_open(pid, 0)
        except OSError as error:
            if error.errno not in (errno.ESRCH, errno.EINVAL):  # ended, or not of our pid namespace
                for handle in handles.values():
                    posix.close(handle)
                raise
    return handles


def _signal_one(handle: int, signal: int) -> None:
    try:
        _signal.pidfd_send_signal(handle, signal)
    except ProcessLookupError:
        return  # ended meanwhile, which is no less than what was wanted


def _open_all(cgroup: Cgroup) -> list[int]:
    """Each hierarchy's group: the payload of a writable cgroup mount may have moved about in one of them."""
    mounted = detect.mounted()
    fds = (group.open(mounted) for group in cgroup.groups)
    return [fd for fd in fds if fd is not None]


def _kill_by_kernel(cgroup: Cgroup) -> bool:
    """cgroup.kill (Linux 5.14) of the unified group ends all at once, forks in flight included."""
    group = cgroup.group("")
    fd = None if group is None else group.open()
    if fd is None:
        return False
    try:
        knob.write(fd, "cgroup.kill", "1")
    except OSError as error:
        if error.errno in (*knob.GONE, errno.EOPNOTSUPP):  # the latter: a threaded group
            return False
        raise
    finally:
        posix.close(fd)
    return True
