"""linux.resources in systemd's words."""

from __future__ import annotations

from typing import Any

import pytest

from pyruntime.cgroup.systemd import devices, names, properties, unified

INFINITY = 2**64 - 1
DRIVERS = (
    b"Character devices:\n  1 mem\n  4 /dev/vc/0\n  4 tty\n136 pts\n\nBlock devices:\n  8 sd\n"
)


def words(resources: dict[str, Any], *, v2: bool = True, version: int = 252) -> dict[str, Any]:
    found = list(properties.of_resources(resources, unified=v2, version=version))
    assert len({name for name, _ in found}) == len(found)
    assert all(kind == ("ay" if name.startswith("Allowed") else "t") for name, (kind, _) in found)
    return {name: value for name, (_, value) in found}


@pytest.mark.parametrize(
    ("resources", "v2", "v1"),
    [
        ({"memory": {"limit": 100}}, {"MemoryMax": 100}, {"MemoryLimit": 100}),
        (
            {"memory": {"limit": 100, "swap": 150, "reservation": 50}},
            {"MemoryMax": 100, "MemorySwapMax": 50, "MemoryLow": 50},
            {"MemoryLimit": 100},
        ),
        (
            {"memory": {"limit": -1}},
            {"MemoryMax": INFINITY, "MemorySwapMax": INFINITY},
            {"MemoryLimit": INFINITY},
        ),
        ({"cpu": {"shares": 1024}}, {"CPUWeight": 100}, {"CPUShares": 1024}),
        ({"cpu": {"idle": 1, "shares": 1024}}, {"CPUWeight": 0}, {"CPUShares": 1024}),
        ({"pids": {"limit": 7}}, {"TasksMax": 7}, {"TasksMax": 7}),
        ({"pids": {"limit": 0}}, {"TasksMax": 1}, {"TasksMax": 1}),
        ({"pids": {"limit": -1}}, {"TasksMax": INFINITY}, {"TasksMax": INFINITY}),
        ({"blockIO": {"weight": 300}}, {"IOWeight": 2930}, {"BlockIOWeight": 300}),
        ({"cpu": {}, "memory": {}, "pids": {}, "devices": []}, {}, {}),
    ],
)
def test_limits(resources: dict[str, Any], v2: dict[str, Any], v1: dict[str, Any]) -> None:
    assert words(resources) == v2
    assert words(resources, v2=False) == v1


@pytest.mark.parametrize(
    ("quota", "period", "expected"),
    [
        (50000, 100000, {"CPUQuotaPerSecUSec": 500000, "CPUQuotaPeriodUSec": 100000}),
        (12345, 50000, {"CPUQuotaPerSecUSec": 250000, "CPUQuotaPeriodUSec": 50000}),
        (30000, 0, {"CPUQuotaPerSecUSec": 300000}),
        (0, 40000, {"CPUQuotaPerSecUSec": INFINITY, "CPUQuotaPeriodUSec": 40000}),
        (-1, 0, {"CPUQuotaPerSecUSec": INFINITY}),
        (0, 0, {}),
    ],
)
def test_bandwidth(quota: int, period: int, expected: dict[str, int]) -> None:
    assert words({"cpu": {"quota": quota, "period": period}}) == expected


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("0", [0]),
        ("0-3,8", [0, 1, 2, 3, 8]),
        ("1,,63", [1, 63]),
        ("0-7:2/4", [0, 1, 4, 5]),
        ("", []),
        ("3-1", []),
        ("a", []),
        ("0-999999999", []),
        ("0-3:0/1", []),
        ("-1", []),
    ],
)
def test_bitmasks(text: str, bits: list[int]) -> None:
    mask = properties.bitmask(text)
    assert [n for n in range(len(mask) * 8) if mask[n // 8] >> n % 8 & 1] == bits


def test_what_an_older_systemd_does_not_know() -> None:
    asked = {"cpu": {"cpus": "0", "mems": "0", "idle": 1}}
    assert words(asked) == {"AllowedCPUs": b"\1", "AllowedMemoryNodes": b"\1", "CPUWeight": 0}
    assert words(asked, version=243) == {}


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("memory.max", "max", {"MemoryMax": INFINITY}),
        ("memory.high", "64M", {"MemoryHigh": 64 << 20}),
        ("memory.min", "100", {"MemoryMin": 100}),
        ("memory.swap.max", "0", {"MemorySwapMax": 0}),
        ("pids.max", "9", {"TasksMax": 9}),
        ("cpu.weight", "77", {"CPUWeight": 77}),
        ("cpu.idle", "1", {"CPUWeight": 0}),
        (
            "cpu.max",
            "5000 10000",
            {"CPUQuotaPeriodUSec": 10000, "CPUQuotaPerSecUSec": 500000},
        ),
        ("cpu.max", "max", {"CPUQuotaPerSecUSec": INFINITY}),
        ("cpu.max", "what", {"CPUQuotaPerSecUSec": INFINITY}),
        ("cpuset.cpus", "0-1", {"AllowedCPUs": b"\3"}),
        ("memory.max", "many", {}),
        ("memory.oom.group", "1", {}),
        ("hugetlb.2MB.max", "0", {}),
    ],
)
def test_unified(key: str, value: str, expected: dict[str, Any]) -> None:
    found = {name: row[1] for name, row in unified.properties({key: value}, 252)}
    assert found == expected


