"""User and time namespaces: mappings and offsets; sysctl."""

from __future__ import annotations

import os
import time

from conformance.catalogue import test
from conformance.claims import equal, holds, not_created, skip
from conformance.place import Place
from tests.lib.namespaces import Map, map_users, parse_map
from tests.lib.patience import scaled

GROUP = "namespaces"
MAPS = (Map(0, 200000, 1000), Map(5000, 300000, 7))


@test(
    leaves=[
        f"linux.{kind}Mappings.*.{name}"
        for kind in ("uid", "gid")
        for name in ("containerID", "hostID", "size")
    ],
    requirements=(15,),
)
def mappings(place: Place) -> None:
    """config-linux.md, User namespace mappings: uidMappings and gidMappings from the host to the container."""
    bundle = map_users(place.bundle(), MAPS)
    groups = (Map(0, 400000, 2000),)
    facts = place.report(bundle.set("linux.gidMappings", [one.document for one in groups]))
    equal(parse_map(facts.files["/proc/self/uid_map"]), list(MAPS), "uid_map")
    equal(parse_map(facts.files["/proc/self/gid_map"]), list(groups), "gid_map")
    equal((facts.uid, facts.gid), ([0] * 3, [0] * 3), "its ids")


@test(requirements=(46,), leaves=("linux.uidMappings.*.hostID",))
def mappings_change_no_owner(place: Place) -> None:
    """config-linux.md, User namespace mappings: the runtime SHOULD NOT modify the ownership of referenced filesystems."""
    bundle = place.bundle().file("/owned", "x").dir("/bound")
    source = place.directory / "source"
    source.mkdir()
    (source / "file").write_text("x")
    map_users(bundle, MAPS).bind(source, "/bound")
    names = [bundle.rootfs, *sorted(bundle.rootfs.rglob("*")), source, source / "file"]
    before = {str(name): (name.lstat().st_uid, name.lstat().st_gid) for name in names}
    place.run(bundle)
    after = {name: (os.lstat(name).st_uid, os.lstat(name).st_gid) for name in before}
    equal(after, before, "owners of the files")


@test(
    requirements=(16,),
    leaves=("linux.uidMappings.*.size",),
    each=("no size", "overlapping", "a huge id"),
)
def mappings_that_cannot_be(place: Place, label: str) -> None:
    """config-linux.md: what the kernel refuses to map cannot be applied."""
    wrong = {
        "no size": (Map(0, 200000, 0),),
        "overlapping": (Map(0, 200000, 10), Map(5, 300000, 10)),
        "a huge id": (Map(0, 4294967295, 10),),
    }[label]
    with place.container(map_users(place.bundle(), wrong)) as box:
        not_created(box, f"mappings: {label}")


def offsets(**clocks: dict[str, int]) -> dict[str, dict[str, int]]:
    return clocks


@test(
    leaves=("linux.timeOffsets.{}.secs", "linux.timeOffsets.{}.nanosecs"),
    each=("monotonic", "boottime"),
    requirements=(15,),
)
def time_offsets(place: Place, label: str) -> None:
    """config-linux.md, Offset for Time Namespace: the offset of the clock, in seconds and nanoseconds."""
    if not os.path.exists("/proc/self/timens_offsets"):
        skip("this kernel has no time namespaces")
    day, billion = 86400, 999_999_999
    bundle = place.bundle().namespace("time")
    bundle.set("linux.timeOffsets", {label: {"secs": 5 * day, "nanosecs": billion}})
    clock = time.CLOCK_MONOTONIC if label == "monotonic" else time.CLOCK_BOOTTIME
    before = time.clock_gettime(clock)
    facts = place.report(bundle)
    seen = facts.clocks[label] - before
    holds(5 * day <= seen <= 5 * day + scaled(60), f"the {label} clock is five days ahead", seen)
    rows = [line.split() for line in facts.files["/proc/self/timens_offsets"].splitlines()]
    found = {name: (int(secs), int(nanosecs)) for name, secs, nanosecs in rows}
    other = "boottime" if label == "monotonic" else "monotonic"
    equal(found, {label: (5 * day, billion), other: (0, 0)}, "/proc/self/timens_offsets")


@test(leaves=("linux.timeOffsets.monotonic.secs",), requirements=(16,))
def time_offsets_without_a_namespace(place: Place) -> None:
    """config-linux.md, Offset for Time Namespace: there is no offset without a new time namespace."""
    bundle = place.bundle().set("linux.timeOffsets", {"monotonic": {"secs": 5}})
    with place.container(bundle) as box:
        not_created(box, "offsets without a time namespace")


SYSCTLS = {
    "net.core.somaxconn": ("/proc/sys/net/core/somaxconn", "321"),
    "kernel.msgmax": ("/proc/sys/kernel/msgmax", "4321"),
    "fs.mqueue.msg_max": ("/proc/sys/fs/mqueue/msg_max", "12"),
    "net/ipv4/ip_forward": ("/proc/sys/net/ipv4/ip_forward", "1"),
}


@test(leaves=("linux.sysctl",), each=SYSCTLS, requirements=(15,))
def sysctl(place: Place, label: str) -> None:
    """config-linux.md, Sysctl: allows kernel parameters to be modified at runtime for the container."""
    path, value = SYSCTLS[label]
    before = open(path).read()
    line = place.line(place.bundle().set("linux.sysctl", {label: value}), "cat", path)
    equal(line["data"].strip(), value, "the value in the container")
    equal(open(path).read(), before, "the value outside")


@test(leaves=("linux.sysctl",), requirements=(16, 44), each=("no.such.key", "net.core.somaxconn"))
def sysctl_that_cannot_be(place: Place, label: str) -> None:
    """config-linux.md, Sysctl: a key that is not there or a value the kernel refuses cannot be applied."""
    with place.container(place.bundle().set("linux.sysctl", {label: "nonsense"})) as box:
        not_created(box, f"sysctl {label} = nonsense")


@test(leaves=("linux.sysctl",), requirements=(16,))
def sysctl_of_the_host(place: Place) -> None:
    """config-linux.md, Sysctl: for the container; what belongs to no namespace of its own would be the host's."""
    path = "/proc/sys/net/core/somaxconn"
    before = open(path).read()
    bundle = (
        place.bundle()
        .without_namespace("network")
        .set("linux.sysctl", {"net.core.somaxconn": "322"})
    )
    with place.container(bundle) as box:
        not_created(box, "a net sysctl without a network namespace")
    equal(open(path).read(), before, "the host's value")
