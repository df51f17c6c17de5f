"""mounts[].uidMappings and gidMappings, `idmap` and `ridmap`: binds whose files have other owners than on disk
(config.md, Mounts).

The host maps the detached tree while nobody else can see it (security: R-47); the mapping travels as a user namespace
(mount_setattr(2), MOUNT_ATTR_IDMAP). containerID is the owner on disk, hostID the one that is seen, so that the maps
of a container's user namespace show it its own ids. `idmap` maps the upper mount, `ridmap` all of the tree.
"""

from __future__ import annotations

import posix
from errno import EINVAL, EPERM

from pyruntime.errors import KernelError, StepError
from pyruntime.features import id_maps
from pyruntime.kernel import calls
from pyruntime.kernel.native import lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from pyruntime.features.mount_options import Options
    from pyruntime.features.site import Site
    from pyruntime.plan.host import HostSide
    from pyruntime.spec.types import IDMapping, Linux, Mount

NAMES = ("uidMappings", "gidMappings")
HINTS = {
    EPERM: "the mount of the source is id-mapped already, or its file system belongs to another user namespace",
    EINVAL: "this kernel has no id-mapped mounts for every file system: neither the source nor, with ridmap, "
    "what is mounted below it may lack them",
}


def with_maps(mount: Mount, options: Options, linux: Linux) -> Mount:
    """The mount with the mappings that stand in `idmap=uids=…;gids=…`, crun's form of the option, where it is given;
    ValueError. Each is FROM-TO-SIZE, an id of the file system, the one it is seen as, and how many, divided by `#`;
    after an `@` TO is an id of the container's user namespace."""
    if not options.maps:
        return mount
    made: Any = dict(mount)
    for part in options.maps.split(";"):
        kind, _, text = part.partition("=")
        name = {"uids": "uidMappings", "gids": "gidMappings"}.get(kind)
        if name is None:
            raise ValueError(f"`{part}` is neither uids=… nor gids=…")
        container: Any = linux.get(name) or []
        made[name] = [_row(word, container) for word in text.split("#")]
    return made  # type: ignore[no-any-return]


def _row(word: str, of_the_container: list[IDMapping]) -> IDMapping:
    numbers = word.removeprefix("@").split("-")
    if len(numbers) != 3 or not all(n.isascii() and n.isdigit() and len(n) < 11 for n in numbers):
        raise ValueError(f"`{word}` is not FROM-TO-SIZE")
    first, to, size = map(int, numbers)
    if word[:1] == "@":
        for row in of_the_container:
            if 0 <= to - row["containerID"] <= row["size"] - size:
                return {"containerID": first, "hostID": row["hostID"] + to - row["containerID"], "size": size}  # fmt: skip
        raise ValueError(f"`{word}` is not within a mapping of the container's user namespace")
    return {"containerID": first, "hostID": to, "size": size}


def rules(mount: Mount, options: Options, linux: Linux) -> Iterator[tuple[str, str]]:
    """(place in the mount, why)"""
    maps = {
        "uidMappings": mount.get("uidMappings") or [],
        "gidMappings": mount.get("gidMappings") or [],
    }
    place = (
        "/options" if options.idmap else "/uidMappings" if maps["uidMappings"] else "/gidMappings"
    )
    if not options.bind or options.remount:
        yield place, "id-mapped mounts are only supported for bind mounts"
    for name, rows in maps.items():
        if not rows and any(maps.values()):
            yield f"/{name}", "id-mapped mounts must have both uid and gid mappings specified"
        yield from id_maps.rules(f"/{name}", rows)
    if not any(maps.values()) and _user_namespace(linux) is None:
        yield (
            place,
            f"{options.idmap} without mappings needs a user namespace, and the config has none",
        )


def mapper(
    mount: Mount, options: Options, linux: Linux, pointer: str, site: Site
) -> Callable[[Any, int], None]:
    """What maps a detached tree, given the host and the tree. Without maps of its own the mount has those of the
    container's user namespace: a joined one lends itself, a new one is not there yet and so its maps are taken."""
    text = f"mount `{mount.get('source')}` on `{mount['destination']}`"
    if not site.privileged:
        raise StepError(text, pointer, errno=EPERM, why="only root of the host can id-map a mount")
    uids, gids = mount.get("uidMappings") or [], mount.get("gidMappings") or []
    place, joined = pointer, -1
    if not uids or not gids:
        index = _user_namespace(linux)
        if "user" in site.joined:
            joined = site.number_of(f"/linux/namespaces/{index}")
        uids, gids = linux.get("uidMappings") or [], linux.get("gidMappings") or []
        place = "/linux"

    def apply(host: HostSide, tree: int) -> None:
        # A source beneath an earlier mount comes when the init is there, and the joined namespace handed over.
        own = -1
        if joined >= 0 and host.pid:
            space = own = posix.open(f"/proc/{host.pid}/ns/user", posix.O_RDONLY | posix.O_CLOEXEC)
        else:
            space = host.fds[joined] if joined >= 0 else host.mapped_namespace(uids, gids, place)
        deep = lib.AT_RECURSIVE if options.idmap == "ridmap" else 0
        try:
            calls.mount_setattr(tree, deep, lib.MOUNT_ATTR_IDMAP, userns_fd=space)
        except KernelError as error:
            number = error.errno or 0
            raise StepError(
                text, pointer, errno=number, why="it cannot be id-mapped", hint=HINTS.get(number)
            ) from error
        finally:
            if own >= 0:
                posix.close(own)

    return apply


def _user_namespace(linux: Linux) -> int | None:
    """Its place in linux.namespaces."""
    for index, entry in enumerate(linux.get("namespaces") or ()):
        if entry["type"] == "user":
            return index
    return None
