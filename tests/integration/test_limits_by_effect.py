"""linux.resources by what the limits do to a container and what the kernel counts of it, whoever made the groups."""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lib.bundle import Bundle
from tests.lib.groups import V2
from tests.lib.patience import scaled
from tests.lib.units import DRIVERS, created_by, group_of

pytestmark = pytest.mark.parametrize("driver", DRIVERS)
MIB = 1 << 20


def counted(group: Path, file: str) -> dict[str, int]:
    """A file of names and numbers."""
    rows = (line.split() for line in (group / file).read_text().splitlines())
    return {name: int(value) for name, value in rows if value.isdecimal()}


@pytest.mark.covers("linux.resources.cpu.cpus")
def test_cpuset(bundle: Bundle, driver: str) -> None:
    bundle.set("linux.resources.cpu", {"cpus": "1", "mems": "0"})
    with created_by(driver, bundle, "report") as box:
        box.start()
        assert box.facts.affinity == [1]


@pytest.mark.covers("linux.resources.pids.limit")
def test_pids(bundle: Bundle, driver: str) -> None:
    """What was refused is counted."""
    bundle.set("linux.resources.pids.limit", 8)
    with created_by(driver, bundle, "forks", "20", "--", "pause") as box:
        group = group_of(box.pid, "pids")
        assert counted(group, "pids.events") == {"max": 0}
        box.start()
        line = box.expect("forks")
        assert (line["errno"], line["made"]) == ("EAGAIN", 7)
        box.expect("pause")
        assert counted(group, "pids.events") == {"max": 1}


@pytest.mark.covers("linux.resources.pids.limit", "ociVersion")
@pytest.mark.parametrize("version", ["1.3.0", "1.2.1"])
def test_a_limit_of_no_process(bundle: Bundle, driver: str, version: str) -> None:
    """There is the container's own, which makes one."""
    bundle.set("linux.resources.pids.limit", 0).set("ociVersion", version)
    with created_by(driver, bundle, "forks", "1") as box:
        assert (group_of(box.pid, "pids") / "pids.max").read_text() == "1\n"
        box.start()
        assert box.expect("forks")["made"] == 0


@pytest.mark.covers("linux.resources.memory.limit", "linux.resources.memory.swap")
def test_memory(bundle: Bundle, driver: str) -> None:
    """The program is killed, which is counted; the runtime's own part fits in a small limit."""
    bundle.set("linux.resources.memory", {"limit": 24 * MIB, "swap": 24 * MIB})
    words = ["alloc", "4", "--", "tryexec", "/inside", "alloc", "64", "--", "pause"]
    with created_by(driver, bundle, *words) as box:
        group, file = group_of(box.pid, "memory"), "memory.events" if V2 else "memory.oom_control"
        assert counted(group, file)["oom_kill"] == 0
        box.start()
        assert box.expect("tryexec")["status"] == 137
        box.expect("pause")
        assert [line["cmd"] for line in box.lines] == ["alloc", "tryexec", "pause"]
        assert counted(group, file)["oom_kill"] == 1
        peak = int((group / "memory.max_usage_in_bytes").read_text()) if not V2 else 0
        assert peak <= 24 * MIB


@pytest.mark.covers("linux.resources.memory.limit")
def test_memory_of_the_init(bundle: Bundle, driver: str) -> None:
    bundle.set("linux.resources.memory", {"limit": 24 * MIB, "swap": 24 * MIB})
    with created_by(driver, bundle, "alloc", "4", "--", "alloc", "64") as box:
        box.start()
        assert box.wait() == 137
        assert [line["cmd"] for line in box.lines] == ["alloc"]


@pytest.fixture
def swap() -> Iterator[None]:
    """Room for 128 MiB; what other people's machines have is theirs to say."""
    if "GUEST" not in os.environ:
        pytest.skip("no machine to give swap to")
    file = Path("/var/tmp/swap")
    subprocess.run(["dd", "if=/dev/zero", f"of={file}", "bs=1M", "count=128"], check=True)
    file.chmod(0o600)
    subprocess.run(["mkswap", str(file)], check=True)
    subprocess.run(["swapon", str(file)], check=True)
    yield
    subprocess.run(["swapoff", str(file)], check=True)
    file.unlink()


