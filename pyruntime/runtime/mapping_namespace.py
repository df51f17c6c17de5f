"""User namespaces that carry a mapping and nothing else, for id-mapped mounts (mount_setattr(2), MOUNT_ATTR_IDMAP).

The kernel takes a mapping only as a user namespace, and a namespace begins with a process. That one is an init whose
tape says to wait: it owns nothing, does nothing, and ends with us, be it by the parent-death signal or by the end of
its socket. Once its maps stand and the namespace is open it is ended; the descriptor keeps the namespace. Nobody may
look into it; who is not the host's root can open its map files only while it is dumpable.
"""

from __future__ import annotations

import _signal
import errno
import posix

from pyruntime.errors import KernelError, StepError
from pyruntime.kernel import calls
from pyruntime.kernel.native import lib
from pyruntime.plan import messages, moments
from pyruntime.plan.step import SYNC, Step, builtin, sys
from pyruntime.plan.tape import Tape
from pyruntime.runtime import channel, idmaps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyruntime.spec.types import IDMapping

    Mappings = list[IDMapping]

TAPE_FD, SOCKET_FD = 3, 4


def key(uids: Mappings, gids: Mappings) -> tuple[Any, ...]:
    """Equal for equal maps."""
    return tuple(
        tuple(sorted((row["containerID"], row["hostID"], row["size"]) for row in rows))
        for rows in (uids, gids)
    )


def make(uids: Mappings, gids: Mappings, pointer: str, *, dumpable: bool) -> int:
    """A descriptor of a new user namespace with these maps; StepError names the mount, or its map."""
    line = channel.Channel()
    try:
        pid, pidfd = _spawn(line, pointer, dumpable)
        try:
            line.receive()  # it waits; if it has ended, writing its maps says so
            idmaps.write(pid, uids, gids, pointer)
            return posix.open(f"/proc/{pid}/ns/user", posix.O_RDONLY | posix.O_CLOEXEC)
        except OSError as error:
            raise _failed(error, pointer) from error
        finally:
            _signal.pidfd_send_signal(pidfd, _signal.SIGKILL)
            posix.waitid(posix.P_PIDFD, pidfd, posix.WEXITED)
            posix.close(pidfd)
    finally:
        line.close()


def _spawn(line: channel.Channel, pointer: str, dumpable: bool) -> tuple[int, int]:
    """(pid, pidfd) of a process that waits in a new user namespace."""
    fds = [calls.sealed_memfd("pyruntime-tape", _tape(dumpable)), line.theirs]
    try:
        init_fd = calls.init_image()
        fds.append(init_fd)
        return calls.spawn(lib.CLONE_NEWUSER, -1, init_fd, fds[:2], TAPE_FD)
    except KernelError as error:
        raise _failed(error, pointer) from error
    finally:
        for fd in fds:
            posix.close(fd)


def _tape(dumpable: bool) -> bytes:
    ops = [sys(lib.NR_prctl, lib.PR_SET_PDEATHSIG, _signal.SIGKILL)]
    if dumpable:
        ops.append(sys(lib.NR_prctl, lib.PR_SET_DUMPABLE, 1))
    ops.append(builtin(SYNC, SOCKET_FD, messages.SYNC))
    return Tape([Step(moments.BIRTH, "", "hold a user namespace", ops)]).bytes


def _failed(error: OSError, pointer: str) -> StepError:
    number = error.errno or 0
    hint = None
    if number in (errno.EPERM, errno.ENOSPC):
        hint = "see the sysctl user.max_user_namespaces"
    return StepError("make a user namespace for the mapping", pointer, errno=number, hint=hint)
