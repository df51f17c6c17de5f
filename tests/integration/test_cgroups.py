"""linux.cgroupsPath and linux.resources on cgroup v1 and hybrid hosts: paths, values, effect, removal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lib import facts, leaks
from tests.lib.box import Box, refused, run, unique_id
from tests.lib.bundle import Bundle

pytestmark = pytest.mark.covers(
    "linux.cgroupsPath",
    "linux.resources.memory",
    "linux.resources.cpu",
    "linux.resources.pids",
    "linux.resources.blockIO",
)

MIB = 1 << 20


def hierarchies() -> dict[str, Path]:
    """{"memory": /sys/fs/cgroup/memory, …, "": the unified one}, from the mount table."""
    found = {}
    for mount in facts.own_mounts():
        if mount.kind == "cgroup2":
            found[""] = Path(mount.point)
        elif mount.kind == "cgroup":
            names = facts.parse_cgroups(Path("/proc/self/cgroup").read_text())
            for name in mount.super_options & names.keys():
                found[name] = Path(mount.point)
    return found


def controllers() -> dict[str, Path]:
    """The v1 hierarchies alone: the joined ones of every runtime."""
    return {name: path for name, path in hierarchies().items() if name}


def read(box: Box, controller: str, name: str, path: str | None = None) -> str:
    return (hierarchies()[controller] / (path or box.id) / name).read_text().strip()


def own_path(controller: str) -> str:
    return facts.parse_cgroups(Path("/proc/self/cgroup").read_text())[controller]


def below_own(controller: str, name: str) -> str:
    return "/" + f"{own_path(controller)}/{name}".strip("/")


@pytest.fixture
def parent() -> Iterator[str]:
    """A name for parents the runtime has to make; whatever is left of them is removed."""
    name = unique_id()
    yield name
    for controller, top in hierarchies().items():
        for place in (top / name, top / below_own(controller, name)[1:]):
            for directory, _, _ in os.walk(place, topdown=False):
                os.rmdir(directory)


def test_an_absolute_path(bundle: Bundle) -> None:
    with Box(bundle.namespace("cgroup")) as box:
        box.create()
        for name, top in controllers().items():
            assert str(box.pid) in (top / box.id / "cgroup.procs").read_text().split(), name
        inside = facts.parse_cgroups(Path(f"/proc/{box.pid}/cgroup").read_text())
        assert {inside[name] for name in controllers()} == {f"/{box.id}"}


def test_seen_from_inside_without_a_cgroup_namespace(bundle: Bundle) -> None:
    with Box(bundle) as box:
        paths = box.run(check=True).facts.cgroups
        assert {paths[name] for name in controllers()} == {f"/{box.id}"}


def test_a_nested_path_whose_parents_are_missing(bundle: Bundle, parent: str) -> None:
    with Box(bundle.set("linux.cgroupsPath", f"/{parent}/a/b/c")) as box:
        box.create()
        for top in controllers().values():
            assert (top / parent / "a/b/c").is_dir()
        box.delete()
        for top in controllers().values():
            assert not (top / parent / "a/b/c").exists()


def test_two_containers_below_one_parent(bundle: Bundle, tmp_path: Path, parent: str) -> None:
    """The slice of a pod: the first one's delete must not take it from the second."""
    other = Bundle(tmp_path / "other").inside("pause").set("linux.cgroupsPath", f"/{parent}/two")
    with Box(other) as second:
        with Box(bundle.set("linux.cgroupsPath", f"/{parent}/one")) as first:
            first.create()
            second.create()
        for top in controllers().values():
            assert (top / parent / "two").is_dir() and not (top / parent / "one").exists()


def test_a_relative_path_is_below_the_callers_cgroup(bundle: Bundle, parent: str) -> None:
    with Box(bundle.set("linux.cgroupsPath", f"{parent}/x")) as box:
        box.create()
        inside = facts.parse_cgroups(Path(f"/proc/{box.pid}/cgroup").read_text())
        for name in controllers():
            assert inside[name] == below_own(name, f"{parent}/x")


