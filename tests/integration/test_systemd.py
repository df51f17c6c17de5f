"""The systemd cgroup driver, where systemd runs: `make vm` has a machine with it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lib.box import Box, unique_id
from tests.lib.bundle import Bundle
from tests.lib.groups import V2, chosen, hierarchies
from tests.lib.person import Person, PersonBox, rootless
from tests.lib.units import PREFIX, RUNNING, UnitBox, is_loaded, needs_systemd, show, systemctl

MIB = 1 << 20
Values = dict[str, str]


@contextmanager
def created(bundle: Bundle, slice_: str = "", *words: str) -> Iterator[UnitBox]:
    """In the unit `pt-ID.scope`, which is gone afterwards."""
    with UnitBox(bundle.inside(*(words or ("pause",)))) as box:
        bundle.set("linux.cgroupsPath", f"{slice_}:pt:{box.id}")
        box.create()
        yield box
        unit = box.unit
    assert not is_loaded(unit)


@pytest.mark.skipif(RUNNING, reason="systemd runs here")
def test_without_systemd(bundle: Bundle) -> None:
    with UnitBox(bundle) as box:
        bundle.set("linux.cgroupsPath", None)
        outcome = box.create(check=False)
        assert outcome.code == 1
        assert "systemd not running on this host" in outcome.message


@needs_systemd
@pytest.mark.covers("linux.cgroupsPath")
def test_a_scope_by_default(bundle: Bundle) -> None:
    with UnitBox(bundle.inside("pause")) as box:
        bundle.set("linux.cgroupsPath", None)
        box.create()
        unit = f"{PREFIX}-{box.id}.scope"
        seen = show(unit, "Slice", "Delegate", "ControlGroup", "ActiveState")
        assert seen == {
            "Slice": "system.slice",
            "Delegate": "yes",
            "ControlGroup": f"/system.slice/{unit}",
            "ActiveState": "active",
        }
        box.start()
        assert box.status == "running"
    assert not is_loaded(unit)


@needs_systemd
def test_every_hierarchy_has_the_same_place(bundle: Bundle) -> None:
    with created(bundle) as box:
        rows = Path(f"/proc/{box.pid}/cgroup").read_text().split("\n")[:-1]
        paths = {row.split(":", 2)[1]: row.split(":", 2)[2] for row in rows}
        if not V2:
            paths.pop("", None)  # of a mixture, which runc leaves to systemd
            paths.pop("misc", None)  # too new for it
        assert set(paths.values()) == {f"/system.slice/{box.unit}"}


@needs_systemd
@pytest.mark.covers("linux.cgroupsPath")
def test_a_slice_in_a_slice(bundle: Bundle) -> None:
    top = unique_id()
    try:
        with created(bundle, f"{top}-inner.slice") as box:
            place = box.show("ControlGroup")["ControlGroup"]
            assert place == f"/{top}.slice/{top}-inner.slice/{box.unit}"
            assert show(f"{top}-inner.slice", "ActiveState")["ActiveState"] == "active"
    finally:
        systemctl("stop", f"{top}.slice")
        for mount in hierarchies().values():  # runc leaves them where systemd does not look
            for directory in (f"{top}.slice/{top}-inner.slice", f"{top}.slice"):
                if (mount / directory).exists():
                    (mount / directory).rmdir()


@needs_systemd
def test_a_slice_as_the_unit(bundle: Bundle) -> None:
    with UnitBox(bundle.inside("pause")) as box:
        bundle.set("linux.cgroupsPath", f"::{box.id}.slice")
        bundle.set("linux.resources", {"pids": {"limit": 50}})
        box.create()
        seen = show(f"{box.id}.slice", "ControlGroup", "TasksMax")
        assert seen == {"ControlGroup": f"/{box.id}.slice", "TasksMax": "50"}
        assert box.read("pids.max") == "50"
        box.start()
    assert show(f"{box.id}.slice", "ActiveState")["ActiveState"] == "inactive"


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


@needs_systemd
@pytest.mark.covers("linux.resources.memory", "linux.resources.cpu", "linux.resources.pids")
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


@needs_systemd
def test_limits_stand_before_the_first_hook(bundle: Bundle, tmp_path: Path) -> None:
    script = 'read -r state; pid=${state#*\\"pid\\":}; cat /proc/${pid%%[!0-9 ]*}/cgroup >"$1"'
    hook = {"path": "/bin/sh", "args": ["sh", "-c", script, "sh", str(tmp_path / "seen")]}
    bundle.set("hooks", {"createRuntime": [hook]}).set("linux.resources", {"pids": {"limit": 33}})
    with created(bundle) as box:
        seen = (tmp_path / "seen").read_text()
        assert f"/system.slice/{box.unit}\n" in seen


@needs_systemd
def test_a_whole_life(bundle: Bundle) -> None:
    """Only create is told of systemd."""
    with created(bundle, "", "echo", "ready", "--", "pause") as box:
        box.start()
        outcome = box.call("exec", box.id, "/inside", "cat", "/proc/self/cgroup")
        assert outcome.code == 0, str(outcome)
        box.call("pause", box.id, check=True)
        assert box.status == "paused"
        box.call("resume", box.id, check=True)
        assert box.call("ps", "--format", "json", box.id, check=True).out.strip() == f"[{box.pid}]"
        box.kill("KILL")
        assert box.wait() == 137
        assert box.status == "stopped"
        box.delete()
        assert not is_loaded(box.unit)


@needs_systemd
def test_run_in_the_foreground(bundle: Bundle) -> None:
    with UnitBox(bundle.inside("exit", "7")) as box:
        bundle.set("linux.cgroupsPath", f":pt:{box.id}")
        assert box.run().code == 7
        assert not is_loaded(box.unit)


@needs_systemd
def test_in_a_user_namespace(mapped: Bundle) -> None:
    """Its first process is not the one that systemd is given."""
    mapped.namespace("cgroup").set("linux.resources", {"pids": {"limit": 33}})
    with created(mapped) as box:
        assert box.show("ControlGroup")["ControlGroup"] == f"/system.slice/{box.unit}"
        assert box.read("pids.max") == "33"
        box.start()


@needs_systemd
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


@needs_systemd
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


@needs_systemd
def test_a_refused_update_changes_nothing(bundle: Bundle) -> None:
    with created(bundle.set("linux.resources", {"pids": {"limit": 33}})) as box:
        box.start()
        flags = ["--pids-limit", "44", "--memory", "64m", "--cpuset-cpus", "9999"]
        outcome = box.call("update", *flags, box.id)
        assert outcome.code == 1 and "Traceback" not in outcome.message, str(outcome)
        memory = "MemoryMax" if V2 else "MemoryLimit"
        assert box.show("TasksMax", memory) == {"TasksMax": "33", memory: "infinity"}
        assert box.read("pids.max") == "33"


@needs_systemd
@pytest.mark.covers("annotations")
def test_annotations(bundle: Bundle) -> None:
    annotations = {
        "org.systemd.property.TimeoutStopSec": "15",
        "org.systemd.property.CollectMode": "'inactive-or-failed'",
        "org.systemd.property.CPUWeight" if V2 else "org.systemd.property.CPUShares": "uint64 500",
    }
    with created(bundle.set("annotations", annotations)) as box:
        seen = box.show("TimeoutStopUSec", "CollectMode", "CPUWeight" if V2 else "CPUShares")
        assert set(seen.values()) == {"15s", "inactive-or-failed", "500"}


@needs_systemd
@pytest.mark.parametrize(
    ("name", "value"),
    [("Ab", "1"), ("Name.Dotted", "1"), ("TimeoutStopSec", "'5'"), ("TimeoutStopSec", "[")],
)
def test_wrong_annotations(bundle: Bundle, name: str, value: str) -> None:
    key = f"org.systemd.property.{name}"
    with UnitBox(bundle.set("annotations", {key: value})) as box:
        bundle.set("linux.cgroupsPath", f":pt:{box.id}")
        outcome = box.create(check=False)
        assert outcome.code == 1 and key in outcome.message, str(outcome)
        assert not is_loaded(box.unit)


@needs_systemd
def test_a_property_that_systemd_does_not_know(bundle: Bundle) -> None:
    with UnitBox(bundle.set("annotations", {"org.systemd.property.NoSuchThing": "1"})) as box:
        bundle.set("linux.cgroupsPath", f":pt:{box.id}")
        outcome = box.create(check=False)
        assert outcome.code == 1 and "NoSuchThing" in outcome.message, str(outcome)
        assert not is_loaded(box.unit)


@needs_systemd
@pytest.mark.parametrize("path", ["/machine/web", "a:b", "no-slice:pt:x", "a--b.slice:pt:x"])
def test_wrong_paths(bundle: Bundle, path: str) -> None:
    with UnitBox(bundle.set("linux.cgroupsPath", path)) as box:
        outcome = box.create(check=False)
        assert outcome.code == 1 and "Traceback" not in outcome.message, str(outcome)


@needs_systemd
def test_the_unit_of_another_container(bundle: Bundle) -> None:
    """It is not taken over, and neither the failure nor a delete stops it."""
    with created(bundle) as box:
        with UnitBox(bundle) as second:  # the same cgroupsPath
            outcome = second.create(check=False)
            assert outcome.code == 1 and box.unit in outcome.message, str(outcome)
            second.delete("--force")
        assert box.show("ActiveState") == {"ActiveState": "active"}
        box.start()
        assert box.status == "running"


@needs_systemd
def test_a_create_that_fails_later(bundle: Bundle) -> None:
    bundle.set("process.args", ["/nothing"])
    with UnitBox(bundle) as box:
        bundle.set("linux.cgroupsPath", f":pt:{box.id}")
        outcome = box.create(check=False)
        assert outcome.code == 1, str(outcome)
        assert not is_loaded(box.unit)


@needs_systemd
def test_a_killed_create_is_tidied_by_delete(bundle: Bundle) -> None:
    """By what it had written down; the init dies with it."""
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "kill -KILL $PPID; read -r x"]}
    bundle.set("hooks", {"createRuntime": [hook]})
    with UnitBox(bundle) as box:
        bundle.set("linux.cgroupsPath", f":pt:{box.id}")
        outcome = box.create(check=False)
        assert outcome.code == -signal.SIGKILL, str(outcome)
        box.delete("--force")
        assert not is_loaded(box.unit)


@needs_systemd
def test_a_unit_that_systemd_has_stopped(bundle: Bundle) -> None:
    with created(bundle) as box:
        box.start()
        systemctl("stop", box.unit)
        box.wait()
        assert box.status == "stopped"
        box.delete()


KMSG = {"type": "c", "major": 1, "minor": 11}


@needs_systemd
@pytest.mark.covers("linux.resources.devices")
@pytest.mark.parametrize("access", ["r", ""])
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
                    ("/dev/log-of-kernel", "r"),
                    ("/dev/log-of-kernel", "w"),
                    ("/dev/null", "rw"),
                )
            ]
            assert said == ["" if access else "EPERM", "EPERM", ""]
            systemctl("daemon-reload")
        assert box.show("DevicePolicy") == {"DevicePolicy": "strict"}


@needs_systemd
def test_by_the_other_option(bundle: Bundle) -> None:
    with Box(bundle.inside("pause")) as box:
        bundle.set("linux.cgroupsPath", f":pt:{box.id}").write(box.id)
        words = ["--bundle", str(bundle.directory), "--pid-file", str(box.scratch / "pid")]
        box.call("--cgroup-manager", "systemd", "create", *words, box.id, check=True)
        box.adopt(int((box.scratch / "pid").read_text()))
        assert is_loaded(f"pt-{box.id}.scope")


@needs_systemd
def test_an_ordinary_user_without_a_service_manager(person: Person) -> None:
    bundle = rootless(person.bundle(), person, person.single)
    with PersonBox(bundle, person) as box:
        bundle.write(box.id)
        words = ["--systemd-cgroup", "create", "--bundle", str(bundle.directory), box.id]
        outcome = box.call(*words)
        assert outcome.code == 1 and "Traceback" not in outcome.message, str(outcome)
        assert "no such file or directory" in outcome.message
