"""NOTIFY_SOCKET: a place at which the container's program can say that it is ready (sd_notify(3)).

Asked for by the runtime's environment, not by config.json. The container sees a directory of the state, read-only,
at /run/notify; who listens there, and what is passed on to the host, is runtime/notify.py. As runc does it.
"""

from __future__ import annotations

import posix

from pyruntime.errors import UnsupportedError
from pyruntime.features.inside import NOTIFY_DIRECTORY, NOTIFY_STATE
from pyruntime.features.mount_steps import attach
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


def plan(site: Site) -> Iterator[Step]:
    """Called after all features, so that the mount comes after those of config.json."""
    if not site.has("mount"):
        raise UnsupportedError(
            "NOTIFY_SOCKET needs a mount namespace, and the config asks for none",
            hint="unset NOTIFY_SOCKET, and nobody is told when the program is ready",
        )
    number, fd = site.hand(NOTIFY_DIRECTORY), Reg("target")
    text = f"mount the notify socket on `{NOTIFY_DIRECTORY}`"
    yield Step(moments.SOURCES, "", text, run=lambda host: host.give(number, _open(host)))
    ops = [
        resolve(site.root, NOTIFY_DIRECTORY, fd, MAKE_DIRECTORY | DIRECTORY),
        *attach(number, fd, NOTIFY_DIRECTORY, "", site),
        sys(lib.NR_close, number),
    ]
    yield Step(moments.MOUNT, "", text, ops)


def _open(host: Any) -> int:
    """A detached, read-only tree of the directory, which is made; it goes with the rest of the state."""
    place = host.entry.fd
    umask = posix.umask(0)
    try:
        posix.mkdir(NOTIFY_STATE, 0o755, dir_fd=place)
    finally:
        posix.umask(umask)
    flags = lib.OPEN_TREE_CLONE | lib.OPEN_TREE_CLOEXEC | lib.AT_SYMLINK_NOFOLLOW
    tree = calls.open_tree(place, NOTIFY_STATE, flags)
    calls.mount_setattr(tree, 0, ATTRIBUTES, propagation=lib.MS_PRIVATE)
    return tree