def test_a_scope_takes_the_init_in() -> None:
    unit = names.unit(None, "web", user=False)
    found = dict(properties.of_unit(unit, "pyruntime container web", 7, unified=True))
    assert found["PIDs"] == ("au", [7]) and found["Slice"] == ("s", "system.slice")
    assert found["Delegate"] == ("b", True) and found["DefaultDependencies"] == ("b", False)
    assert {name for name in found if name.endswith("Accounting")} == {
        "MemoryAccounting",
        "CPUAccounting",
        "IOAccounting",
        "TasksAccounting",
    }
    old = dict(properties.of_unit(unit, "x", 7, unified=False))
    assert "BlockIOAccounting" in old and "IOAccounting" not in old


def test_a_slice_takes_nobody_in() -> None:
    unit = names.unit("::a-b.slice", "web", user=False)
    found = dict(properties.of_unit(unit, "x", 7, unified=True))
    assert found["Wants"] == ("as", ["a.slice"])
    assert not {"PIDs", "Delegate", "Slice"} & set(found)


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("MemoryMax", "t", INFINITY),
        ("MemoryLow", "t", 0),
        ("AllowedCPUs", "ay", b""),
        ("DevicePolicy", "s", "auto"),
    ],
)
def test_taking_back(name: str, kind: str, value: Any) -> None:
    assert properties.unset(name, kind) == (kind, value)


def allowed(*rows: dict[str, Any]) -> dict[str, str] | None:
    """What DeviceAllow says beyond the standard nodes; None for everything."""
    policy, *lists = devices.properties({"devices": list(rows)}, DRIVERS, unified=False)
    assert all(row[0] == "DeviceAllow" for row in lists) and lists[0][1] == ("a(ss)", [])
    if policy != ("DevicePolicy", ("s", "strict")):
        assert policy == ("DevicePolicy", ("s", "auto")) and len(lists) == 1
        return None
    found = dict(lists[1][1][1])
    assert found.pop("/dev/char/1:3") == "rwm" and found.pop("char-pts") == "rwm"
    standard = {"char-*", "block-*"} | {
        f"/dev/char/{n}" for n in ("1:5", "1:7", "1:8", "1:9", "5:0", "5:2", "10:200")
    }
    assert standard <= set(found)
    return {word: access for word, access in found.items() if word not in standard}


def rule(allow: bool, text: str) -> dict[str, Any]:
    kind, numbers, access = text.split()
    major, minor = (int(n) if n != "*" else -1 for n in numbers.split(":"))
    return {"allow": allow, "type": kind, "major": major, "minor": minor, "access": access}


EVERYTHING = {"allow": True, "access": "rwm"}
NOTHING = {"allow": False, "access": "rwm"}


def test_devices() -> None:
    assert allowed() == {}
    assert allowed(NOTHING, rule(True, "c 1:11 r")) == {"/dev/char/1:11": "r"}
    assert allowed(rule(True, "b 8:0 rw"), rule(True, "c 4:* rw")) == {
        "/dev/block/8:0": "rw",
        "char-/dev/vc/0": "rw",
    }
    assert allowed(rule(True, "b 8:* rwm")) == {"block-sd": "rwm"}
    assert allowed(rule(True, "c 1:11 rw"), rule(False, "c 1:11 w")) == {"/dev/char/1:11": "r"}
    assert allowed(rule(True, "c 1:11 rw"), rule(False, "c 1:* rw")) == {}
    assert allowed(rule(True, "c 1:11 rw"), NOTHING) == {}
    assert allowed(EVERYTHING) is None
    assert allowed(EVERYTHING, rule(False, "c 1:11 r")) is None


def test_devices_without_a_word() -> None:
    for text in ("c 99:* r", "c *:5 r"):
        assert allowed(rule(True, text)) == {}
    # A hole in a wildcard, which v1 itself refuses.
    assert allowed(rule(True, "c 1:* r"), rule(False, "c 1:11 r")) == {"char-mem": "r"}


def test_no_list_on_v2() -> None:
    rows = [rule(True, "c 1:11 r")]
    none = [("DevicePolicy", ("s", "auto")), ("DeviceAllow", ("a(ss)", []))]
    assert devices.properties({"devices": rows}, DRIVERS, unified=True) == none