def test_without_a_path_it_is_the_id_below_the_callers_cgroup(bundle: Bundle) -> None:
    with Box(bundle.set("linux.cgroupsPath", None)) as box:
        box.create()
        inside = facts.parse_cgroups(Path(f"/proc/{box.pid}/cgroup").read_text())
        for name in controllers():
            assert inside[name] == below_own(name, box.id)


@pytest.mark.parametrize("path", ["/../{id}", "/a/../../{id}", "/./{id}", "//{id}"])
def test_dots_do_not_climb(bundle: Bundle, path: str) -> None:
    """R-37: cleaned as runc does, or refused; never a directory above the hierarchy's top."""
    with Box(bundle) as box:
        bundle.set("linux.cgroupsPath", path.format(id=box.id))
        outcome = box.create(check=False)
        assert outcome.code in (0, 1)
        if outcome.code == 0:
            inside = facts.parse_cgroups(Path(f"/proc/{box.pid}/cgroup").read_text())
            assert {inside[name] for name in controllers()} == {f"/{box.id}"}


def test_a_relative_path_does_not_climb(bundle: Bundle) -> None:
    with Box(bundle) as box:
        bundle.set("linux.cgroupsPath", f"../../../{box.id}")
        if box.create(check=False).code == 0:
            inside = facts.parse_cgroups(Path(f"/proc/{box.pid}/cgroup").read_text())
            for name in controllers():
                assert inside[name].startswith(os.path.normpath(own_path(name)))


def test_removed_everywhere_with_what_the_container_made(bundle: Bundle) -> None:
    """A payload with a writable cgroup mount makes groups of its own below; delete takes them too."""
    bundle.namespace("cgroup").mount("/sys/fs/cgroup", "cgroup", "cgroup", "rw").privileged()
    bundle.inside(
        "mkdir",
        "/sys/fs/cgroup/pids/sub",
        "--",
        "mkdir",
        "/sys/fs/cgroup/pids/sub/deep",
        "--",
        "pause",
    )
    with Box(bundle) as box:
        box.create()
        box.start()
        box.expect("pause")
        assert box.lines[0]["errno"] == "" and box.lines[1]["errno"] == ""
        assert (hierarchies()["pids"] / box.id / "sub/deep").is_dir()
        box.kill("KILL")
        box.wait()
        box.delete()
        assert not [path for path in leaks.marked_cgroups() if box.id in path]


def test_an_occupied_cgroup_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    with Box(Bundle(tmp_path / "first").inside("pause")) as first:
        first.create()
        message = refused(bundle.set("linux.cgroupsPath", f"/{first.id}"))
        assert "not empty" in message
        assert first.status == "created"


VALUES: list[tuple[str, Any, list[tuple[str, str, str]]]] = [
    ("memory.limit", 64 * MIB, [("memory", "memory.limit_in_bytes", str(64 * MIB))]),
    ("memory.reservation", 32 * MIB, [("memory", "memory.soft_limit_in_bytes", str(32 * MIB))]),
    ("memory.swappiness", 10, [("memory", "memory.swappiness", "10")]),
    ("cpu.shares", 512, [("cpu", "cpu.shares", "512")]),
    ("cpu.quota", 50000, [("cpu", "cpu.cfs_quota_us", "50000")]),
    ("cpu.period", 50000, [("cpu", "cpu.cfs_period_us", "50000")]),
    ("cpu.cpus", "0", [("cpuset", "cpuset.cpus", "0")]),
    ("cpu.mems", "0", [("cpuset", "cpuset.mems", "0")]),
    ("pids.limit", 77, [("pids", "pids.max", "77")]),
    ("pids.limit", -1, [("pids", "pids.max", "max")]),
]


@pytest.mark.parametrize(
    ("path", "value", "files"), VALUES, ids=[f"{row[0]}={row[1]}" for row in VALUES]
)
def test_each_value(
    bundle: Bundle, path: str, value: Any, files: list[tuple[str, str, str]]
) -> None:
    with Box(bundle.set(f"linux.resources.{path}", value)) as box:
        box.create()
        for controller, name, wanted in files:
            assert read(box, controller, name) == wanted


