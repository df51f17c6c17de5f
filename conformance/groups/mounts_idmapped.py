"""mounts[].uidMappings and gidMappings: id-mapped mounts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from conformance.catalogue import test
from conformance.claims import equal, not_created
from conformance.place import Place
from tests.lib import kernel
from tests.lib.bundle import Bundle
from tests.lib.namespaces import SUBORDINATE, Map, map_users

GROUP = "mounts"
OVERFLOW = 65534


def owned(place: Place, uid: int, gid: int) -> Path:
    """A directory with a file of that owner."""
    directory = place.directory / "owned"
    directory.mkdir()
    (directory / "file").write_text("x")
    os.chown(directory / "file", uid, gid)
    return directory


def mapped(place: Place, source: Path, *options: str, **maps: tuple[Map, ...]) -> Bundle:
    entry: dict[str, Any] = {"destination": "/m", "source": str(source), "options": list(options)}
    for name, lines in maps.items():
        entry[name] = [line.document for line in lines]
    return place.bundle().add("mounts", entry)


def owner(line: dict[str, Any]) -> tuple[int, int]:
    equal(line["errno"], "", f"looking at {line['path']}")
    return line["uid"], line["gid"]


MAPS = (Map(10, 1000, 5),)
OTHER = (Map(20, 2000, 5),)
LEAVES = [
    f"mounts.*.{kind}Mappings.*.{name}"
    for kind in ("uid", "gid")
    for name in ("containerID", "hostID", "size")
]


@test(requirements=(27,), leaves=LEAVES)
def idmap_with_mappings(place: Place) -> None:
    """config.md, POSIX-platform Mounts: the mapping to convert UIDs and GIDs from the source file system to the
    destination mount point."""
    bundle = mapped(
        place, owned(place, 12, 23), "bind", "idmap", uidMappings=MAPS, gidMappings=OTHER
    )
    line = place.line(bundle, "stat", "/m/file")
    equal(owner(line), (1002, 2003), "owner and group through the mount")
    seen = (place.directory / "owned/file").stat()
    equal((seen.st_uid, seen.st_gid), (12, 23), "owner and group in the source")


@test(requirements=(27,), leaves=LEAVES)
def idmap_beyond_its_size(place: Place) -> None:
    """config.md, POSIX-platform Mounts: size is the number of ids that are mapped."""
    bundle = mapped(
        place, owned(place, 15, 25), "bind", "idmap", uidMappings=MAPS, gidMappings=OTHER
    )
    line = place.line(bundle, "stat", "/m/file")
    equal(owner(line), (OVERFLOW, OVERFLOW), "owner and group, which are not mapped")


@test(requirements=(27,), leaves=("mounts.*.options.*",))
def idmap_of_the_container(place: Place) -> None:
    """config.md, Linux mount options: without mappings the runtime MUST use the container's user namespace mapping."""
    bundle = map_users(mapped(place, owned(place, 3, 4), "bind", "idmap").dir("/m"), SUBORDINATE)
    line = place.line(bundle, "stat", "/m/file")
    equal(owner(line), (3, 4), "owner and group seen in the container")


@test(requirements=(27, 16), leaves=("mounts.*.options.*",), each=("idmap", "ridmap"))
def idmap_without_anything(place: Place, label: str) -> None:
    """config.md, Linux mount options: if there are no mappings specified and the container isn't using user namespaces,
    an error MUST be returned."""
    with place.container(mapped(place, owned(place, 1, 1), "bind", label)) as box:
        not_created(box, f"{label} without mappings and without a user namespace")


@test(requirements=(27, 16), leaves=LEAVES, each=("uidMappings", "gidMappings"))
def one_of_the_two(place: Place, label: str) -> None:
    """config.md, POSIX-platform Mounts: uidMappings MUST be specified along with gidMappings."""
    bundle = mapped(place, owned(place, 1, 1), "bind", "idmap", **{label: MAPS})
    with place.container(bundle) as box:
        not_created(box, f"{label} alone")


@test(requirements=(27,), leaves=("mounts.*.options.*",), each=("idmap", "ridmap"))
def idmap_and_what_is_mounted_below(place: Place, label: str) -> None:
    """config.md, Linux mount options: with ridmap the mapping is applied recursively, with idmap it is not."""
    source = owned(place, 12, 23)
    (source / "sub").mkdir()
    other = place.directory / "other"
    other.mkdir()
    (other / "file").write_text("x")
    os.chown(other / "file", 12, 23)
    kernel.mount(str(other), str(source / "sub"), flags=kernel.MS_BIND)
    place.stack.callback(kernel.umount, str(source / "sub"))
    bundle = mapped(place, source, "rbind", label, uidMappings=MAPS, gidMappings=OTHER)
    upper, lower = place.lines(bundle, "stat", "/m/file", "--", "stat", "/m/sub/file")
    equal(owner(upper), (1002, 2003), "owner and group in the mount")
    wanted = (1002, 2003) if label == "ridmap" else (12, 23)
    equal(owner(lower), wanted, "owner and group in the mount below")