@pytest.mark.covers("linux.resources.memory.swap")
@pytest.mark.parametrize(("mib", "status"), [(40, 0), (96, 137)])
@pytest.mark.slow
def test_swap(bundle: Bundle, swap: None, driver: str, mib: int, status: int) -> None:
    """Memory and swap together: some of what does not fit in the one goes to the other, as far as that goes."""
    bundle.set("linux.resources.memory", {"limit": 24 * MIB, "swap": 64 * MIB})
    with created_by(driver, bundle, "alloc", str(mib)) as box:
        box.start()
        assert box.wait() == status


@pytest.mark.covers("linux.resources.memory.disableOOMKiller")
@pytest.mark.skipif(V2, reason="v2 kills")
def test_without_the_oom_killer(bundle: Bundle, driver: str) -> None:
    """Who wants more stands still until delete ends it."""
    limits = {"limit": 24 * MIB, "swap": 24 * MIB, "disableOOMKiller": True}
    bundle.set("linux.resources.memory", limits)
    with created_by(driver, bundle, "alloc", "64") as box:
        group = group_of(box.pid, "memory")
        told = os.eventfd(0)
        control = os.open(group / "memory.oom_control", os.O_RDONLY)
        try:
            (group / "cgroup.event_control").write_text(f"{told} {control}")
            box.start()
            assert select.select([told], [], [], scaled(10))[0]
            assert counted(group, "memory.oom_control") == {
                "oom_kill_disable": 1,
                "under_oom": 1,
                "oom_kill": 0,
            }
            assert box.status == "running"
        finally:
            os.close(control)
            os.close(told)


@pytest.mark.covers("linux.resources.cpu.quota", "linux.resources.cpu.period")
@pytest.mark.slow
def test_quota(bundle: Bundle, driver: str) -> None:
    """A fifth of a processor: 100 ms of work take half a second, and the kernel counts for how long it held them up."""
    bundle.set("linux.resources.cpu", {"quota": 20000, "period": 100000})
    words = ["read", "--", "spin", "100", "--", "pause"]
    reader, writer = os.pipe()
    try:
        with created_by(driver, bundle, *words, stdin=reader) as box:
            group = group_of(box.pid, "cpu")
            box.start()
            before = counted(group, "cpu.stat")
            os.write(writer, b"go")
            assert box.expect("spin")["wall_ms"] > 250
            after = counted(group, "cpu.stat")
    finally:
        os.close(reader)
        os.close(writer)
    held_up = "throttled_usec" if V2 else "throttled_time"
    # On a busy machine others hold it up as well, and the kernel has less to do.
    assert after["nr_throttled"] > before["nr_throttled"] and after[held_up] > before[held_up]


@pytest.mark.covers("linux.resources.cpu.burst")
@pytest.mark.parametrize("burst", [0, 20000])
@pytest.mark.slow
def test_burst(bundle: Bundle, driver: str, burst: int) -> None:
    """What an idle period leaves of the quota may be used in the next one, up to so much; that is counted."""
    bundle.set("linux.resources.cpu", {"quota": 20000, "period": 100000, "burst": burst})
    reader, writer = os.pipe()
    try:
        words = ["spin", "30", "--", "read", "--", "spin", "100", "--", "pause"]
        with created_by(driver, bundle, *words, stdin=reader) as box:
            group = group_of(box.pid, "cpu")
            box.start()
            box.expect("spin")
            select.select([], [], [], 0.3)  # three periods in which it does nothing
            os.write(writer, b"go")
            box.expect("pause")
            assert (counted(group, "cpu.stat")["nr_bursts"] > 0) == (burst > 0)
    finally:
        os.close(reader)
        os.close(writer)


def used_ms(text: str) -> int:
    """Of the processor: cpu.stat, or v1's cpuacct.usage."""
    return int(text.split()[1]) // 1000 if V2 else int(text) // 1_000_000


