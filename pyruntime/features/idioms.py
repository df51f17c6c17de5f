"""The kernel structures a tape fills or reads, by the offsets their ABI fixes (little-endian, 64 bit)."""

from __future__ import annotations

from errno import ESTALE

from pyruntime.kernel.native import lib
from pyruntime.plan.step import At, Buffer, Pointers, Reg, expect, load, resolve, store, sys, unless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

PROC_ROOT = 1  # inode of the root of a procfs (PROC_ROOT_INO)

STATX_SIZE = 256
STATX_MODE, STATX_INODE, STATX_RDEV_MAJOR, STATX_RDEV_MINOR = 28, 32, 128, 132
STATX_DEV_MAJOR, STATX_DEV_MINOR, STATX_MOUNT = 136, 140, 144


AT_EMPTY = lib.AT_EMPTY_PATH
_STATX = lib.STATX_TYPE | lib.STATX_MODE | lib.STATX_INO | lib.STATX_MNT_ID
MOVE_FLAGS = lib.MOVE_MOUNT_F_EMPTY_PATH | lib.MOVE_MOUNT_T_EMPTY_PATH


SCRATCH = Buffer(STATX_SIZE)
"""For a result that the next instructions read; one room for all keeps tapes small."""
FS_TYPE = At(SCRATCH, 0)
MODE, INODE, MOUNT_ID = At(SCRATCH, STATX_MODE), At(SCRATCH, STATX_INODE), At(SCRATCH, STATX_MOUNT)
RDEV_MAJOR, RDEV_MINOR = At(SCRATCH, STATX_RDEV_MAJOR), At(SCRATCH, STATX_RDEV_MINOR)
DEV_MAJOR, DEV_MINOR = At(SCRATCH, STATX_DEV_MAJOR), At(SCRATCH, STATX_DEV_MINOR)


def statx_of(fd: Any) -> Any:
    """statx of a descriptor into SCRATCH: type, mode, inode, devices and mount id."""
    return sys(lib.NR_statx, fd, "", AT_EMPTY, _STATX, SCRATCH)


def mount_id_of(fd: Any, out: Reg) -> list[Any]:
    """The id of the mount a descriptor lies on goes into a register."""
    return [statx_of(fd), load(MOUNT_ID, 8, out)]


def set_attributes(
    fd: Any, set_: int, clear: int = 0, propagation: int = 0, *, recursive: bool = False
) -> Any:
    """mount_setattr(2) on what a descriptor stands for."""
    flags = AT_EMPTY | (lib.AT_RECURSIVE if recursive else 0)
    return sys(lib.NR_mount_setattr, fd, "", flags, Pointers((set_, clear, propagation, 0)), 32)


def open_beneath(
    fd: Any, path: str, flags: int, rules: int, out: Reg, ok: tuple[int, ...] = (), skip: int = 0
) -> Any:
    """openat2(2) with RESOLVE_* rules."""
    how = Pointers((flags | lib.O_CLOEXEC, 0, rules))
    return sys(lib.NR_openat2, fd, path, how, 24, out=out, ok=ok, skip=skip)


def configure(context: Reg, words: Iterable[str]) -> list[Any]:
    """One fsconfig(2) per option."""
    ops = []
    for word in words:
        key, equals, value = word.partition("=")
        if equals:
            how: tuple[Any, ...] = (lib.FSCONFIG_SET_STRING, key, value)
        else:
            how = (lib.FSCONFIG_SET_FLAG, key)
        ops.append(sys(lib.NR_fsconfig, context, *how, log=context))
    return ops


def send_descriptors(socket_fd: int, kind: int, *fds: Any) -> list[Any]:
    """A message of that kind to the host, with descriptors (SCM_RIGHTS, unix(7)) and nothing else in it."""
    message = Buffer(bytes((kind, 0, 0, 0)) + bytes(8))
    length = 16 + 4 * len(fds)
    rights = (
        length.to_bytes(8, "little")
        + lib.SOL_SOCKET.to_bytes(4, "little")
        + lib.SCM_RIGHTS.to_bytes(4, "little")
    )
    control = Buffer(rights + bytes(8 * ((len(fds) + 1) // 2)))
    room = len(control.data)
    envelope = Pointers((0, 0, Pointers((message, len(message.data))), 1, control, room, 0))
    return [
        *[store(At(control, 16 + 4 * place), fd, 4) for place, fd in enumerate(fds)],
        sys(lib.NR_sendmsg, socket_fd, envelope),
    ]


def is_still_at(root: Any, path: str, wanted: list[Reg]) -> list[Any]:
    """Fails with ESTALE unless `path` beneath `root` leads to one of the mounts whose ids are given."""
    fd = Reg("check")
    found = [expect(MOUNT_ID, wanted[-1], 8, errno=ESTALE)]
    for reg in reversed(wanted[:-1]):
        found = unless(expect(MOUNT_ID, reg, 8), found)
    return [resolve(root, path, fd), statx_of(fd), sys(lib.NR_close, fd), *found]
