"""The cgroup driver beside runc: the same places, and the same values read back for the same resources."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyruntime.cgroup import detect
from tests.lib.box import Box, unique_id
from tests.lib.bundle import Bundle
from tests.lib.groups import Maker

LAYOUT = detect.layout()
pytestmark = pytest.mark.skipif(LAYOUT.mode == "v2", reason="the driver of v1 and hybrid hosts")

MIB = 1 << 20
TYPICAL: dict[str, Any] = {
    "memory": {"limit": 64 * MIB, "swap": 128 * MIB, "reservation": 32 * MIB},
    "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0"},
    "pids": {"limit": 100},
    "devices": [{"allow": False, "access": "rwm"}],
}


RUNC = shutil.which("runc")
FILES = {
    "memory": "memory.limit_in_bytes memory.memsw.limit_in_bytes memory.soft_limit_in_bytes"
    " memory.swappiness memory.oom_control memory.use_hierarchy",
    "cpu": "cpu.shares cpu.cfs_quota_us cpu.cfs_period_us cpu.cfs_burst_us cpu.idle",
    "cpuset": "cpuset.cpus cpuset.mems cpuset.cpu_exclusive",
    "pids": "pids.max",
    "devices": "devices.list",
    "blkio": "blkio.throttle.read_bps_device blkio.throttle.write_iops_device",
    "freezer": "freezer.state",
}
MATRIX: dict[str, dict[str, Any]] = {
    "nothing": {},
    "typical": TYPICAL,
    "zeros": {
        "memory": {"limit": 0, "swap": 0, "reservation": 0},
        "cpu": {"shares": 0, "quota": 0, "period": 0},
        "blockIO": {"weight": 0},
    },
    "unlimited": {"memory": {"limit": -1}, "cpu": {"quota": -1}, "pids": {"limit": -1}},
    "memory": {"memory": {"limit": 40 * MIB, "swappiness": 0, "disableOOMKiller": True}},
    "memory without swap limit": {"memory": {"limit": 40 * MIB, "swap": -1}},
    "period alone": {"cpu": {"period": 50000}},
    "shares at the bounds": {"cpu": {"shares": 2}},
    "cpuset": {"cpu": {"cpus": "0-1", "mems": "0"}},
    "throttle": {
        "blockIO": {
            "throttleReadBpsDevice": [{"major": 7, "minor": 0, "rate": 1048576}],
            "throttleWriteIOPSDevice": [{"major": 7, "minor": 0, "rate": 100}],
        }
    },
    "privileged": {"devices": [{"allow": True, "access": "rwm"}]},
    "devices": {
        "devices": [
            {"allow": False, "access": "rwm"},
            {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "wr"},
            {"allow": True, "type": "b", "major": 7, "access": "rwm"},
            {"allow": True, "type": "c", "minor": 4, "access": "r"},
            {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "m"},
            {"allow": False, "type": "c", "major": 10, "minor": 229, "access": "w"},
        ]
    },
}
ABSENT = "absent"


def values(directories: Callable[[str], str | None]) -> dict[str, str]:
    found = {}
    for controller, names in FILES.items():
        directory = directories(controller)
        for name in names.split():
            path = Path(directory or "/nonexistent", name)
            found[name] = path.read_text() if path.exists() else ABSENT
            if name == "devices.list":  # runc sorts by number; here the config's order stays
                found[name] = "\n".join(sorted(found[name].splitlines()))
    return found


@pytest.fixture
def runc(monkeypatch: pytest.MonkeyPatch) -> None:
    if RUNC is None:
        pytest.skip("runc is not installed")
    monkeypatch.setenv("RUNTIME", RUNC)


@pytest.mark.parametrize("case", MATRIX)
def test_the_same_values_as_under_runc(runc: None, maker: Maker, bundle: Bundle, case: str) -> None:
    resources = MATRIX[case]
    ours = maker.prepare("/" + unique_id(), resources)
    bundle.set("linux.resources", resources).set("linux.cgroupsPath", "/" + unique_id())
    with Box(bundle) as box:
        box.create()
        theirs = parse_cgroups(box.pid)

        def under_runc(controller: str) -> str | None:
            row = LAYOUT.controller(controller)
            return row.mountpoint + theirs[row.name] if row else None

        expected = values(under_runc)
    got = values(lambda controller: ours.paths.get(hierarchy_of(controller)))
    assert got == expected


def hierarchy_of(controller: str) -> str:
    row = LAYOUT.controller(controller)
    return row.name if row else "none"


def parse_cgroups(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return {name: path for _, name, path in (line.split(":", 2) for line in lines)}


@pytest.mark.covers("linux.cgroupsPath")
@pytest.mark.parametrize("form", [None, "{}", "{}/below", "/{}/below", "/{}/a/../b"])
def test_the_same_places_as_under_runc(
    runc: None, maker: Maker, bundle: Bundle, form: str | None
) -> None:
    """/proc/self/cgroup of a container does not tell the two runtimes apart."""
    name = unique_id()
    path = form and form.format(name)
    bundle.set("linux.cgroupsPath", path)
    with Box(bundle, container_id=name) as box:
        box.create()
        theirs = {key: value for key, value in parse_cgroups(box.pid).items() if name in value}
    # misc is known since 1.1.6.
    known = [row for row in LAYOUT.joined() if row.name != "misc" or "misc" in theirs]
    # runc leaves the parents it made.
    for directory in (row.mountpoint + theirs[row.name] for row in known):
        parent = Path(directory).parent
        if name in parent.name:
            parent.rmdir()
    ours = maker.prepare(path, {}, name)
    assert {row.name: ours.relative[row.name] for row in known} == theirs


@pytest.mark.parametrize("private", [False, True])
def test_the_same_mounts_as_under_runc(
    runc: None, maker: Maker, bundle: Bundle, private: bool
) -> None:
    """What detect.mounts promises is what a container's /sys/fs/cgroup has under runc."""
    bundle.mount("/sys", "sysfs", "sysfs").mount("/sys/fs/cgroup", "cgroup", "cgroup")
    if private:
        bundle.add("linux.namespaces", {"type": "cgroup"})
    with Box(bundle) as box:
        box.create()
        relative = parse_cgroups(box.pid)
        lines = Path(f"/proc/{box.pid}/mountinfo").read_text().splitlines()
        fields = [line.split() for line in lines if " - cgroup " in line]
        theirs = [(row[4].rpartition("/")[2], row[3]) for row in fields]
        links = {
            path.name: str(path.readlink())
            for path in Path(f"/proc/{box.pid}/root/sys/fs/cgroup").iterdir()
            if path.is_symlink()
        }
    rows = detect.mounts(detect.layout(), relative)
    assert [name for name, _, _ in rows] == [name for name, _ in theirs]
    if not private:
        for (name, source, _), (_, root) in zip(rows, theirs, strict=True):
            row = next(row for row in LAYOUT.hierarchies if row.mountpoint.endswith("/" + name))
            assert source == row.mountpoint + (root if root != "/" else "")
    assert links == {link: name for name, _, found in rows for link in found}
