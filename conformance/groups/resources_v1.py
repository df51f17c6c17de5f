"""linux.resources on hosts with v1 hierarchies: what the files of the container's groups hold."""

from __future__ import annotations

import os
from typing import Any

from conformance.catalogue import test
from conformance.claims import Skipped, equal, holds, not_created, succeeded
from conformance.place import Container, Place
from conformance.usage import used_group
from tests.lib.hierarchies import hierarchies

GROUP = "resources-v1"
MIB = 1 << 20
HUGE = "2MB"

# leaf: (value, other values it needs, {file: contents})
VALUES: dict[str, tuple[Any, dict[str, Any], dict[str, str]]] = {
    "memory.limit": (64 * MIB, {}, {"memory.limit_in_bytes": str(64 * MIB)}),
    "memory.reservation": (32 * MIB, {}, {"memory.soft_limit_in_bytes": str(32 * MIB)}),
    "memory.swap": (
        128 * MIB,
        {"memory.limit": 64 * MIB},
        {"memory.memsw.limit_in_bytes": str(128 * MIB)},
    ),
    "memory.kernelTCP": (16 * MIB, {}, {"memory.kmem.tcp.limit_in_bytes": str(16 * MIB)}),
    "memory.swappiness": (10, {}, {"memory.swappiness": "10"}),
    "memory.useHierarchy": (True, {}, {"memory.use_hierarchy": "1"}),
    "cpu.shares": (512, {}, {"cpu.shares": "512"}),
    "cpu.quota": (50000, {}, {"cpu.cfs_quota_us": "50000"}),
    "cpu.period": (50000, {}, {"cpu.cfs_period_us": "50000"}),
    "cpu.burst": (2000, {"cpu.quota": 50000}, {"cpu.cfs_burst_us": "2000"}),
    "cpu.realtimeRuntime": (1000, {}, {"cpu.rt_runtime_us": "1000"}),
    "cpu.realtimePeriod": (500000, {}, {"cpu.rt_period_us": "500000"}),
    "cpu.cpus": ("0", {}, {"cpuset.cpus": "0"}),
    "cpu.mems": ("0", {}, {"cpuset.mems": "0"}),
    "cpu.idle": (1, {}, {"cpu.idle": "1"}),
    "pids.limit": (77, {}, {"pids.max": "77"}),
    "blockIO.weight": (300, {}, {"blkio.bfq.weight": "300"}),
    "blockIO.leafWeight": (300, {}, {"blkio.leaf_weight": "300"}),
    "network.classID": (0x100001, {}, {"net_cls.classid": str(0x100001)}),
}


def set_all(place: Place, values: dict[str, Any]) -> Any:
    bundle = place.bundle()
    for path, value in values.items():
        bundle.set(f"linux.resources.{path}", value)
    return bundle


def controller_of(name: str) -> str:
    """`memory` of `memory.limit_in_bytes`."""
    return name.partition(".")[0]


def there(name: str) -> bool:
    """Whether this kernel has the file; the top of a hierarchy lacks some."""
    top = hierarchies().get(controller_of(name))
    if top is None:
        return False
    probe = top / f"probe-{os.getpid()}"
    probe.mkdir()
    try:
        return (probe / name).exists()
    finally:
        probe.rmdir()


def contents(box: Container, name: str) -> str:
    text = (hierarchies()[controller_of(name)] / box.id / name).read_text()
    return text.strip()


@test(leaves=("linux.resources.{}",), requirements=(15, 16), each=VALUES)
def value(place: Place, label: str) -> None:
    """config-linux.md, Control groups: the value is in the controller's file; where the kernel has no such file it cannot
    be applied, which MUST be an error."""
    wanted, others, files = VALUES[label]
    with place.container(set_all(place, {**others, label: wanted})) as box:
        if not all(there(name) for name in files):
            not_created(box, f"{label}, which this kernel does not have")
            return
        box.create()
        equal({name: contents(box, name) for name in files}, files, "files of the group")


@test(leaves=("linux.resources.memory.useHierarchy",), requirements=(16,))
def no_hierarchy(place: Place) -> None:
    """config-linux.md, Memory: useHierarchy disables hierarchical accounting, which Linux 5.11 and later cannot."""
    with place.container(set_all(place, {"memory.useHierarchy": False})) as box:
        outcome = box.create(check=False)
        if outcome.code == 0:
            equal(contents(box, "memory.use_hierarchy"), "0", "memory.use_hierarchy")


@test(leaves=("linux.resources.memory.kernel",), requirements=(16,))
def kernel_memory(place: Place) -> None:
    """config-linux.md, Memory: kernel sets a hard limit for kernel memory; a kernel that has no such limit any more (5.16
    and later) cannot apply it, which MUST be an error."""
    with place.container(set_all(place, {"memory.kernel": 32 * MIB})) as box:
        outcome = box.create(check=False)
        if outcome.code == 0:
            found = contents(box, "memory.kmem.limit_in_bytes")
            equal(found, str(32 * MIB), "memory.kmem.limit_in_bytes")


