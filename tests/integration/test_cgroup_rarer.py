"""linux.resources that engines rarely send: huge pages, network classes, RDMA, block IO, real time. Read back from the
files of the group; where this kernel has no such file, the refusal must name the property.

net_cls, net_prio and hugetlb are mounted for the test where the host has them and does not mount them.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pyruntime.cgroup import detect
from tests.lib.box import Box, refused
from tests.lib.bundle import Bundle
from tests.lib.groups import V2, group_of, hierarchies, read_value
from tests.lib.unmounted import mounted

MIB = 1 << 20


def disk() -> str:
    """major:minor of a disk BFQ does not schedule: a loop device if there is one, in use or not."""
    found = []
    for place in Path("/sys/block").iterdir():
        scheduler = place / "queue/scheduler"
        if scheduler.exists() and "[bfq]" not in scheduler.read_text():
            found.append((not place.name.startswith("loop"), (place / "dev").read_text().strip()))
    return min(found)[1]


NODE = disk()
DISK = dict(zip(("major", "minor"), map(int, NODE.split(":")), strict=True))


@pytest.fixture
def controllers(request: pytest.FixtureRequest) -> Iterator[tuple[str, ...]]:
    """Those named by the test, each with a hierarchy of its own on v1."""
    with ExitStack() as stack:
        for name in request.param:
            if not V2 and not stack.enter_context(mounted(name)):
                pytest.skip(f"this host has no {name} controller of v1")
        yield request.param


def needs(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("controllers", [names], indirect=True, ids=" ".join)


def held(box: Box, *names: str) -> dict[str, str]:
    return {name: read_value(box, name) for name in names}


def set_or_refused(bundle: Bundle, controller: str, name: str, value: str, words: str) -> None:
    """The file holds the value, or there is no such file and create says what it was for."""
    with Box(bundle) as box:
        outcome = box.create(check=False)
        if (group_of(box, controller) / name).exists():
            assert outcome.code == 0, str(outcome)
            assert read_value(box, name) == value
            return
    assert words in refused(bundle)


# hugepageLimits


@needs("hugetlb")
@pytest.mark.covers("linux.resources.hugepageLimits")
def test_huge_pages(bundle: Bundle, controllers: tuple[str, ...]) -> None:
    """The limit on reservations where the kernel has it, and the one on what is touched."""
    ending = "max" if V2 else "limit_in_bytes"
    with Box(
        bundle.set("linux.resources.hugepageLimits", [{"pageSize": "2MB", "limit": 4 * MIB}])
    ) as box:
        box.create()
        files = (f"hugetlb.2MB.rsvd.{ending}", f"hugetlb.2MB.{ending}")
        assert held(box, *files) == dict.fromkeys(files, str(4 * MIB))


@needs("hugetlb")
def test_a_size_of_huge_pages_that_is_not_there(
    bundle: Bundle, controllers: tuple[str, ...]
) -> None:
    rows = [{"pageSize": "64KB", "limit": 0}]
    assert "64KB" in refused(bundle.set("linux.resources.hugepageLimits", rows))


# network


@needs("net_cls", "net_prio")
@pytest.mark.skipif(V2, reason="v2 has no counterpart; see below")
@pytest.mark.covers("linux.resources.network.classID", "linux.resources.network.priorities")
def test_network(bundle: Bundle, controllers: tuple[str, ...]) -> None:
    rows = [{"name": "lo", "priority": 5}]
    bundle.set("linux.resources.network", {"classID": 0x100001, "priorities": rows})
    with Box(bundle) as box:
        box.create()
        assert read_value(box, "net_cls.classid") == str(0x100001)
        assert "lo 5" in read_value(box, "net_prio.ifpriomap").splitlines()


@needs("net_prio")
@pytest.mark.skipif(V2, reason="v2 has no counterpart; see below")
def test_an_interface_that_is_not_there(bundle: Bundle, controllers: tuple[str, ...]) -> None:
    rows = [{"name": "nonesuch0", "priority": 5}]
    assert "nonesuch0" in refused(bundle.set("linux.resources.network.priorities", rows))


# A controller that is nowhere


@pytest.mark.parametrize(
    ("controller", "resources"),
    [
        pytest.param("net_cls", {"network": {"classID": 5}}, id="class"),
        pytest.param("net_prio", {"network": {"priorities": [{"name": "lo", "priority": 1}]}}, id="priorities"),
        pytest.param("hugetlb", {"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}, id="hugetlb"),
        pytest.param("rdma", {"rdma": {"mlx5_1": {"hcaHandles": 3}}}, id="rdma"),
    ],
)  # fmt: skip
def test_a_limit_nothing_can_set_is_refused(
    bundle: Bundle, controller: str, resources: dict[str, Any]
) -> None:
    if controller in hierarchies():
        pytest.skip(f"this host has the {controller} controller")
    if V2 and controller == "hugetlb":
        pytest.skip("v2 may have it")
    bundle.set("linux.resources", resources)
    message = refused(bundle)
    assert controller in message or next(iter(resources)) in message


# blockIO

THROTTLES = {
    "throttleReadBpsDevice": ("blkio.throttle.read_bps_device", "rbps"),
    "throttleWriteBpsDevice": ("blkio.throttle.write_bps_device", "wbps"),
    "throttleReadIOPSDevice": ("blkio.throttle.read_iops_device", "riops"),
    "throttleWriteIOPSDevice": ("blkio.throttle.write_iops_device", "wiops"),
}


@pytest.mark.covers(
    "linux.resources.blockIO.throttleReadBpsDevice",
    "linux.resources.blockIO.throttleWriteBpsDevice",
    "linux.resources.blockIO.throttleReadIOPSDevice",
    "linux.resources.blockIO.throttleWriteIOPSDevice",
)
def test_throttles(bundle: Bundle) -> None:
    """Four files of v1, four words in one of v2."""
    rates = {key: 1000 + number for number, key in enumerate(THROTTLES)}
    block = {key: [{**DISK, "rate": rate}] for key, rate in rates.items()}
    with Box(bundle.set("linux.resources.blockIO", block)) as box:
        box.create()
        if V2:
            words = " ".join(f"{word}={rates[key]}" for key, (_, word) in THROTTLES.items())
            assert read_value(box, "io.max") == f"{NODE} {words}"
            return
        for key, (name, _) in THROTTLES.items():
            assert read_value(box, name) == f"{NODE} {rates[key]}"


@pytest.mark.parametrize("key", THROTTLES)
def test_a_throttle_of_a_device_that_is_not_there(bundle: Bundle, key: str) -> None:
    rows = [{"major": 240, "minor": 250, "rate": 1}]
    assert "240:250" in refused(bundle.set(f"linux.resources.blockIO.{key}", rows))


@pytest.fixture(params=["as it is", "with BFQ"])
def scheduler(request: pytest.FixtureRequest) -> Iterator[None]:
    """BFQ may be a module, as in Debian's kernel; what other people's machines load is theirs to say."""
    loads = request.param == "with BFQ"
    if loads and "GUEST" not in os.environ:
        pytest.skip("no machine to load a module into")
    if loads:
        subprocess.run(["modprobe", "bfq"], check=True)
    yield
    if loads:
        subprocess.run(["modprobe", "-r", "bfq"], check=True)


@pytest.mark.covers("linux.resources.blockIO.weight")
def test_block_io_weight(bundle: Bundle, scheduler: None) -> None:
    """BFQ's own scale where it is there, else v2's; v1 has no other."""
    row = detect.layout().controller("blkio")
    bundle.set("linux.resources.blockIO.weight", 300)
    if row and not V2 and not Path(row.mountpoint, "blkio.bfq.io_serviced").exists():
        assert "weight" in refused(bundle)
        return
    with Box(bundle) as box:
        box.create()
        if not V2:
            assert read_value(box, "blkio.bfq.weight") == "300"
        elif (group_of(box, "io") / "io.bfq.weight").exists():
            assert read_value(box, "io.bfq.weight") == "default 300"
        else:
            assert read_value(box, "io.weight") == "default 2930"


@pytest.mark.covers("linux.resources.blockIO.weightDevice")
@pytest.mark.parametrize("key", ["weight", "leafWeight"])
def test_the_weight_of_a_device_no_scheduler_weighs(bundle: Bundle, key: str) -> None:
    """By BFQ it is not, and leaf weights went away with CFQ."""
    bundle.set("linux.resources.blockIO.weightDevice", [{**DISK, key: 200}])
    if V2 and key == "weight":
        pytest.skip("io.weight takes any device")
    word = "weight_device" if key == "weight" else "leaf_weight_device"
    assert ("leafWeight has no counterpart on cgroup v2" if V2 else word) in refused(bundle)


@pytest.mark.covers("linux.resources.blockIO.leafWeight")
def test_leaf_weight(bundle: Bundle) -> None:
    bundle.set("linux.resources.blockIO.leafWeight", 300)
    if V2:
        assert "has no counterpart on cgroup v2" in refused(bundle)
    else:
        set_or_refused(bundle, "blkio", "blkio.leaf_weight", "300", "no such file or directory")


# Real time


@pytest.mark.covers("linux.resources.cpu.realtimeRuntime", "linux.resources.cpu.realtimePeriod")
@pytest.mark.parametrize(
    ("key", "name", "value"),
    [
        ("realtimePeriod", "cpu.rt_period_us", 900000),
        ("realtimeRuntime", "cpu.rt_runtime_us", 1000),
    ],
)
def test_real_time(bundle: Bundle, key: str, name: str, value: int) -> None:
    bundle.set(f"linux.resources.cpu.{key}", value)
    if V2:
        assert "has no counterpart on cgroup v2" in refused(bundle)
    else:
        set_or_refused(bundle, "cpu", name, str(value), "no such file or directory")


# What Linux took back


@pytest.mark.covers(
    "linux.resources.memory.kernel",
    "linux.resources.memory.kernelTCP",
    "linux.resources.memory.useHierarchy",
)
@pytest.mark.parametrize(
    ("key", "value", "name"),
    [
        ("kernel", 64 * MIB, "memory.kmem.limit_in_bytes"),
        ("kernelTCP", 64 * MIB, "memory.kmem.tcp.limit_in_bytes"),
        ("useHierarchy", False, "memory.use_hierarchy"),
    ],
)
def test_memory_settings_of_the_past(bundle: Bundle, key: str, value: int, name: str) -> None:
    """Set, or said to be passed over: nothing that was asked for is lost in silence."""
    with Box(bundle.set(f"linux.resources.memory.{key}", value)) as box:
        box.bundle.write(box.id)
        where = ["--bundle", str(bundle.directory)]
        outcome = box.bare("--root", str(box.root), "create", *where, box.id)
        if outcome.code == 0 and key not in outcome.err:
            assert int(read_value(box, name)) == value
            return
    assert key in outcome.err
