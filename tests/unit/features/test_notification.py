"""NOTIFY_SOCKET as data: one mount after those of the config, and one variable."""

from __future__ import annotations

import pytest

from pyruntime.errors import UnsupportedError
from pyruntime.plan import moments
from tests.lib.plans import Plan, planned, spec, without_namespace, words

STATE = "/run/state/web/notify"
MOUNT = {"destination": "/run", "type": "tmpfs", "source": "tmpfs"}


def texts(plan: Plan, moment: int) -> list[str]:
    return [step.text for step in plan.at(moment)]


def test_nothing_without_the_variable() -> None:
    assert not [step for step in planned().steps if "notify" in step.text]


def test_the_mount_comes_last_and_is_checked() -> None:
    plan = planned(spec(mounts=[MOUNT]), notify=STATE)
    assert texts(plan, moments.MOUNT)[-1] == "mount the notify socket on `/run/notify`"
    assert "check that `/run/notify` is what was mounted" in texts(plan, moments.CHECK)
    assert "/run/notify" in plan.site.handed


def test_the_variable_is_ours_whatever_the_config_says() -> None:
    document = spec(process__env=["NOTIFY_SOCKET=/elsewhere", "PATH=/bin"])
    (step,) = planned(document, notify=STATE).at(moments.EXEC)
    environment = words(step.ops[-1])[3]
    assert "NOTIFY_SOCKET=/run/notify/notify.sock" in environment
    assert not [entry for entry in environment if "elsewhere" in str(entry)]


def test_an_init_that_clones_for_itself_finds_it_by_its_path() -> None:
    plan = planned(notify=STATE, privileged=False)
    (step,) = [step for step in plan.at(moments.OWN_SOURCES) if "notify" in step.text]
    names = [words(op) for op in step.ops]
    assert names[0][0] == "open_tree" and STATE in names[0]
    assert names[1][0] == "mount_setattr"
    assert "/run/notify" not in plan.site.handed


def test_without_mounts_of_its_own_it_needs_the_right_to_mount() -> None:
    document = spec(linux__namespaces=without_namespace("mount"))
    assert any("notify" in step.text for step in planned(document, notify=STATE).at(moments.MOUNT))
    with pytest.raises(UnsupportedError, match="NOTIFY_SOCKET needs a mount namespace"):
        planned(document, notify=STATE, privileged=False)
