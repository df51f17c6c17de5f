"""NOTIFY_SOCKET: a place at which the container's program can say that it is ready (sd_notify(3)).

Asked for by the runtime's environment, not by config.json. The container sees a directory of the state, read-only,
at /run/notify; who listens there, and what is passed on to the host, is runtime/notify.py. As runc does it.
"""

from __future__ import annotations

import posix

from pyruntime.errors import UnsupportedError
from pyruntime.features import host_root
from pyruntime.features.container_paths import NOTIFY_DIRECTORY, NOTIFY_STATE
from pyruntime.features.idioms import set_attributes
from pyruntime.features.mount_steps import attach, guard_proc
from pyruntime.kernel import calls
from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.plan.step import DIRECTORY, MAKE_DIRECTORY, Reg, Step, resolve, sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.features.site import Site

ATTRIBUTES = (
    lib.MOUNT_ATTR_RDONLY | lib.MOUNT_ATTR_NOSUID | lib.MOUNT_ATTR_NODEV | lib.MOUNT_ATTR_NOEXEC
)
CLONE_FLAGS = lib.OPEN_TREE_CLONE | lib.OPEN_TREE_CLOEXEC | lib.AT_SYMLINK_NOFOLLOW


def plan(site: Site) -> Iterator[Step]:
    """Called after all features, so that the mount comes after those of config.json."""
    if not (site.has("mount") or host_root.may_mount(site)):
        raise UnsupportedError(
            "NOTIFY_SOCKET needs a mount namespace, and the config asks for none",
            hint="unset NOTIFY_SOCKET, and nobody is told when the program is ready",
        )
    text, target = f"mount the notify socket on `{NOTIFY_DIRECTORY}`", Reg("target")
    yield Step(moments.SOURCES, "", text, run=lambda host: _make(host.entry.fd))
    if site.privileged:
        number = site.hand(NOTIFY_DIRECTORY)
        tree: Any = number
        yield Step(
            moments.SOURCES, "", text, run=lambda host: host.give(number, _clone(host.entry.fd))
        )
    else:
        # Its own copy of the mount table is the first one the rights to clone reach to (mounts.py).
        tree = Reg(NOTIFY_DIRECTORY)
        clone = sys(lib.NR_open_tree, lib.AT_FDCWD, site.notify, CLONE_FLAGS, out=tree)
        yield Step(moments.OWN_SOURCES, "", text, [clone, set_attributes(tree, ATTRIBUTES)])
    ops = [
        resolve(site.root, NOTIFY_DIRECTORY, target, MAKE_DIRECTORY | DIRECTORY),
        *guard_proc(target, NOTIFY_DIRECTORY),
        *attach(tree, target, NOTIFY_DIRECTORY, "", site),
        sys(lib.NR_close, tree),
    ]
    yield Step(moments.MOUNT, "", text, ops)


def _make(state_fd: int) -> None:
    """It goes with the rest of the state."""
    umask = posix.umask(0)
    try:
        posix.mkdir(NOTIFY_STATE, 0o755, dir_fd=state_fd)
    finally:
        posix.umask(umask)


def _clone(state_fd: int) -> int:
    tree = calls.open_tree(state_fd, NOTIFY_STATE, CLONE_FLAGS)
    calls.mount_setattr(tree, 0, ATTRIBUTES, propagation=lib.MS_PRIVATE)
    return tree
