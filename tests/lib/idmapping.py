"""What id-mapped mounts need of the machine: file systems of which the kernel can map the owners."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import pytest

from tests.lib.kernel import AT_FDCWD, check, libc
from tests.lib.namespaces import Keeper

NR_OPEN_TREE, NR_MOVE_MOUNT, NR_MOUNT_SETATTR = 428, 429, 442  # the same everywhere
OPEN_TREE_CLONE, AT_EMPTY_PATH, MOUNT_ATTR_IDMAP = 1, 0x1000, 0x100000


class MountAttr(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


def clone(path: Path | str) -> int:
    """A detached clone of one mount."""
    word = os.fsencode(str(path))
    return int(libc.syscall(NR_OPEN_TREE, AT_FDCWD, word, OPEN_TREE_CLONE | os.O_CLOEXEC))


def map_owners(tree: int, user_namespace: str) -> bool:
    """Whether the kernel let that detached mount be id-mapped."""
    space = os.open(user_namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        attr = MountAttr(MOUNT_ATTR_IDMAP, 0, 0, space)
        size = ctypes.sizeof(attr)
        done = libc.syscall(
            NR_MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH, ctypes.byref(attr), ctypes.c_size_t(size)
        )
        return int(done) == 0
    finally:
        os.close(space)


def need_mappable(path: Path) -> None:
    """Skips where this kernel cannot id-map the file system of `path`: tmpfs since 6.3, ext4 since 5.12."""
    tree = clone(path)
    try:
        with Keeper("user") as keeper:
            mappable = map_owners(tree, keeper.path("user"))
    finally:
        os.close(tree)
    if not mappable:
        pytest.skip(f"this kernel has no id-mapped mounts for the file system of {path}")


def attach(tree: int, place: Path) -> None:
    """move_mount(2)."""
    word = os.fsencode(str(place))
    check(libc.syscall(NR_MOVE_MOUNT, tree, b"", AT_FDCWD, word, 4), f"move_mount {place}")
