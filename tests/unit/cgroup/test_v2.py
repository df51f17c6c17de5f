"""The v2 controllers and the device program: v1's words turned into v2's, and decisions in order."""

from __future__ import annotations

import errno
import random
import struct
from typing import Any

import pytest

from pyruntime import errors
from pyruntime.cgroup import knob
from pyruntime.cgroup.v1.devices import STANDARD
from pyruntime.cgroup.v2 import cpu, devices, hugetlb, io, memory, setters, unified


class Files:
    """Stands in for a group's directory, as in test_controllers.py."""

    def __init__(self) -> None:
        self.writes: list[tuple[str, str]] = []
        self.content: dict[str, str] = {}
        self.failures: dict[str, list[int]] = {}

    def write(self, _fd: int, name: str, value: str) -> None:
        if self.failures.get(name):
            raise OSError(self.failures[name].pop(0), "fake")
        self.writes.append((name, value))

    def read(self, _fd: int, name: str) -> str:
        return self.content[name]

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


def test_which_controllers_are_asked_for() -> None:
    zeros = {"memory": {"limit": 0}, "cpu": {"shares": 0, "cpus": ""}, "blockIO": {"weight": 0}}
    assert asked(zeros) == []
    everything = {
        "pids": {"limit": 5},
        "memory": {"limit": 5},
        "cpu": {"shares": 5, "cpus": "0"},
        "blockIO": {"weight": 10},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 0}],
        "rdma": {"mlx5_0": {"hcaHandles": 1}},
    }
    assert asked(everything) == ["pids", "memory", "cpu", "cpuset", "io", "hugetlb", "rdma"]


def test_a_limit_is_checked_before_it_is_set(files: Files) -> None:
    files.content["memory.current"] = "70"
    memory.apply(-1, {"memory": {"limit": 70, "checkBeforeUpdate": True}})
    memory.apply(-1, {"memory": {"limit": 60}})
    assert files.writes == [("memory.max", "70"), ("memory.max", "60")]
    with pytest.raises(errors.StepError, match="current usage: 70"):
        memory.apply(-1, {"memory": {"limit": 60, "checkBeforeUpdate": True}})
    assert len(files.writes) == 2


@pytest.mark.parametrize(
    ("resources", "pointer"),
    [
        ({"network": {"classID": 5}}, "/network/classID"),
        ({"network": {"priorities": [{"name": "lo", "priority": 1}]}}, "/network/priorities"),
        ({"cpu": {"realtimeRuntime": 5}}, "/cpu/realtimeRuntime"),
        ({"cpu": {"realtimePeriod": 5}}, "/cpu/realtimePeriod"),
        ({"memory": {"disableOOMKiller": True}}, "/memory/disableOOMKiller"),
        ({"memory": {"swappiness": 5}}, "/memory/swappiness"),
        ({"memory": {"kernel": 5}}, "/memory/kernel"),
        ({"memory": {"kernelTCP": 5}}, "/memory/kernelTCP"),
        ({"memory": {"useHierarchy": False}}, "/memory/useHierarchy"),
        ({"blockIO": {"leafWeight": 5}}, "/blockIO/leafWeight"),
    ],
)
def test_what_has_no_counterpart(files: Files, resources: dict[str, Any], pointer: str) -> None:
    with pytest.raises(errors.StepError, match="has no counterpart on cgroup v2") as caught:
        for _, apply in list(setters(resources)):
            apply(-1, resources)
    assert caught.value.pointer == "/linux/resources" + pointer
    assert files.writes == []


@pytest.mark.parametrize(
    ("shares", "weight"),
    [
        (1, 1),
        (2, 1),
        (3, 2),
        (512, 59),
        (1024, 100),
        (2048, 174),
        (262143, 10000),
        (262144, 10000),
        (2**40, 10000),
    ],
)
def test_weight_of_shares(shares: int, weight: int) -> None:
    assert cpu.weight(shares) == weight


@pytest.mark.parametrize(("block", "weight"), [(10, 1), (100, 910), (500, 4950), (1000, 10000)])
def test_weight_of_block_io(block: int, weight: int) -> None:
    assert io.weight(block) == weight


@pytest.mark.parametrize(
    ("swap", "limit", "alone"),
    [
        (0, 0, None),
        (0, 100, None),
        (0, -1, -1),
        (-1, 100, -1),
        (-1, 0, -1),
        (300, 100, 200),
        (100, 100, 0),
        (300, -1, 300),
    ],
)
def test_swap_alone(swap: int, limit: int, alone: int | None) -> None:
    assert memory.swap_alone(swap, limit) == alone


@pytest.mark.parametrize(("swap", "limit"), [(100, 0), (100, 200)])
def test_swap_that_cannot_be(swap: int, limit: int) -> None:
    with pytest.raises(errors.StepError) as caught:
        memory.swap_alone(swap, limit)
    assert caught.value.pointer == "/linux/resources/memory/swap"