@test(leaves=("linux.resources.memory.disableOOMKiller",), requirements=(15,))
def oom_killer(place: Place) -> None:
    """config-linux.md, Memory: disableOOMKiller enables or disables the OOM killer."""
    with place.container(
        set_all(place, {"memory.disableOOMKiller": True, "memory.limit": 64 * MIB})
    ) as box:
        box.create()
        rows = dict(line.split() for line in contents(box, "memory.oom_control").splitlines())
        equal(rows["oom_kill_disable"], "1", "oom_kill_disable")


THROTTLES = {
    "throttleReadBpsDevice": "blkio.throttle.read_bps_device",
    "throttleWriteBpsDevice": "blkio.throttle.write_bps_device",
    "throttleReadIOPSDevice": "blkio.throttle.read_iops_device",
    "throttleWriteIOPSDevice": "blkio.throttle.write_iops_device",
}


def disk(place: Place) -> tuple[int, int]:
    """The numbers of a whole disk of this host."""
    for name in sorted(os.listdir("/sys/block")):
        numbers = open(f"/sys/block/{name}/dev").read().split(":")
        return int(numbers[0]), int(numbers[1])
    raise Skipped("this host has no block device")


@test(
    leaves=[f"linux.resources.blockIO.{{}}.*.{name}" for name in ("major", "minor", "rate")],
    requirements=(15,),
    each=THROTTLES,
)
def throttle(place: Place, label: str) -> None:
    """config-linux.md, Block IO: an array of limits, each of a device."""
    major, minor = disk(place)
    rows = [{"major": major, "minor": minor, "rate": 1048576}]
    with place.container(set_all(place, {f"blockIO.{label}": rows})) as box:
        box.create()
        equal(contents(box, THROTTLES[label]), f"{major}:{minor} 1048576", THROTTLES[label])


@test(
    leaves=[
        f"linux.resources.blockIO.weightDevice.*.{n}"
        for n in ("major", "minor", "weight", "leafWeight")
    ],
    requirements=(59, 16),
    each=("weight", "leafWeight"),
)
def weight_of_a_device(place: Place, label: str) -> None:
    """config-linux.md, Block IO: weightDevice is an array of per-device bandwidth weights."""
    major, minor = disk(place)
    name = {"weight": "blkio.bfq.weight_device", "leafWeight": "blkio.leaf_weight_device"}[label]
    rows = [{"major": major, "minor": minor, label: 300}]
    with place.container(set_all(place, {"blockIO.weightDevice": rows})) as box:
        outcome = box.create(check=False)
        if outcome.code == 0:
            holds(there(name), f"the container was created although this kernel has no {name}")
            holds(
                f"{major}:{minor} 300" in contents(box, name).splitlines(),
                name,
                contents(box, name),
            )


@test(leaves=("linux.resources.blockIO.weightDevice.*.weight",), requirements=(59,))
def weight_of_a_device_with_nothing(place: Place) -> None:
    """config-linux.md, Block IO: you MUST specify at least one of weight or leafWeight in a given entry."""
    major, minor = disk(place)
    with place.container(
        set_all(place, {"blockIO.weightDevice": [{"major": major, "minor": minor}]})
    ) as box:
        not_created(box, "an entry without weight and leafWeight")


@test(
    leaves=[f"linux.resources.hugepageLimits.*.{name}" for name in ("pageSize", "limit")],
    requirements=(56,),
)
def hugepages(place: Place) -> None:
    """config-linux.md, Huge page limits: limits the hugetlb reservations or, where the kernel cannot, usage; without the
    controller it cannot be applied, which MUST be an error."""
    rows = [{"pageSize": HUGE, "limit": 4 * MIB}]
    with place.container(set_all(place, {"hugepageLimits": rows})) as box:
        if "hugetlb" not in hierarchies():
            not_created(box, "huge pages without the controller")
            return
        box.create()
        rsvd = f"hugetlb.{HUGE}.rsvd.limit_in_bytes"
        name = rsvd if there(rsvd) else f"hugetlb.{HUGE}.limit_in_bytes"
        equal(contents(box, name), str(4 * MIB), name)


@test(
    leaves=[f"linux.resources.network.priorities.*.{name}" for name in ("name", "priority")],
    requirements=(15, 16),
)
def network_priorities(place: Place) -> None:
    """config-linux.md, Network: priorities of the network traffic per interface; without the controller an error."""
    rows = [{"name": "lo", "priority": 7}]
    with place.container(set_all(place, {"network.priorities": rows})) as box:
        if "net_prio" not in hierarchies():
            not_created(box, "network priorities without the controller")
            return
        box.create()
        holds("lo 7" in contents(box, "net_prio.ifpriomap").splitlines(), "net_prio.ifpriomap")


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


@test(leaves=("linux.resources.unified",), requirements=(60, 16))
def unified(place: Place) -> None:
    """config-linux.md, Unified: the keys are files of cgroup v2; a controller that is not present there MUST be an
    error."""
    with place.container(set_all(place, {"unified": {"memory.max": "67108864"}})) as box:
        not_created(box, "unified resources where the controller is a v1 hierarchy")


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
        used_group(place, hierarchies()["memory"] / box.id, 32)
        not_created(box, "a limit below what the group uses")
