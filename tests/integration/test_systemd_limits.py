"""The systemd cgroup driver: limits as properties of the unit and in the files, and their changes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.lib.bundle import Bundle
from tests.lib.groups import V2, chosen
from tests.lib.units import created, needs_systemd, systemctl

pytestmark = needs_systemd
MIB = 1 << 20
Values = dict[str, str]


LIMITS: list[tuple[dict[str, Any], Values, Values, Values]] = [
    # resources, what systemd says on v2, the files of v1, those of v2
    (
        {"memory": {"limit": 64 * MIB, "reservation": 32 * MIB}},
        {"MemoryMax": str(64 * MIB)},
        {"memory.limit_in_bytes": str(64 * MIB), "memory.soft_limit_in_bytes": str(32 * MIB)},
        {"memory.max": str(64 * MIB), "memory.low": str(32 * MIB)},
    ),
    ({"pids": {"limit": 33}}, {"TasksMax": "33"}, {"pids.max": "33"}, {"pids.max": "33"}),
    (
        {"cpu": {"quota": 12000, "period": 50000}},
        {"CPUQuotaPerSecUSec": "240ms", "CPUQuotaPeriodUSec": "50ms"},
        {"cpu.cfs_quota_us": "12000", "cpu.cfs_period_us": "50000"},
        {"cpu.max": "12000 50000"},
    ),
    (
        {"cpu": {"cpus": "0", "mems": "0"}},
        {"AllowedCPUs": "0", "AllowedMemoryNodes": "0"},
        {"cpuset.cpus": "0", "cpuset.mems": "0"},
        {"cpuset.cpus": "0", "cpuset.mems": "0"},
    ),
    (
        {"cpu": {"shares": 262144}},
        {"CPUWeight": "10000"},
        {"cpu.shares": "262144"},
        {"cpu.weight": "10000"},
    ),
]


def shown(resources: dict[str, Any], v2: Values) -> Values:
    """What systemd says of it; on v1 it has other words for some."""
    if V2:
        return v2
    if "memory" in resources:
        return {"MemoryLimit": v2["MemoryMax"]}
    return {"CPUShares": "262144"} if "CPUWeight" in v2 else v2


@pytest.mark.covers(
    "linux.resources.memory.limit",
    "linux.resources.memory.reservation",
    "linux.resources.cpu.quota",
    "linux.resources.cpu.period",
    "linux.resources.cpu.cpus",
    "linux.resources.cpu.mems",
    "linux.resources.cpu.shares",
    "linux.resources.pids.limit",
)
@pytest.mark.parametrize(("resources", "properties", "v1", "v2"), LIMITS)
def test_limits(
    bundle: Bundle, resources: dict[str, Any], properties: Values, v1: Values, v2: Values
) -> None:
    """By properties and by files; a reload of systemd's leaves them."""
    expected = chosen(v1, v2)
    assert expected is not None
    wanted = shown(resources, properties)
    with created(bundle.set("linux.resources", resources)) as box:
        assert box.show(*wanted) == wanted
        assert {name: box.read(name) for name in expected} == dict(expected)
        systemctl("daemon-reload")
        assert box.show(*wanted) == wanted
        assert {name: box.read(name) for name in expected} == dict(expected)


def test_limits_stand_before_the_first_hook(bundle: Bundle, tmp_path: Path) -> None:
    script = 'read -r state; pid=${state#*\\"pid\\":}; cat /proc/${pid%%[!0-9 ]*}/cgroup >"$1"'
    hook = {"path": "/bin/sh", "args": ["sh", "-c", script, "sh", str(tmp_path / "seen")]}
    bundle.set("hooks", {"createRuntime": [hook]}).set("linux.resources", {"pids": {"limit": 33}})
    with created(bundle) as box:
        seen = (tmp_path / "seen").read_text()
        assert f"/system.slice/{box.unit}\n" in seen


def test_update(bundle: Bundle) -> None:
    with created(bundle.set("linux.resources", {"memory": {"limit": 64 * MIB}})) as box:
        box.start()
        box.call("update", "--memory", "96m", "--pids-limit", "44", box.id, check=True)
        wanted = {"MemoryMax" if V2 else "MemoryLimit": str(96 * MIB), "TasksMax": "44"}
        assert box.show(*wanted) == wanted
        file = "memory.max" if V2 else "memory.limit_in_bytes"
        assert (box.read(file), box.read("pids.max")) == (str(96 * MIB), "44")
        systemctl("daemon-reload")
        assert (box.read(file), box.read("pids.max")) == (str(96 * MIB), "44")


def test_update_by_a_document_on_stdin(bundle: Bundle) -> None:
    """It is read once, by whoever carries it out."""
    with created(bundle) as box:
        box.start()
        reader, writer = os.pipe()
        os.write(writer, b'{"pids": {"limit": 44}}')
        os.close(writer)
        box.stdin = reader
        box.call("update", "--resources", "-", box.id, check=True)
        os.close(reader)
        assert box.read("pids.max") == "44"


def test_a_refused_update_changes_nothing(bundle: Bundle) -> None:
    with created(bundle.set("linux.resources", {"pids": {"limit": 33}})) as box:
        box.start()
        flags = ["--pids-limit", "44", "--memory", "64m", "--cpuset-cpus", "9999"]
        outcome = box.call("update", *flags, box.id)
        assert outcome.code == 1 and "Traceback" not in outcome.message, str(outcome)
        memory = "MemoryMax" if V2 else "MemoryLimit"
        assert box.show("TasksMax", memory) == {"TasksMax": "33", memory: "infinity"}
        assert box.read("pids.max") == "33"


KMSG = {"type": "c", "major": 1, "minor": 11}


@pytest.mark.covers("linux.resources.devices")
@pytest.mark.parametrize("access", ["w", ""])
def test_devices(bundle: Bundle, access: str) -> None:
    """Before and after a reload of systemd's."""
    rows = [{"allow": False, "access": "rwm"}]
    if access:
        rows.append({"allow": True, "access": access, **KMSG})
    bundle.set("linux.resources", {"devices": rows})
    bundle.set("linux.devices", [{"path": "/dev/log-of-kernel", **KMSG}])
    with created(bundle) as box:
        box.start()
        for _ in range(2):
            said = [
                box.call("exec", box.id, "/inside", "open", path, how).lines[0]["errno"]
                for path, how in (
                    ("/dev/log-of-kernel", "w"),
                    ("/dev/log-of-kernel", "rw"),
                    ("/dev/null", "rw"),
                )
            ]
            assert said == ["" if access else "EPERM", "EPERM", ""]
            systemctl("daemon-reload")
        # On v2 a program of ours decides, and systemd has none.
        assert V2 or box.show("DevicePolicy") == {"DevicePolicy": "strict"}