def test_memory(files: Files) -> None:
    memory.apply(-1, {"memory": {"limit": 100, "swap": 300, "reservation": 50}})
    assert files.writes == [("memory.swap.max", "200"), ("memory.max", "100"), ("memory.low", "50")]
    files.writes.clear()
    memory.apply(-1, {"memory": {"limit": -1, "reservation": -1}})
    assert files.writes == [
        ("memory.swap.max", "max"),
        ("memory.max", "max"),
        ("memory.low", "max"),
    ]


def test_a_kernel_without_swap(files: Files) -> None:
    files.failures["memory.swap.max"] = [errno.ENOENT] * 3
    memory.apply(-1, {"memory": {"limit": 100, "swap": -1}})
    memory.apply(-1, {"memory": {"limit": 100, "swap": 100}})
    assert files.writes == [("memory.max", "100")] * 2
    with pytest.raises(errors.StepError, match="set swap limit to 100"):
        memory.apply(-1, {"memory": {"limit": 100, "swap": 200}})


@pytest.mark.parametrize(
    ("block", "writes"),
    [
        ({"quota": 5000}, [("cpu.max", "5000 100000")]),
        ({"period": 50000}, [("cpu.max", "max 50000")]),
        ({"quota": -1, "period": 50000}, [("cpu.max", "max 50000")]),
        (
            {"quota": 5000, "burst": 10, "idle": 0, "shares": 1024},
            [
                ("cpu.idle", "0"),
                ("cpu.weight", "100"),
                ("cpu.max.burst", "10"),
                ("cpu.max", "5000 100000"),
            ],
        ),
    ],
)
def test_cpu(files: Files, block: dict[str, Any], writes: list[tuple[str, str]]) -> None:
    cpu.apply(-1, {"cpu": block})
    assert files.writes == writes


def test_a_burst_the_old_quota_forbids(files: Files) -> None:
    files.failures["cpu.max.burst"] = [errno.EINVAL]
    cpu.apply(-1, {"cpu": {"quota": 5000, "burst": 10}})
    assert files.writes == [("cpu.max", "5000 100000"), ("cpu.max.burst", "10")]
    files.failures["cpu.max.burst"] = [errno.EINVAL]
    with pytest.raises(errors.StepError, match=r"set cpu burst to 10 .*: invalid argument"):
        cpu.apply(-1, {"cpu": {"burst": 10}})


def test_cpuset(files: Files) -> None:
    cpu.apply_set(-1, {"cpu": {"cpus": "0-1", "mems": ""}})
    assert files.writes == [("cpuset.cpus", "0-1")]


NODE = {"major": 8, "minor": 16}


@pytest.mark.covers(
    "linux.resources.blockIO.weight",
    "linux.resources.blockIO.weightDevice",
    "linux.resources.blockIO.throttleReadBpsDevice",
    "linux.resources.blockIO.throttleWriteBpsDevice",
    "linux.resources.blockIO.throttleReadIOPSDevice",
    "linux.resources.blockIO.throttleWriteIOPSDevice",
)
def test_io(files: Files) -> None:
    block = {
        "weight": 10,
        "weightDevice": [{**NODE, "weight": 1000}],
        "throttleReadBpsDevice": [{**NODE, "rate": 5}],
        "throttleWriteBpsDevice": [{**NODE, "rate": 6}],
        "throttleReadIOPSDevice": [{**NODE, "rate": 7}],
        "throttleWriteIOPSDevice": [{**NODE, "rate": 0}],
    }
    io.apply(-1, {"blockIO": block})
    words = ("rbps=5", "wbps=6", "riops=7", "wiops=max")
    throttles = [("io.max", f"8:16 {word}") for word in words]
    assert files.writes == [("io.weight", "1"), ("io.weight", "8:16 10000"), *throttles]
    files.writes.clear()
    files.content["io.bfq.weight"] = "default 100"
    io.apply(-1, {"blockIO": block})
    assert files.writes == [("io.bfq.weight", "10"), ("io.bfq.weight", "8:16 1000"), *throttles]


@pytest.mark.covers("linux.resources.memory.checkBeforeUpdate")
def test_a_limit_below_the_usage_is_refused_where_it_was_asked_for(files: Files) -> None:
    files.content["memory.current"] = "200"
    memory.apply(-1, {"memory": {"limit": 100}})
    assert files.writes == [("memory.max", "100")]
    files.writes.clear()
    wanted = {"limit": 100, "checkBeforeUpdate": True}
    with pytest.raises(errors.StepError, match="current usage: 200") as caught:
        memory.apply(-1, {"memory": wanted})
    assert caught.value.pointer == "/linux/resources/memory/checkBeforeUpdate"
    assert files.writes == []
    memory.apply(-1, {"memory": {**wanted, "limit": 200}})
    assert files.writes == [("memory.max", "200")]