@pytest.mark.covers("linux.resources.cpu.shares", "linux.resources.cpu.idle")
@pytest.mark.parametrize("less", [{"shares": 102}, {"idle": 1}], ids=["shares", "idle"])
@pytest.mark.slow
def test_a_share(bundle: Bundle, tmp_path: Path, driver: str, less: dict[str, int]) -> None:
    """Two that want one processor: while who has ten times the share works, the other hardly gets on."""
    other = Bundle(tmp_path / "other")
    bundle.set("linux.resources.cpu", {"cpus": "0", "shares": 1024})
    other.set("linux.resources.cpu", {"cpus": "0", **less})
    look = ["--", "cat", f"/other/{'cpu.stat' if V2 else 'cpuacct.usage'}"]
    with created_by(driver, other, "ids", "--", "spin", "60000") as fewer:
        bundle.bind(group_of(fewer.pid, "cpuacct"), "/other", "ro")
        with created_by(driver, bundle, "ids", *look, "--", "spin", "120", *look) as more:
            for box in (fewer, more):
                box.start()
                box.expect("ids")
            more.expect("spin")
            more.wait()
            before, after = (used_ms(line["data"]) for line in more.lines if line["cmd"] == "cat")
            assert after - before < 60


# Transfers: a disk is a device of its own, a partition has no limits


def disk_of(directory: Path) -> dict[str, int] | None:
    """The disk below a file system; None where there is none, as for tmpfs."""
    number = directory.stat().st_dev
    place = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    if not place.exists():
        return None
    place = place.resolve()
    whole = place.parent if (place / "partition").exists() else place
    major, minor = (whole / "dev").read_text().split(":")
    return {"major": int(major), "minor": int(minor)}


def transfer(driver: str, bundle: Bundle, way: str, blocks: int, kib: int) -> int:
    words = ["transfer", "/room", way, str(blocks), str(kib)]
    with created_by(driver, bundle, *words) as box:
        box.start()
        line = box.expect("transfer")
        assert line["errno"] == ""
        return int(line["wall_ms"])


@pytest.mark.covers(
    "linux.resources.blockIO.throttleReadBpsDevice",
    "linux.resources.blockIO.throttleWriteBpsDevice",
    "linux.resources.blockIO.throttleReadIOPSDevice",
    "linux.resources.blockIO.throttleWriteIOPSDevice",
)
@pytest.mark.parametrize("way", ["r", "w"])
@pytest.mark.parametrize(
    ("unit", "rate", "blocks", "kib"), [("Bps", 2 * MIB, 12, 256), ("IOPS", 32, 48, 4)]
)
@pytest.mark.slow
def test_transfers(
    bundle: Bundle, driver: str, way: str, unit: str, rate: int, blocks: int, kib: int
) -> None:
    """A second and a half's worth of the rate, past the page cache; without a limit it takes no time to speak of."""
    disk = disk_of(bundle.rootfs)
    if disk is None:
        pytest.skip("the tests' directory is on no disk")
    with (bundle.rootfs / "room").open("wb") as file:
        file.write(bytes(blocks * kib << 10))
        os.fsync(file.fileno())
    free = transfer(driver, bundle, way, blocks, kib)
    name = f"throttle{'Read' if way == 'r' else 'Write'}{unit}Device"
    bundle.set(f"linux.resources.blockIO.{name}", [{**disk, "rate": rate}])
    limited = transfer(driver, bundle, way, blocks, kib)
    assert limited > 1000
    assert free < limited / 2


# Huge pages


@pytest.fixture
def huge_pages() -> Iterator[None]:
    """Some to be had; what other people's machines have is theirs to say."""
    if "GUEST" not in os.environ:
        pytest.skip("no machine to give huge pages to")
    knob = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_overcommit_hugepages")
    before = knob.read_text()
    knob.write_text("8")
    yield
    knob.write_text(before)


@pytest.mark.covers("linux.resources.hugepageLimits")
@pytest.mark.parametrize(("mib", "problem"), [(4, ""), (2, "ENOMEM")])
def test_huge_pages(bundle: Bundle, huge_pages: None, driver: str, mib: int, problem: str) -> None:
    """Two pages are asked for."""
    bundle.set("linux.resources.hugepageLimits", [{"pageSize": "2MB", "limit": mib * MIB}])
    mmap: list[Any] = [9, 0, 4 * MIB, 3, 0x40022, -1, 0]
    with created_by(driver, bundle, "syscall", *map(str, mmap)) as box:
        box.start()
        assert box.expect("syscall")["errno"] == problem
