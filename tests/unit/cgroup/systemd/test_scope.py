"""The unit of a container, with a service manager that only remembers; and the way to a real one."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pyruntime import errors
from pyruntime.cgroup import detect, driver
from pyruntime.cgroup.group import Cgroup
from pyruntime.cgroup.systemd import presence, scope, service
from pyruntime.plan import moments
from tests.lib.plans import V1_MOUNTS, V1_OWN, V2_MOUNTS, planned, spec

V2 = detect.layout(V2_MOUNTS, b"0::/\n")
V1 = detect.layout(V1_MOUNTS, V1_OWN)


class Remembering:
    """In the place of `service`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: str = "") -> None:
        self.started: dict[str, Any] = {}
        self.changes: list[list[Any]] = []
        self.stopped: list[tuple[str, str]] = []
        self.users: list[bool] = []
        self.place = "/system.slice/pyruntime-web.scope"
        answers = {
            "connect": self.connect,
            "version": lambda _: 252,
            "control_group": lambda _: root,
            "group_of": lambda *_: self.place,
            "start": lambda _bus, _unit, wanted: self.started.update(wanted),
            "change": lambda _bus, _name, wanted: self.changes.append(list(wanted)),
            "stop": lambda _bus, name, description: self.stopped.append((name, description)),
        }
        for name, answer in answers.items():
            monkeypatch.setattr(service, name, answer)

    def connect(self, *, user: bool) -> SimpleNamespace:
        self.users.append(user)
        return SimpleNamespace(close=lambda: None)


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Remembering:
    return Remembering(monkeypatch)


def made(annotations: Mapping[str, str] | None = None, path: str | None = None) -> scope.Scope:
    return scope.Scope(V2, path, "web", annotations or {}, user=False)


def test_the_plan_waits_for_systemd(manager: Remembering) -> None:
    plan = planned(spec(), v2=True, scope=made())
    (step,) = plan.at(moments.JOIN_CGROUP)
    assert step.run is not None and len(step.ops) == 1
    assert plan.at(moments.CGROUP) == [] and not manager.started
    assert plan.site.cgroup_relative == {"": "/system.slice/pyruntime-web.scope"}


def test_on_v1_nothing_is_joined_by_the_init(manager: Remembering) -> None:
    plan = planned(spec(), scope=made())
    assert set(plan.site.cgroup_relative.values()) == {"/system.slice/pyruntime-web.scope"}
    assert plan.site.join_count == 0 and len(plan.at(moments.JOIN_CGROUP)) == 1


def test_a_unit_is_written_down_before_it_is_started(manager: Remembering) -> None:
    notes: list[dict[str, Any]] = []
    unit = made({"org.systemd.property.TimeoutStopSec": "5"})

    def prepare(occupant: int) -> Cgroup:
        assert occupant == os.getpid() and manager.started
        return Cgroup("v2", [])

    def note(holding: dict[str, Any]) -> None:
        assert not manager.started
        notes.append(holding)

    cgroup = unit.prepare(V2, {"pids": {"limit": 7}}, os.getpid(), note, prepare)
    (holding,) = notes
    assert holding == {"kind": "systemd", **unit.record}
    assert driver.record(cgroup)["systemd"] == unit.record
    assert manager.started["PIDs"] == ("au", [os.getpid()])
    assert manager.started["TasksMax"] == ("t", 7)
    assert manager.started["TimeoutStopUSec"] == ("t", 5_000_000)
    assert manager.started["DevicePolicy"] == ("s", "auto")


def test_a_place_that_was_not_expected(manager: Remembering) -> None:
    manager.place = "/elsewhere"
    with pytest.raises(errors.StepError, match="into cgroup /elsewhere and not into"):
        made().prepare(V2, {}, 7, lambda _: None, lambda **_: Cgroup("v2", []))


def test_descriptions_differ(manager: Remembering) -> None:
    one, other = made().description, made().description
    assert one != other and one.startswith("pyruntime container web (")


