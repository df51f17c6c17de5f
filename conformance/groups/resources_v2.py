"""linux.resources on hosts with cgroup v2 alone: v1's words turned into v2's files, and unified."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from conformance.catalogue import test
from conformance.claims import Skipped, equal, holds, not_created, succeeded
from conformance.place import Container, Place
from conformance.usage import used_group
from tests.lib.hierarchies import hierarchies

GROUP = "resources-v2"
MIB = 1 << 20
HUGE = "2MB"

# leaf: (value, other values it needs, {file: contents})
VALUES: dict[str, tuple[Any, dict[str, Any], dict[str, str]]] = {
    "memory.limit": (64 * MIB, {}, {"memory.max": str(64 * MIB)}),
    "memory.reservation": (32 * MIB, {}, {"memory.low": str(32 * MIB)}),
    "memory.swap": (96 * MIB, {"memory.limit": 64 * MIB}, {"memory.swap.max": str(32 * MIB)}),
    "memory.useHierarchy": (True, {}, {}),
    "cpu.quota": (50000, {}, {"cpu.max": "50000 100000"}),
    "cpu.period": (50000, {"cpu.quota": 25000}, {"cpu.max": "25000 50000"}),
    "cpu.burst": (2000, {"cpu.quota": 50000}, {"cpu.max.burst": "2000"}),
    "cpu.cpus": ("0", {}, {"cpuset.cpus": "0"}),
    "cpu.mems": ("0", {}, {"cpuset.mems": "0"}),
    "cpu.idle": (1, {}, {"cpu.idle": "1"}),
    "pids.limit": (77, {}, {"pids.max": "77"}),
}
# What v2 has no word for.
IMPOSSIBLE: dict[str, Any] = {
    "memory.kernel": 32 * MIB,
    "memory.kernelTCP": 16 * MIB,
    "memory.swappiness": 10,
    "memory.disableOOMKiller": True,
    "memory.useHierarchy": False,
    "cpu.realtimeRuntime": 1000,
    "cpu.realtimePeriod": 500000,
    "blockIO.leafWeight": 300,
    "network.classID": 0x100001,
    "network.priorities": [{"name": "lo", "priority": 7}],
}


def set_all(place: Place, values: dict[str, Any]) -> Any:
    bundle = place.bundle()
    for path, value in values.items():
        bundle.set(f"linux.resources.{path}", value)
    return bundle


def group_of(box: Container) -> Path:
    return hierarchies()[""] / box.id


def contents(box: Container, name: str) -> str:
    return (group_of(box) / name).read_text().strip()


@test(leaves=("linux.resources.{}",), requirements=(15, 60), each=VALUES)
def value(place: Place, label: str) -> None:
    """config-linux.md, Control groups: if a controller is enabled on the v2 hierarchy but the configuration is for the
    v1 equivalent, the runtime MAY attempt a conversion."""
    wanted, others, files = VALUES[label]
    with place.container(set_all(place, {**others, label: wanted})) as box:
        box.create()
        equal({name: contents(box, name) for name in files}, files, "files of the group")


@test(leaves=("linux.resources.cpu.shares",), requirements=(15,))
def shares(place: Place) -> None:
    """config-linux.md, CPU: shares specifies a relative share of CPU time; more shares are more weight."""
    weights = []
    for number, wanted in enumerate((2, 512, 1024, 4096, 262144)):
        bundle = place.bundle(f"bundle-{number}").set("linux.resources.cpu.shares", wanted)
        with place.container(bundle) as box:
            box.create()
            weights.append(int(contents(box, "cpu.weight")))
    equal(weights, sorted(set(weights)), "weights of 2, 512, 1024, 4096 and 262144 shares")
    equal((weights[0], weights[-1]), (1, 10000), "the least and the largest weight")


@test(
    leaves=[f"linux.resources.{path}" for path in IMPOSSIBLE if "priorities" not in path]
    + [f"linux.resources.network.priorities.*.{name}" for name in ("name", "priority")],
    requirements=(60, 16),
    each=IMPOSSIBLE,
)
def value_without_a_counterpart(place: Place, label: str) -> None:
    """config-linux.md, Control groups: if the conversion is not possible the runtime MUST generate an error."""
    with place.container(set_all(place, {label: IMPOSSIBLE[label]})) as box:
        not_created(box, f"{label}, which cgroup v2 does not have")


THROTTLES = {
    "throttleReadBpsDevice": "rbps",
    "throttleWriteBpsDevice": "wbps",
    "throttleReadIOPSDevice": "riops",
    "throttleWriteIOPSDevice": "wiops",
}


def disk() -> tuple[int, int]:
    """The numbers of a whole disk of this host."""
    for name in sorted(os.listdir("/sys/block")):
        numbers = Path(f"/sys/block/{name}/dev").read_text().split(":")
        return int(numbers[0]), int(numbers[1])
    raise Skipped("this host has no block device")


@test(
    leaves=[f"linux.resources.blockIO.{{}}.*.{name}" for name in ("major", "minor", "rate")],
    requirements=(15,),
    each=THROTTLES,
)
def throttle(place: Place, label: str) -> None:
    """config-linux.md, Block IO: an array of limits, each of a device."""
    major, minor = disk()
    rows = [{"major": major, "minor": minor, "rate": 1048576}]
    with place.container(set_all(place, {f"blockIO.{label}": rows})) as box:
        box.create()
        words = contents(box, "io.max").split()
        equal(words[0], f"{major}:{minor}", "the device in io.max")
        found = dict(word.split("=") for word in words[1:])
        wanted = dict.fromkeys(THROTTLES.values(), "max") | {THROTTLES[label]: "1048576"}
        equal(found, wanted, "limits in io.max")


@test(leaves=("linux.resources.blockIO.weight",), requirements=(15,))
def weight(place: Place) -> None:
    """config-linux.md, Block IO: weight specifies per-cgroup weight."""
    with place.container(set_all(place, {"blockIO.weight": 300})) as box:
        box.create()
        bfq = (group_of(box) / "io.bfq.weight").exists()
        name, wanted = ("io.bfq.weight", "300") if bfq else ("io.weight", "2930")
        rows = dict(line.split() for line in contents(box, name).splitlines())
        equal(rows.get("default", "").replace("default ", ""), wanted, name)


@test(
    leaves=[
        f"linux.resources.blockIO.weightDevice.*.{n}"
        for n in ("major", "minor", "weight", "leafWeight")
    ],
    requirements=(59, 60),
    each=("weight", "leafWeight", "nothing"),
)
def weight_of_a_device(place: Place, label: str) -> None:
    """config-linux.md, Block IO: per-device weights; at least one of weight or leafWeight, of which v2 has the first."""
    major, minor = disk()
    entry = {"major": major, "minor": minor, **({} if label == "nothing" else {label: 300})}
    with place.container(set_all(place, {"blockIO.weightDevice": [entry]})) as box:
        if label != "weight":
            not_created(box, f"an entry with {label}")
            return
        if box.create(check=False).code == 0:
            name = next(n for n in ("io.bfq.weight", "io.weight") if (group_of(box) / n).exists())
            rows = dict(line.split() for line in contents(box, name).splitlines())
            holds(f"{major}:{minor}" in rows, f"the device in {name}", rows)


@test(
    leaves=[f"linux.resources.hugepageLimits.*.{name}" for name in ("pageSize", "limit")],
    requirements=(56,),
)
def hugepages(place: Place) -> None:
    """config-linux.md, Huge page limits: limits the hugetlb reservations or, where the kernel cannot, usage."""
    rows = [{"pageSize": HUGE, "limit": 4 * MIB}]
    with place.container(set_all(place, {"hugepageLimits": rows})) as box:
        box.create()
        rsvd = f"hugetlb.{HUGE}.rsvd.max"
        name = rsvd if (group_of(box) / rsvd).exists() else f"hugetlb.{HUGE}.max"
        equal(contents(box, name), str(4 * MIB), name)


RDMA: dict[str, dict[str, Any]] = {
    "a device that is not there": {"nobody0": {"hcaHandles": 3}},
    "nothing said": {"nobody0": {}},
}


@test(leaves=("linux.resources.rdma",), requirements=(59, 16), each=RDMA)
def rdma(place: Place, label: str) -> None:
    """config-linux.md, RDMA: you MUST specify at least one of hcaHandles or hcaObjects; what is not there cannot be
    limited."""
    with place.container(set_all(place, {"rdma": RDMA[label]})) as box:
        not_created(box, label)


@test(leaves=("linux.resources.unified",), requirements=(60,))
def unified(place: Place) -> None:
    """config-linux.md, Unified: the runtime MUST ensure that the needed controllers are enabled for the cgroup;
    configuration unknown to the runtime MUST still be written to the relevant file."""
    files = {
        "memory.high": str(32 * MIB),
        "pids.max": "55",
        "memory.oom.group": "1",
        "cpu.weight": "77",
    }
    with place.container(set_all(place, {"unified": files})) as box:
        box.create()
        equal({name: contents(box, name) for name in files}, files, "files of the group")


@test(
    leaves=("linux.resources.unified",),
    requirements=(60, 16),
    each=("nonsense.max", "memory.nonsense"),
)
def unified_that_is_not_there(place: Place, label: str) -> None:
    """config-linux.md, Unified: the runtime MUST generate an error when the configuration refers to a cgroup controller
    that is not present or that cannot be enabled."""
    with place.container(set_all(place, {"unified": {label: "1"}})) as box:
        not_created(box, f"unified {label}")


@test(requirements=(16,), leaves=("linux.resources.cpu.{}",), each=("cpus", "mems"))
def lists_that_cannot_be(place: Place, label: str) -> None:
    """config-linux.md, CPU: cpus and mems are lists of what the host has."""
    with place.container(set_all(place, {f"cpu.{label}": "1023"})) as box:
        not_created(box, f"{label} 1023, which this host does not have")


@test(requirements=(55,), leaves=("linux.resources.cpu.burst",))
def burst_above_quota(place: Place) -> None:
    """config-linux.md, CPU: burst MUST be no larger than any positive quota."""
    with place.container(set_all(place, {"cpu.quota": 10000, "cpu.burst": 20000})) as box:
        not_created(box, "a burst above the quota")


@test(requirements=(57,), leaves=("linux.resources.pids.limit",), each=("0", "-1"))
def pids_limit(place: Place, label: str) -> None:
    """config-linux.md, PIDs: 0 is a valid limit value and SHOULD be treated as such; -1 is no limit."""
    bundle = set_all(place, {"pids.limit": int(label)})
    if label == "0":
        bundle.set("ociVersion", "1.3.0")  # before, it was not said what 0 means
    with place.container(bundle.inside("forks", "2")) as box:
        succeeded(box.create(check=False), "create")
        fits = {"0": ("0", "1"), "-1": ("max",)}[label]  # the container's own process counts
        equal(contents(box, "pids.max") in fits, True, "a pids.max that says so")
        box.start()
        box.wait()
        line = box.expect("forks")
        wanted = {"0": ("EAGAIN", 0), "-1": ("", 2)}[label]
        equal((line["errno"], line["made"]), wanted, "making processes")


@test(requirements=(58,), leaves=("linux.resources.memory.checkBeforeUpdate",))
def check_before_update(place: Place) -> None:
    """config-linux.md, Memory: if enabled the runtime MAY check if a new memory limit is lower than the current usage,
    and MUST reject the new limit."""
    memory = {"limit": 8 * MIB, "checkBeforeUpdate": True}
    with place.container(place.bundle().set("linux.resources.memory", memory)) as box:
        used_group(place, group_of(box), 32)
        not_created(box, "a limit below what the group uses")


DELEGATED = {"cgroup.procs", "cgroup.threads", "cgroup.subtree_control"}


def owners(box: Container) -> dict[str, int]:
    group = group_of(box)
    return {name: (group / name).stat().st_uid for name in (".", *os.listdir(group))}


def delegatable(place: Place, *options: str) -> Any:
    bundle = place.bundle().namespace("cgroup").set("process.user", {"uid": 1234, "gid": 1234})
    return bundle.mount("/sys/fs/cgroup", "cgroup2", "cgroup", *options)


@test(requirements=(53,), leaves=("linux.cgroupsPath",))
def ownership(place: Place) -> None:
    """config-linux.md, Cgroup ownership: if and only if cgroup v2 is in use, a new cgroup namespace is made and
    /sys/fs/cgroup is a writable cgroup2 mount: the directory and the files of /sys/kernel/cgroup/delegate."""
    listed = Path("/sys/kernel/cgroup/delegate")
    wanted = set(listed.read_text().split()) if listed.exists() else DELEGATED
    with place.container(delegatable(place, "rw")) as box:
        box.create()
        found = {name for name, uid in owners(box).items() if uid == 1234}
    holds({".", *DELEGATED} <= found, "the directory and the files of delegation", sorted(found))
    equal(sorted(found - {"."} - wanted), [], "files given away that should not be")


@test(
    requirements=(53,),
    leaves=("linux.cgroupsPath",),
    each=("read-only", "no namespace", "no mount"),
)
def ownership_unchanged(place: Place, label: str) -> None:
    """config-linux.md, Cgroup ownership: SHOULD NOT change the ownership otherwise."""
    bundle = delegatable(place, "ro" if label == "read-only" else "rw")
    if label == "no namespace":
        bundle.without_namespace("cgroup")
    if label == "no mount":
        bundle.unset("mounts.3")
    with place.container(bundle) as box:
        box.create()
        equal(set(owners(box).values()), {0}, "owners of the group and its files")
