"""The root of a container without a mount namespace: its mounts are made in the runtime's own (root.path, mounts).

As under runc and crun, the root is bound over its own path first, the mounts are made beneath that bind, and `delete`
leaves all of it mounted: `umount --recursive --lazy ROOTFS` takes it away. Unlike runc, the host's `/` keeps its
propagation. A create that fails unmounts what it made; after a create that was killed, `delete --force` does.

A holding has this shape: {"kind": "root", "path": the root's path, "mount": the mount's id, "bootId"}.
"""

from __future__ import annotations

import posix

from pyruntime.errors import UnsupportedError
from pyruntime.kernel import calls
from pyruntime.lib import proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.spec.types import Config

OPEN_FLAGS = posix.O_PATH | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC


def rules(spec: Config) -> Iterator[tuple[str, str]]:
    """What a config that asks for no mount namespace may not ask for either."""
    linux = spec.get("linux", {})
    for name in ("maskedPaths", "readonlyPaths", "rootfsPropagation"):
        if linux.get(name):
            yield f"/linux/{name}", "needs a mount namespace, and the config asks for none"
    if not any(ns["type"] == "user" for ns in linux.get("namespaces") or ()):
        return
    for pointer in _wishes(spec):
        yield (
            pointer,
            "needs a mount namespace beside the user namespace, and the config asks for none",
        )


def is_attached(spec: Config, site: Site) -> bool:
    """Whether the root gets a mount of its own in the runtime's mount namespace. Without it nothing is mounted.

    Raises UnsupportedError where the runtime may not mount.
    """
    wishes = _wishes(spec)
    if may_mount(site):
        return bool(wishes or site.notify)
    if wishes:
        raise UnsupportedError(
            "mounts need CAP_SYS_ADMIN where the config asks for no mount namespace", wishes[0]
        )
    return False


def may_mount(site: Site) -> bool:
    """Whether the init may mount in the runtime's mount namespace; a new user namespace owns nothing of it."""
    return site.privileged and not site.has("user")


def _wishes(spec: Config) -> list[str]:
    """What of the config is a mount, or may be."""
    wishes = (
        (spec["root"].get("readonly"), "/root/readonly"),
        (spec.get("mounts"), "/mounts"),
        (spec.get("linux", {}).get("devices"), "/linux/devices"),
    )
    return [pointer for asked, pointer in wishes if asked]


def holding(tree: int, rootfs: str) -> dict[str, Any]:
    """Of a tree that is about to be attached at the root's path."""
    return {"kind": "root", "path": rootfs, "mount": proc.mount_id(tree), "bootId": proc.boot_id()}


def release(held: dict[str, Any]) -> None:
    """Detaches the mount and all beneath it, if it is what the path leads to. Raises OSError, KernelError."""
    path = held.get("path")
    if not isinstance(path, str) or held.get("bootId") != proc.boot_id():
        return
    try:
        fd = posix.open(path, OPEN_FLAGS)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        found = proc.mount_id(fd)
    finally:
        posix.close(fd)
    if found == held.get("mount"):
        calls.detach(path)
