"""The v1 controllers: which file is written with what, in which order, and what an error says."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyruntime import errors
from pyruntime.cgroup import knob
from pyruntime.cgroup.v1 import blkio, cpu, cpuset, hugetlb, memory, net, pids, rdma, setters


class Files:
    """Stands in for a group's directory: keeps the writes, answers reads, fails where it is told to."""

    def __init__(self) -> None:
        self.writes: list[tuple[str, str]] = []
        self.content: dict[str, str] = {}
        self.failures: dict[tuple[str, str], list[int]] = {}
        self.forgets: dict[str, str] = {}  # files that read like this whatever is written

    def write(self, _fd: int, name: str, value: str) -> None:
        waiting = self.failures.get((name, value)) or self.failures.get((name, "*"))
        if waiting:
            raise OSError(waiting.pop(0), "fake")
        self.writes.append((name, value))
        self.content[name] = value

    def read(self, _fd: int, name: str) -> str:
        if name not in self.content:
            raise FileNotFoundError(errno.ENOENT, name)
        return self.forgets.get(name) or self.content[name]

    def exists(self, _fd: int, name: str) -> bool:
        return name in self.content


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Files:
    fake = Files()
    for name in ("write", "read", "exists"):
        monkeypatch.setattr(knob, name, getattr(fake, name))
    return fake


def asked(resources: dict[str, Any]) -> list[str]:
    return [controller for controller, _ in setters(resources)]


def test_zero_asks_for_nothing() -> None:
    """The resources Docker sends with an update: every unset field is a zero."""
    docker = {
        "memory": {"limit": 0, "reservation": 0, "kernel": 0, "swappiness": 2**64 - 1},
        "cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": "", "mems": ""},
        "blockIO": {"weight": 0, "weightDevice": []},
        "network": {"classID": 0, "priorities": []},
        "hugepageLimits": [],
        "rdma": {},
    }
    assert asked(docker) == []


def test_each_block_asks_for_its_controller() -> None:
    everything = {
        "memory": {"swappiness": 0},
        "cpu": {"idle": 0},
        "pids": {"limit": 0},
        "blockIO": {"leafWeight": 10},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 0}],
        "network": {"classID": 1, "priorities": [{"name": "lo", "priority": 1}]},
        "rdma": {"mlx5_0": {"hcaHandles": 1}},
    }
    names = ["memory", "cpu", "pids", "blkio", "hugetlb", "net_cls", "net_prio", "rdma"]
    assert asked(everything) == names


# memory

LIMIT, SWAP = memory.LIMIT, memory.SWAP


def test_swap_first_while_the_old_limit_is_below(files: Files) -> None:
    files.content[LIMIT] = "1000"
    memory.apply(-1, {"memory": {"limit": 2000, "swap": 3000}})
    assert files.writes == [(SWAP, "3000"), (LIMIT, "2000")]


def test_memory_first_while_the_old_limit_is_above(files: Files) -> None:
    files.content[LIMIT] = "9000"
    memory.apply(-1, {"memory": {"limit": 2000, "swap": 3000}})
    assert files.writes == [(LIMIT, "2000"), (SWAP, "3000")]


def test_no_limit_lifts_swap_too_where_swap_is_accounted(files: Files) -> None:
    memory.apply(-1, {"memory": {"limit": -1}})
    assert files.writes == [(LIMIT, "-1")]
    files.writes.clear()
    files.content[SWAP] = "5"
    memory.apply(-1, {"memory": {"limit": -1}})
    assert files.writes == [(SWAP, "-1"), (LIMIT, "-1")]


def test_the_other_memory_settings(files: Files) -> None:
    block = {
        "reservation": 1 << 20,
        "disableOOMKiller": True,
        "swappiness": 0,
        "useHierarchy": False,
    }
    memory.apply(-1, {"memory": {**block, "kernelTCP": 4096, "kernel": -1}})
    assert files.writes == [
        ("memory.soft_limit_in_bytes", "1048576"),
        ("memory.oom_control", "1"),
        ("memory.swappiness", "0"),
        ("memory.kmem.tcp.limit_in_bytes", "4096"),
        ("memory.use_hierarchy", "0"),
    ]


@pytest.mark.parametrize("block", [{"kernel": 5}, {"kernelTCP": 5}, {"useHierarchy": False}])
def test_what_the_kernel_took_back_is_asked_for(block: dict[str, Any]) -> None:
    assert asked({"memory": block}) == ["memory"]
    assert asked({"memory": dict.fromkeys(block, True if "useHierarchy" in block else -1)}) == []


def test_a_limit_that_the_kernel_forgets(files: Files) -> None:
    """Linux takes memory.kmem.limit_in_bytes since 6.1 without a word and without an effect."""
    files.forgets["memory.kmem.limit_in_bytes"] = "9223372036854771712"
    with pytest.raises(errors.StepError, match="has no such limit any more") as caught:
        memory.apply(-1, {"memory": {"kernel": 4096}})
    assert caught.value.pointer == "/linux/resources/memory/kernel"


