"""The systemd cgroup driver with an ordinary user's own service manager."""

from __future__ import annotations

import os

import pytest

from tests.lib.box import run
from tests.lib.bundle import Bundle
from tests.lib.units import UnitBox, created, is_loaded, systemctl

MIB = 1 << 20
VARIABLES = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
LIMITS = {"memory": {"limit": 64 * MIB}, "pids": {"limit": 33}, "cpu": {"quota": 12000, "period": 50000}}  # fmt: skip


def limited(bundle: Bundle) -> Bundle:
    return bundle.set("linux.resources", LIMITS)


def test_limits(bundle: Bundle) -> None:
    bundle.namespace("cgroup")
    with created(limited(bundle), "", "report", "--", "pause") as box:
        place = f"/user.slice/user-{os.geteuid()}.slice/user@{os.geteuid()}.service/user.slice"
        assert box.show("ControlGroup", "Slice", "TasksMax") == {
            "ControlGroup": f"{place}/{box.unit}",
            "Slice": "user.slice",
            "TasksMax": "33",
        }
        values = [box.read(name) for name in ("memory.max", "pids.max", "cpu.max")]
        assert values == [str(64 * MIB), "33", "12000 50000"]
        systemctl("daemon-reload")
        assert box.read("memory.max") == str(64 * MIB)
        box.start()
        assert box.facts.cgroups == {"": "/"}


def test_the_pids_limit_holds(bundle: Bundle) -> None:
    bundle.set("linux.resources", {"pids": {"limit": 3}}).inside("forks", "20")
    with UnitBox(bundle) as box:
        bundle.set("linux.cgroupsPath", f":pt:{box.id}")
        line = box.run().lines[0]
        assert (line["made"], line["errno"]) == (2, "EAGAIN")


def test_update(bundle: Bundle) -> None:
    with created(limited(bundle)) as box:
        box.start()
        box.call("update", "--pids-limit", "44", box.id, check=True)
        assert box.show("TasksMax") == {"TasksMax": "44"}
        assert box.read("pids.max") == "44"


def test_exec_pause_and_kill(bundle: Bundle) -> None:
    with created(limited(bundle)) as box:
        box.start()
        outcome = box.call("exec", box.id, "/inside", "echo", "inside")
        assert outcome.code == 0, str(outcome)
        box.call("pause", box.id, check=True)
        box.call("resume", box.id, check=True)
        box.kill("KILL")
        assert box.wait() == 137
        box.delete()


@pytest.mark.parametrize("kept", ["", *VARIABLES])
def test_without_the_variables_of_a_session(bundle: Bundle, kept: str) -> None:
    """As under sudo, cron, or in rootless Podman's namespace."""
    env = {name: value for name, value in os.environ.items() if name not in VARIABLES or name == kept}  # fmt: skip
    with created(limited(bundle), env=env) as box:
        assert box.show("ActiveState") == {"ActiveState": "active"}


def test_nothing_is_left_of_a_create_that_fails(bundle: Bundle) -> None:
    bundle.set("process.args", ["/nothing"])
    with UnitBox(bundle) as box:
        bundle.set("linux.cgroupsPath", f":pt:{box.id}")
        assert box.create(check=False).code == 1
        assert not is_loaded(box.unit)


def test_without_the_option_nothing_of_systemd_is_asked(bundle: Bundle) -> None:
    outcome = run(bundle)
    assert outcome.code == 0, str(outcome)