def test_a_user_asks_for_no_device_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    manager = Remembering(monkeypatch, "/user.slice/user-7.slice/user@7.service")
    unit = scope.Scope(V2, None, "web", {}, user=True)
    manager.place = unit.path
    assert unit.path == f"/user.slice/user-7.slice/user@7.service/user.slice/{unit.unit.name}"
    unit.prepare(V2, {}, os.getpid(), lambda _: None, lambda **_: Cgroup("v2", []))
    assert "DevicePolicy" not in manager.started and manager.users == [True]


def test_a_user_needs_v2(manager: Remembering) -> None:
    with pytest.raises(errors.UnsupportedError, match="but on cgroup v2"):
        scope.Scope(V1, None, "web", {}, user=True)
    assert manager.users == []


RECORD = {
    "mode": "v2",
    "groups": {},
    "systemd": {"unit": "pt-web.scope", "user": False, "description": "ours"},
}


def test_limits_change_and_change_back(manager: Remembering) -> None:
    limits = scope.Limits(RECORD)
    limits.change({"memory": {"limit": 100}, "pids": {"limit": 7}}, {"pids": {"limit": 5}})
    limits.change_back()
    assert manager.changes == [
        [("MemoryMax", ("t", 100)), ("TasksMax", ("t", 7))],
        [("MemoryMax", ("t", 2**64 - 1)), ("TasksMax", ("t", 5))],
    ]


def test_quota_and_period_need_each_other(manager: Remembering) -> None:
    scope.Limits(RECORD).change({"cpu": {"quota": 10000}}, {"cpu": {"period": 50000}})
    (rows,) = manager.changes
    assert dict(rows) == {"CPUQuotaPeriodUSec": ("t", 50000), "CPUQuotaPerSecUSec": ("t", 200000)}


def test_device_rules_change_as_a_whole(manager: Remembering) -> None:
    limits = scope.Limits({**RECORD, "mode": "v1"})
    rows = [{"allow": True, "access": "rwm"}]
    limits.change({"devices": rows}, {})
    limits.change_back()
    asked, back = manager.changes
    assert asked == [("DevicePolicy", ("s", "auto")), ("DeviceAllow", ("a(ss)", []))]
    assert [name for name, _ in back] == ["DeviceAllow", "DeviceAllow", "DevicePolicy"]
    assert back[2] == ("DevicePolicy", ("s", "strict"))


def test_what_systemd_has_no_word_for_is_not_told(manager: Remembering) -> None:
    limits = scope.Limits(RECORD)
    limits.change({"hugepageLimits": [{"pageSize": "2MB", "limit": 1}]}, {})
    limits.change_back()
    assert manager.changes == []


def test_release(manager: Remembering, monkeypatch: pytest.MonkeyPatch) -> None:
    holding = {"kind": "systemd", "unit": "pt-web.scope", "user": True, "description": "ours"}
    monkeypatch.setattr(presence, "is_running", lambda: False)
    driver.release_unit(holding)  # what no longer runs keeps no unit
    assert manager.stopped == []
    monkeypatch.setattr(presence, "is_running", lambda: True)
    driver.release_unit(holding)
    assert (manager.stopped, manager.users) == ([("pt-web.scope", "ours")], [True])


def test_whether_systemd_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(presence, "RUNNING", str(tmp_path))
    assert presence.is_running()
    (tmp_path / "file").write_text("")
    for path in ("file", "nothing"):
        monkeypatch.setattr(presence, "RUNNING", str(tmp_path / path))
        assert not presence.is_running()
    with pytest.raises(errors.UnsupportedError, match="systemd not running on this host, cannot"):
        presence.reach()
    presence.reach_if_running()


def test_without_jeepney_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "is_running", lambda: True)
    monkeypatch.delitem(sys.modules, "pyruntime.cgroup.systemd.bus")
    monkeypatch.delattr("pyruntime.cgroup.systemd.bus")
    monkeypatch.setitem(sys.modules, "jeepney", None)
    with pytest.raises(errors.UnsupportedError, match="needs jeepney: no module named `jeepney`"):
        presence.reach()


def test_only_records_of_a_unit_need_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(presence, "reach", lambda: asked.append(True))
    driver.reach_for(None)
    driver.reach_for({"mode": "v2", "groups": {}})
    assert asked == []
    driver.reach_for(RECORD)
    assert asked == [True]