def test_a_limit_below_the_usage_says_so(files: Files) -> None:
    files.failures[LIMIT, "*"] = [errno.EBUSY]
    files.content |= {"memory.usage_in_bytes": "70", "memory.max_usage_in_bytes": "90"}
    with pytest.raises(errors.StepError) as caught:
        memory.apply(-1, {"memory": {"limit": 60}})
    assert caught.value.message == (
        "unable to set memory limit to 60 (current usage: 70, peak usage: 90)"
        " (/linux/resources/memory/limit): device or resource busy"
    )
    assert caught.value.pointer == "/linux/resources/memory/limit"


def test_any_other_failure_names_the_property(files: Files) -> None:
    files.failures[SWAP, "*"] = [errno.EINVAL]
    with pytest.raises(errors.StepError) as caught:
        memory.apply(-1, {"memory": {"swap": 60}})
    assert caught.value.message == (
        "set memory plus swap limit to 60 (/linux/resources/memory/swap): invalid argument"
    )
    assert caught.value.pointer == "/linux/resources/memory/swap"
    assert caught.value.errno == errno.EINVAL


# cpu


def test_cpu_settings_in_their_order(files: Files) -> None:
    block = {
        "shares": 512,
        "quota": 50000,
        "period": 100000,
        "burst": 0,
        "idle": 0,
        "realtimeRuntime": 9,
        "realtimePeriod": 10,
    }
    cpu.apply(-1, {"cpu": block})
    assert files.writes == [
        ("cpu.rt_period_us", "10"),
        ("cpu.rt_runtime_us", "9"),
        ("cpu.idle", "0"),
        ("cpu.shares", "512"),
        ("cpu.cfs_burst_us", "0"),
        ("cpu.cfs_period_us", "100000"),
        ("cpu.cfs_quota_us", "50000"),
    ]


def test_a_period_the_old_quota_forbids_is_tried_again(files: Files) -> None:
    files.failures["cpu.cfs_period_us", "*"] = [errno.EINVAL]
    cpu.apply(-1, {"cpu": {"quota": 10, "period": 20}})
    assert files.writes == [("cpu.cfs_quota_us", "10"), ("cpu.cfs_period_us", "20")]


def test_a_period_alone_has_one_try(files: Files) -> None:
    files.failures["cpu.cfs_period_us", "*"] = [errno.EINVAL]
    with pytest.raises(errors.StepError, match=r"set cpu period to 20 .*: invalid argument"):
        cpu.apply(-1, {"cpu": {"period": 20}})


def test_a_burst_the_old_quota_forbids_is_tried_again(files: Files) -> None:
    files.failures["cpu.cfs_burst_us", "*"] = [errno.EINVAL]
    cpu.apply(-1, {"cpu": {"quota": 10, "burst": 5}})
    assert files.writes == [("cpu.cfs_quota_us", "10"), ("cpu.cfs_burst_us", "5")]


@pytest.mark.parametrize(
    ("asked_for", "got", "word"), [(1, 2, "minimum"), (300000, 262144, "maximum")]
)
def test_clamped_shares_are_an_error(
    files: Files, monkeypatch: pytest.MonkeyPatch, asked_for: int, got: int, word: str
) -> None:
    monkeypatch.setattr(knob, "read", lambda _fd, _name: str(got))
    with pytest.raises(errors.StepError, match=f"the {word} allowed cpu-shares is {got}"):
        cpu.apply(-1, {"cpu": {"shares": asked_for}})


def test_a_kernel_without_the_setting(files: Files) -> None:
    files.failures["cpu.idle", "*"] = [errno.ENOENT]
    with pytest.raises(
        errors.StepError, match="this kernel has no such setting: no such file or directory"
    ):
        cpu.apply(-1, {"cpu": {"idle": 1}})


# cpuset

ABOVE = {"cpuset.cpus": "0-3", "cpuset.mems": "0"}


def test_an_empty_cpuset_is_filled_from_above(files: Files) -> None:
    files.content = {"cpuset.cpus": "", "cpuset.mems": ""}
    cpuset.apply(-1, {}, ABOVE)
    assert files.writes == [("cpuset.cpus", "0-3"), ("cpuset.mems", "0")]


def test_what_is_asked_for_is_written_and_nothing_before_it(files: Files) -> None:
    files.content = {"cpuset.cpus": "", "cpuset.mems": "0"}
    cpuset.apply(-1, {"cpu": {"cpus": "1", "mems": ""}}, ABOVE)
    assert files.writes == [("cpuset.cpus", "1")]


