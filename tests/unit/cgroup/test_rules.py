"""rules: what the schema cannot say about linux.resources, every mistake with its pointer."""

from __future__ import annotations

from typing import Any

import pytest

from pyruntime.cgroup import driver, rules

GOOD: list[dict[str, Any]] = [
    {},
    {"devices": [{"allow": False, "access": "rwm"}]},
    {"devices": [{"allow": True, "type": "c", "major": -1, "minor": 3, "access": "r"}]},
    {"devices": [{"allow": False, "type": "c", "major": 1, "minor": 11, "access": "rwa"}]},
    {"memory": {"limit": 0, "swap": 0, "reservation": 0, "kernel": 0}},
    {"memory": {"limit": -1, "swap": -1, "swappiness": 2**64 - 1}},
    {"memory": {"limit": -1, "swap": 4096}},  # on v2 a limit on swap alone
    {"memory": {"limit": 4096, "swap": 4096, "swappiness": 100}},
    {"cpu": {"shares": 0, "quota": -1, "burst": 1000, "idle": 1, "cpus": "0-3,7", "mems": "0"}},
    {"cpu": {"quota": 1000, "burst": 1000}},
    {"blockIO": {"weight": 0, "weightDevice": [{"major": 8, "minor": 0, "weight": 10}]}},
    {"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]},
    {"network": {"classID": 0, "priorities": [{"name": "eth0", "priority": 5}]}},
    {"rdma": {"mlx5_1": {"hcaHandles": 0}}},
    {"pids": {"limit": 0}},
    {"unified": {"memory.high": "1000", "io.max": "8:0 rbps=1\n8:16 rbps=1"}},
]
BAD: list[tuple[dict[str, Any], str, str]] = [
    (
        {"devices": [{"allow": True}]},
        "/devices/0/access",
        "device access at 0 field cannot be empty",
    ),
    ({"devices": [{"allow": True, "access": "rx"}]}, "/devices/0/access", "r, w and m"),
    ({"devices": [{"allow": True, "access": "a"}]}, "/devices/0/access", "r, w and m"),
    ({"devices": [{"allow": True, "access": "r", "type": "p"}]}, "/devices/0/type", "a, b, c"),
    ({"devices": [{"allow": True, "access": "r", "major": -2}]}, "/devices/0/major", "negative"),
    ({"memory": {"limit": -2}}, "/memory/limit", "-1"),
    ({"memory": {"swap": 4096}}, "/memory/swap", "without memory limit"),
    ({"memory": {"limit": 8192, "swap": 4096}}, "/memory/swap", "smaller"),
    ({"memory": {"swappiness": 101}}, "/memory/swappiness", "valid range is 0-100"),
    ({"cpu": {"quota": 1000, "burst": 1001}}, "/cpu/burst", "larger than quota"),
    ({"cpu": {"idle": 2}}, "/cpu/idle", "0 or 1"),
    ({"cpu": {"cpus": "0\n1"}}, "/cpu/cpus", "ranges"),
    ({"cpu": {"mems": "../x"}}, "/cpu/mems", "ranges"),
    (
        {"blockIO": {"weightDevice": [{"major": 8, "minor": 0}]}},
        "/blockIO/weightDevice/0",
        "weight",
    ),
    ({"hugepageLimits": [{"pageSize": "../MB", "limit": 1}]}, "/hugepageLimits/0/pageSize", "size"),
    ({"hugepageLimits": [{"pageSize": "MB", "limit": 1}]}, "/hugepageLimits/0/pageSize", "size"),
    ({"hugepageLimits": [{"pageSize": "٣MB", "limit": 1}]}, "/hugepageLimits/0/pageSize", "size"),
    (
        {"network": {"priorities": [{"name": "e 1", "priority": 1}]}},
        "/network/priorities/0/name",
        "interface",
    ),
    (
        {"network": {"priorities": [{"name": "e" * 16, "priority": 1}]}},
        "/network/priorities/0/name",
        "interface",
    ),
    ({"rdma": {"a b": {"hcaObjects": 1}}}, "/rdma/a b", "RDMA"),
    ({"rdma": {"mlx5_1": {}}}, "/rdma/mlx5_1", "needs"),
    ({"unified": {"../x.y": "1"}}, "/unified/..~1x.y", "CONTROLLER.PARAMETER"),
    ({"unified": {"memory": "1"}}, "/unified/memory", "CONTROLLER.PARAMETER"),
    ({"unified": {"cgroup.procs": "1"}}, "/unified/cgroup.procs", "not a limit"),
    ({"unified": {"memory.max": ""}}, "/unified/memory.max", "non-empty"),
]


@pytest.mark.parametrize("resources", GOOD)
def test_good(resources: dict[str, Any]) -> None:
    assert list(driver.rules(resources)) == []


@pytest.mark.parametrize(("resources", "pointer", "word"), BAD)
def test_bad(resources: dict[str, Any], pointer: str, word: str) -> None:
    found = list(driver.rules(resources))
    assert [place for place, _ in found] == [pointer]
    assert word in found[0][1]


def test_all_findings_at_once() -> None:
    resources = {"cpu": {"idle": 7, "cpus": "x"}, "memory": {"limit": -5, "swappiness": 200}}
    assert len(list(driver.rules(resources))) == 4


def test_swap_alone_is_a_change() -> None:
    assert list(driver.rules({"memory": {"swap": 4096}}, changing=True)) == []
    assert list(driver.rules({"memory": {"limit": 8192, "swap": 4096}}, changing=True))


@pytest.mark.parametrize(("given", "wanted"), [(0, 1), (1, 1), (5, 5), (-1, -1)])
def test_a_pids_limit_of_zero_is_one_process(given: int, wanted: int) -> None:
    resources = {"pids": {"limit": given}, "cpu": {"shares": 2}}
    assert rules.effective(resources, "v1", "6.1.0") == (
        {"pids": {"limit": wanted}, "cpu": {"shares": 2}},
        [],
    )
    assert resources["pids"] == {"limit": given}
    assert rules.effective({}, "v2", "6.1.0") == ({}, [])


@pytest.mark.parametrize(
    ("mode", "release", "kept"),
    [
        ("v1", "5.15.0-91-generic", ["kernel", "kernelTCP"]),
        ("v1", "5.16.0", ["kernelTCP"]),
        ("hybrid", "6.18-rc1", ["kernelTCP"]),
        ("v2", "5.14.0", []),
        ("v2", "6.18.0", []),
    ],
)
def test_limits_of_kernel_memory_that_the_kernel_lacks(
    mode: str, release: str, kept: list[str]
) -> None:
    given = {"memory": {"limit": 9, "kernel": 5, "kernelTCP": 6}}
    resources, warnings = rules.effective(given, mode, release)
    assert [key for key in resources["memory"] if key != "limit"] == kept
    assert resources["memory"]["limit"] == 9
    gone = [key for key in ("kernel", "kernelTCP") if key not in kept]
    assert [text.partition(":")[0] for text in warnings] == [
        f"/linux/resources/memory/{key}" for key in gone
    ]
    assert rules.effective({"memory": {"kernel": 0, "kernelTCP": -1}}, mode, release)[1] == []


@pytest.mark.parametrize(
    ("resources", "asked"),
    [
        ({}, []),
        ({"devices": [{"allow": False, "access": "rwm"}]}, []),
        ({"memory": {"limit": 0, "swap": -1, "swappiness": 2**64 - 1, "kernel": 0}}, []),
        ({"memory": {"kernelTCP": 5}}, ["memory"]),
        ({"memory": {"useHierarchy": True, "checkBeforeUpdate": True}}, []),
        ({"cpu": {"shares": 0, "quota": -1, "cpus": ""}, "blockIO": {"weight": 0}}, []),
        ({"pids": {"limit": -1}, "unified": {}, "hugepageLimits": [], "network": {}}, []),
        ({"memory": {"swappiness": 0}}, ["memory"]),
        ({"memory": {"disableOOMKiller": True}}, ["memory"]),
        ({"pids": {"limit": 0}, "cpu": {"cpus": "0"}}, ["pids", "cpu"]),
        ({"unified": {"memory.high": "1"}}, ["unified"]),
        ({"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}, ["hugepageLimits"]),
        ({"network": {"classID": 7}, "rdma": {"mlx": {"hcaHandles": 3}}}, ["network", "rdma"]),
    ],
)
def test_what_asks_for_a_limit(resources: dict[str, Any], asked: list[str]) -> None:
    assert driver.limits(resources) == asked
