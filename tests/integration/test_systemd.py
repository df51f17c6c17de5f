"""The systemd cgroup driver, where systemd runs: `make vm` has a machine with it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.lib.box import Box, unique_id
from tests.lib.bundle import Bundle
from tests.lib.groups import V2, hierarchies
from tests.lib.killing import Victim
from tests.lib.namespaces import map_users
from tests.lib.ordinary_user import Person, PersonBox, own, rootless
from tests.lib.units import (
    PREFIX,
    RUNNING,
    UnitBox,
    created,
    is_loaded,
    needs_systemd,
    show,
    systemctl,
)


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


class UnitVictim(Victim):
    """Its group is a unit; one that is still loaded is left, too."""

    def left_after(self, side: str, number: int) -> list[str]:
        left = super().left_after(side, number)
        said = systemctl("list-units", "--all", "--plain", "--no-legend", f"{PREFIX}-*")
        return left + [f"after {side} {number}: {line}" for line in said.splitlines()]


@needs_systemd
@pytest.mark.slow
@pytest.mark.parametrize("side", ["host", "init"])
def test_killed_at_some_places(bundle: Bundle, side: str) -> None:
    """SIGKILL anywhere between the first word to systemd and the last of create (security: R-49)."""
    bundle.set("linux.cgroupsPath", None).set("linux.resources", {"pids": {"limit": 100}})
    with UnitVictim(bundle, "create", "--systemd-cgroup") as victim:
        total = victim.calls(side)
        left = victim.survivors(side, sorted({*range(total, 0, -(total // 12))}))
    assert not left, "\n".join(left)


@needs_systemd
def test_a_unit_that_systemd_has_stopped(bundle: Bundle) -> None:
    with created(bundle) as box:
        box.start()
        systemctl("stop", box.unit)
        box.wait()
        assert box.status == "stopped"
        box.delete()


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
        if V2:  # which alone systemd delegates to users
            assert "no such file or directory" in outcome.message.lower()


class TheirBox(UnitBox, PersonBox):
    """A unit of an ordinary user's."""


def managed_user() -> Path | None:
    """/run/user/UID of an ordinary user who has a service manager."""
    places = [path for path in Path("/run/user").glob("*") if path.name != "0"]
    return next((path for path in places if (path / "bus").exists()), None)


@needs_systemd
@pytest.mark.skipif(managed_user() is None, reason="nobody has a service manager of their own")
@pytest.mark.skipif(not V2, reason="systemd delegates cgroup v2 to users, and nothing else")
def test_an_ordinary_user_outside_their_own_subtree(where: Path) -> None:
    """As in a login session: the kernel lets nobody but systemd move a process from there."""
    runtime = managed_user()
    assert runtime is not None
    someone = Person(uid=int(runtime.name), name="someone")
    bundle = map_users(Bundle(where / "bundle"), someone.single).inside("pause")
    own(bundle.directory, someone.uid)
    env = {"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(runtime)}
    with TheirBox(bundle, someone, env=env) as box:
        bundle.set("linux.cgroupsPath", f":pt:{box.id}")
        bundle.set("linux.resources", {"pids": {"limit": 33}})
        box.create()
        assert (
            f"user@{someone.uid}.service/user.slice/{box.unit}\n"
            in Path(f"/proc/{box.pid}/cgroup").read_text()
        )
        assert box.read("pids.max") == "33"
        box.start()
        box.delete("--force")