def test_a_group_above_is_filled_where_it_is_empty(files: Files) -> None:
    files.content = {"cpuset.cpus": "1", "cpuset.mems": ""}
    assert cpuset.inherit(-1, ABOVE) == {"cpuset.cpus": "1", "cpuset.mems": "0"}
    assert files.writes == [("cpuset.mems", "0")]


# the rest


@pytest.mark.parametrize(("limit", "text"), [(10, "10"), (0, "0"), (-1, "max"), (-7, "max")])
def test_pids(files: Files, limit: int, text: str) -> None:
    pids.apply(-1, {"pids": {"limit": limit}})
    assert files.writes == [("pids.max", text)]


NODE = {"major": 8, "minor": 16}


@pytest.mark.covers(
    "linux.resources.blockIO.weight",
    "linux.resources.blockIO.leafWeight",
    "linux.resources.blockIO.weightDevice",
    "linux.resources.blockIO.throttleReadBpsDevice",
    "linux.resources.blockIO.throttleWriteBpsDevice",
    "linux.resources.blockIO.throttleReadIOPSDevice",
    "linux.resources.blockIO.throttleWriteIOPSDevice",
)
@pytest.mark.parametrize("prefix", ["blkio.weight", "blkio.bfq.weight"])
def test_block_io(files: Files, prefix: str) -> None:
    files.content[prefix] = "100"
    block = {
        "weight": 20,
        "leafWeight": 30,
        "weightDevice": [{**NODE, "weight": 40}, {**NODE, "leafWeight": 50}, {**NODE, "weight": 0}],
        "throttleReadBpsDevice": [{**NODE, "rate": 1}],
        "throttleWriteBpsDevice": [{**NODE, "rate": 2}],
        "throttleReadIOPSDevice": [{**NODE, "rate": 3}],
        "throttleWriteIOPSDevice": [{**NODE, "rate": 0}],
    }
    blkio.apply(-1, {"blockIO": block})
    assert files.writes == [
        (prefix, "20"),
        ("blkio.leaf_weight", "30"),
        (prefix + "_device", "8:16 40"),
        ("blkio.leaf_weight_device", "8:16 50"),
        ("blkio.throttle.read_bps_device", "8:16 1"),
        ("blkio.throttle.write_bps_device", "8:16 2"),
        ("blkio.throttle.read_iops_device", "8:16 3"),
        ("blkio.throttle.write_iops_device", "8:16 0"),
    ]


def test_hugetlb_with_and_without_reservations(files: Files) -> None:
    rows = {"hugepageLimits": [{"pageSize": "2MB", "limit": 7}]}
    hugetlb.apply(-1, rows)
    plain, reserved = "hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.rsvd.limit_in_bytes"
    assert files.writes == [(reserved, "7"), (plain, "7")]
    files.writes.clear()
    files.failures[reserved, "*"] = [errno.ENOENT, errno.EINVAL]
    hugetlb.apply(-1, rows)
    assert files.writes == [(plain, "7")]
    with pytest.raises(errors.StepError, match=r"hugepage limit of 2MB to 7 .*: invalid argument"):
        hugetlb.apply(-1, rows)


@pytest.mark.covers("linux.resources.network.classID", "linux.resources.network.priorities")
def test_network(files: Files) -> None:
    block = {"network": {"classID": 1048577, "priorities": [{"name": "eth0", "priority": 3}]}}
    net.apply_class(-1, block)
    net.apply_priorities(-1, block)
    assert files.writes == [("net_cls.classid", "1048577"), ("net_prio.ifpriomap", "eth0 3")]


@pytest.mark.covers("linux.resources.rdma")
def test_rdma(files: Files) -> None:
    rdma.apply(
        -1, {"rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 0}, "mlx5_2": {"hcaObjects": 9}}}
    )
    assert files.writes == [
        ("rdma.max", "mlx5_1 hca_handle=3 hca_object=0"),
        ("rdma.max", "mlx5_2 hca_object=9"),
    ]


# knob itself


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "file").write_text("old\n")
    (tmp_path / "link").symlink_to("file")
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_a_value_is_written_and_read(directory: int) -> None:
    knob.write(directory, "file", "c 1:3 rwm")
    assert knob.read(directory, "file") == "c 1:3 rwm"
    assert knob.exists(directory, "file")
    assert not knob.exists(directory, "none")


@pytest.mark.parametrize("value", ["", "1\n2", "1\0", "ä", "1;2", "٣"])
def test_no_second_line_and_nothing_odd(directory: int, value: str) -> None:
    with pytest.raises(errors.StepError, match="not one a cgroup file takes"):
        knob.write(directory, "file", value)
    assert knob.read(directory, "file") == "old"


def test_a_link_is_not_followed(directory: int) -> None:
    with pytest.raises(OSError, match="symbolic"):
        knob.write(directory, "link", "1")


def test_processes_of_a_group_that_is_gone(directory: int) -> None:
    assert knob.processes(directory) == []