@pytest.mark.covers("linux.resources.hugepageLimits")
def test_hugetlb(files: Files) -> None:
    hugetlb.apply(-1, {"hugepageLimits": [{"pageSize": "2MB", "limit": 4}]})
    assert files.writes == [("hugetlb.2MB.rsvd.max", "4"), ("hugetlb.2MB.max", "4")]


@pytest.mark.covers("linux.resources.unified")
def test_unified(files: Files) -> None:
    unified.apply(-1, {"unified": {"io.max": "8:0 rbps=1\n8:16 rbps=2", "memory.high": "5"}})
    assert files.writes == [
        ("io.max", "8:0 rbps=1"),
        ("io.max", "8:16 rbps=2"),
        ("memory.high", "5"),
    ]


def test_unified_without_the_controller(files: Files) -> None:
    files.content["cgroup.controllers"] = "cpu memory"
    files.failures = {"hugetlb.2MB.max": [errno.ENOENT], "memory.odd": [errno.ENOENT]}
    with pytest.raises(errors.StepError, match='controller "hugetlb" not available'):
        unified.apply(-1, {"unified": {"hugetlb.2MB.max": "1"}})
    with pytest.raises(
        errors.StepError, match=r"set unified memory\.odd to 1 .*: no such file"
    ) as caught:
        unified.apply(-1, {"unified": {"memory.odd": "1"}})
    assert caught.value.pointer == "/linux/resources/unified/memory.odd"


# The device program, played by a small machine and compared with the rules read in order.


def play(program: bytes, kind: int, access: int, major: int, minor: int) -> int:
    """The few instructions the program is made of."""
    code = [struct.unpack_from("=BBhi", program, at) for at in range(0, len(program), 8)]
    context = {0: access << 16 | kind, 4: major, 8: minor}
    registers = [0] * 11
    at = 0
    for _ in range(len(code)):
        operation, both, offset, value = code[at]
        target, source = both & 15, both >> 4
        at += 1
        if operation == devices.LOAD_WORD:
            registers[target] = context[offset]
        elif operation == devices.MOVE32:
            registers[target] = registers[source]
        elif operation == devices.MOVE32_IMMEDIATE:
            registers[target] = value
        elif operation == devices.AND32:
            registers[target] &= value & 0xFFFFFFFF
        elif operation == devices.RIGHT32:
            registers[target] >>= value
        elif operation == devices.JUMP_NOT_EQUAL32:
            at += offset if registers[target] != value & 0xFFFFFFFF else 0
        elif operation == devices.JUMP_EQUAL:
            at += offset if registers[target] == value else 0
        elif operation == devices.EXIT:
            return registers[0]
    raise AssertionError("the program does not end")


def decide(rows: list[dict[str, Any]], kind: str, access: str, major: int, minor: int) -> bool:
    """Each letter by the last rule that covers it; nothing by default."""
    standard = [
        {"allow": True, "type": k, "major": a, "minor": i, "access": x} for k, a, i, x in STANDARD
    ]
    verdicts = dict.fromkeys(access, False)
    for row in [*rows, *standard]:
        whole = row.get("type", "a") == "a"
        numbers = ((row.get("major", -1), major), (row.get("minor", -1), minor))
        if whole or (row["type"] == kind and all(want in (-1, have) for want, have in numbers)):
            verdicts |= {letter: row["allow"] for letter in access if letter in row["access"]}
    return all(verdicts.values())


def any_row(chance: random.Random) -> dict[str, Any]:
    row: dict[str, Any] = {
        "allow": chance.random() < 0.6,
        "access": "".join(chance.sample("rwm", chance.randint(1, 3))),
    }
    if chance.random() < 0.85:
        row["type"] = chance.choice("bc")
        for key in ("major", "minor"):
            if chance.random() < 0.7:
                row[key] = chance.choice((-1, 1, 3, 8))
    return row


@pytest.mark.parametrize("seed", range(150))
def test_the_program_decides_as_the_rules_read(seed: int) -> None:
    chance = random.Random(seed)
    rows = [any_row(chance) for _ in range(chance.randint(0, 6))]
    program = devices.program({"devices": rows})
    bits = {"m": 1, "r": 2, "w": 4}
    for kind, number in (("b", 1), ("c", 2)):
        for access in ("r", "w", "m", "rw", "rm", "rwm"):
            for major, minor in ((1, 3), (1, 1), (3, 8), (8, 8), (136, 5), (7, 7)):
                want = decide(rows, kind, access, major, minor)
                got = play(program, number, sum(bits[letter] for letter in access), major, minor)
                assert got == want, (rows, kind, access, major, minor)


def test_nothing_before_a_rule_for_everything_is_in_the_program() -> None:
    short = devices.program({"devices": [{"allow": False, "access": "rwm"}]})
    long = devices.program(
        {
            "devices": [
                *[{"allow": True, "type": "b", "major": 8, "access": "r"}] * 50,
                {"allow": False, "access": "rwm"},
            ]
        }
    )
    assert long == short