COMBINED: list[tuple[dict[str, Any], dict[tuple[str, str], str]]] = [
    (
        {"memory": {"limit": 64 * MIB, "swap": 128 * MIB}},
        {
            ("memory", "memory.limit_in_bytes"): str(64 * MIB),
            ("memory", "memory.memsw.limit_in_bytes"): str(128 * MIB),
        },
    ),
    (
        {"memory": {"limit": 64 * MIB, "swap": 64 * MIB, "reservation": 16 * MIB}},
        {
            ("memory", "memory.memsw.limit_in_bytes"): str(64 * MIB),
            ("memory", "memory.soft_limit_in_bytes"): str(16 * MIB),
        },
    ),
    (
        {"cpu": {"quota": 20000, "period": 10000}},
        {("cpu", "cpu.cfs_quota_us"): "20000", ("cpu", "cpu.cfs_period_us"): "10000"},
    ),
    (
        {"cpu": {"quota": 900000, "period": 1000000}},
        {("cpu", "cpu.cfs_quota_us"): "900000", ("cpu", "cpu.cfs_period_us"): "1000000"},
    ),
    ({"cpu": {"quota": -1, "period": 100000}}, {("cpu", "cpu.cfs_quota_us"): "-1"}),
    # Engines send zeros for "leave alone".
    (
        {
            "memory": {"limit": 0, "reservation": 0},
            "cpu": {"shares": 0, "quota": 0, "period": 0},
            "blockIO": {"weight": 0},
        },
        {("cpu", "cpu.shares"): "1024", ("cpu", "cpu.cfs_quota_us"): "-1"},
    ),
    (
        {"memory": {"limit": 64 * MIB, "disableOOMKiller": False}},
        {("memory", "memory.limit_in_bytes"): str(64 * MIB)},
    ),
]


@pytest.mark.parametrize(("resources", "wanted"), COMBINED)
def test_values_together(
    bundle: Bundle, resources: dict[str, Any], wanted: dict[tuple[str, str], str]
) -> None:
    with Box(bundle.set("linux.resources", resources)) as box:
        box.create()
        assert {key: read(box, *key) for key in wanted} == wanted


def test_the_oom_killer_can_be_disabled(bundle: Bundle) -> None:
    with Box(
        bundle.set("linux.resources.memory", {"limit": 64 * MIB, "disableOOMKiller": True})
    ) as box:
        box.create()
        assert "oom_kill_disable 1" in read(box, "memory", "memory.oom_control")


def test_throttles(bundle: Bundle) -> None:
    device = os.stat("/").st_dev
    entry = {"major": os.major(device), "minor": os.minor(device), "rate": 1048576}
    with Box(
        bundle.set(
            "linux.resources.blockIO",
            {"throttleReadBpsDevice": [entry], "throttleWriteIOPSDevice": [entry]},
        )
    ) as box:
        box.create()
        line = f"{entry['major']}:{entry['minor']} 1048576"
        assert read(box, "blkio", "blkio.throttle.read_bps_device") == line
        assert read(box, "blkio", "blkio.throttle.write_iops_device") == line


def test_limits_stand_before_the_first_hook(bundle: Bundle) -> None:
    limit = 96 * MIB
    log = bundle.directory / "log"
    with Box(bundle.set("linux.resources.memory.limit", limit)) as box:
        path = hierarchies()["memory"] / box.id / "memory.limit_in_bytes"
        bundle.hook("prestart", "/bin/sh", "-c", f"cat {path} > {log}")
        box.create()
        assert log.read_text().strip() == str(limit)


def test_cpuset_by_effect(bundle: Bundle) -> None:
    facts_ = run(bundle.set("linux.resources.cpu", {"cpus": "1", "mems": "0"})).facts
    assert facts_.affinity == [1]


def test_pids_by_effect(bundle: Bundle) -> None:
    line = run(bundle.set("linux.resources.pids.limit", 8).inside("forks", "20")).lines[0]
    assert (line["errno"], line["made"]) == ("EAGAIN", 7)


def test_memory_by_effect(bundle: Bundle) -> None:
    """The program is killed; the runtime's own part fits in a small limit."""
    bundle.set("linux.resources.memory", {"limit": 24 * MIB, "swap": 24 * MIB})
    outcome = run(bundle.inside("alloc", "4", "--", "alloc", "64"))
    assert [line["cmd"] for line in outcome.lines] == ["alloc"]
    assert outcome.code == 137


@pytest.mark.slow
def test_quota_by_effect(bundle: Bundle) -> None:
    """A fifth of a processor: 100 ms of work take half a second."""
    line = run(
        bundle.set("linux.resources.cpu", {"quota": 20000, "period": 100000}).inside("spin", "100")
    ).lines[0]
    assert line["wall_ms"] > 250


@pytest.mark.parametrize("options", [["ro"], ["rw"], []], ids=["ro", "rw", "default"])
@pytest.mark.parametrize("namespace", [True, False])
def test_a_cgroup_mount(bundle: Bundle, options: list[str], namespace: bool) -> None:
    """/sys/fs/cgroup shows every hierarchy, and only the container's own group as its top."""
    bundle.mount(
        "/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", *options
    )
    if namespace:
        bundle.namespace("cgroup")
    bundle.inside(
        "report",
        "--",
        "cat",
        "/sys/fs/cgroup/pids/pids.max",
        "--",
        "write",
        "/sys/fs/cgroup/pids/pids.max",
        "50",
    )
    bundle.set("linux.resources.pids.limit", 60)
    outcome = run(bundle)
    seen = outcome.facts
    kinds = {
        mount.point: mount for mount in seen.mounts if mount.point.startswith("/sys/fs/cgroup")
    }
    assert kinds["/sys/fs/cgroup"].kind == "tmpfs"
    for name in ("memory", "cpu", "pids", "devices", "freezer", "cpuset", "blkio", "systemd"):
        assert kinds[f"/sys/fs/cgroup/{name}"].kind == "cgroup"
        assert ("ro" in kinds[f"/sys/fs/cgroup/{name}"].options) == (options == ["ro"])
    assert outcome.lines[1]["data"] == "60\n"
    assert outcome.lines[2]["errno"] == ("EROFS" if options == ["ro"] else "")


BAD: dict[str, dict[str, Any]] = {
    "swap below limit": {"memory": {"limit": 64 * MIB, "swap": 1}},
    "processor 99": {"cpu": {"cpus": "99"}},
    "words for cpus": {"cpu": {"cpus": "zero"}},
    "two lines for cpus": {"cpu": {"cpus": "0\n1"}},
    "path for cpus": {"cpu": {"cpus": "../../x"}},
    "period 1": {"cpu": {"period": 1}},
    "swappiness 101": {"memory": {"swappiness": 101}},
    "one of three": {"memory": {"limit": 64 * MIB}, "pids": {"limit": 5}, "cpu": {"quota": 1}},
    "path for page size": {"hugepageLimits": [{"pageSize": "../x", "limit": 1}]},
    "path for unified": {"unified": {"../memory.max": "1"}},
    "text for a number": {"memory": {"limit": "64m"}},
}


@pytest.mark.parametrize("name", BAD)
def test_values_that_cannot_be(bundle: Bundle, name: str) -> None:
    """One sentence, status 1, no cgroup left (R-25)."""
    refused(bundle.set("linux.resources", BAD[name]))


def test_a_foreign_cgroup_is_not_touched(bundle: Bundle) -> None:
    """Values of the parent are as before, whatever the container's are."""
    files = [
        "memory/memory.limit_in_bytes",
        "cpu/cpu.shares",
        "cpuset/cpuset.cpus",
        "pids/cgroup.procs",
    ]
    before = [len((Path("/sys/fs/cgroup") / name).read_text().split()) for name in files[:3]]
    run(
        bundle.set(
            "linux.resources", {"memory": {"limit": 64 * MIB}, "cpu": {"shares": 100, "cpus": "0"}}
        )
    )
    assert [
        len((Path("/sys/fs/cgroup") / name).read_text().split()) for name in files[:3]
    ] == before
