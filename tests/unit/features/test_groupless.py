"""Containers without cgroups, as plans: who gets none, and who is told why."""

from __future__ import annotations

from typing import Any

import pytest

from pyruntime.errors import WORDS, StepError
from pyruntime.features import cgroups
from tests.lib.plans import Plan, planned, site, spec, without_namespace

NODES = [{"allow": False, "access": "rwm"}]


OBSTACLE = {"cgroup_obstacle": "/sys/fs/cgroup/x: permission denied"}


def test_switched_off() -> None:
    plan = planned(cgroups=False)
    assert not plan.of("/linux/cgroupsPath")
    assert plan.site.cgroup_relative == {} and plan.site.join_count == 0
    assert plan.site.warnings == []


@pytest.mark.parametrize(
    "facts", [{"privileged": False}, {"in_user_namespace": True}], ids=["user", "nested"]
)
@pytest.mark.parametrize("resources", [{}, {"devices": NODES}, {"memory": {"limit": 0}}])
def test_nothing_asked(facts: dict[str, Any], resources: dict[str, Any]) -> None:
    plan = Plan(spec(linux__resources=resources), site(**facts, **OBSTACLE))
    assert not plan.of("/linux/cgroupsPath") and plan.site.warnings == []


@pytest.mark.parametrize(
    ("linux", "pointer", "words"),
    [
        ({"resources": {"pids": {"limit": 5}}}, "/linux/resources/pids", "limits (pids)"),
        ({"cgroupsPath": "/x"}, "/linux/cgroupsPath", "a cgroupsPath"),
    ],
)
def test_something_asked(linux: dict[str, Any], pointer: str, words: str) -> None:
    document = spec(**{f"linux__{key}": value for key, value in linux.items()})
    with pytest.raises(StepError) as caught:
        Plan(document, site(privileged=False, **OBSTACLE))
    assert caught.value.pointer == pointer
    assert caught.value.message.startswith(WORDS["no permission"])
    assert words in caught.value.message
    assert caught.value.message.endswith("/sys/fs/cgroup/x: permission denied")


def test_root_is_not_asked_for_permission() -> None:
    assert planned(**OBSTACLE).of("/linux/cgroupsPath")


def test_what_is_left_behind_could_not_be_found() -> None:
    document = spec(linux__namespaces=without_namespace("pid"))
    assert "cannot be found" in Plan(document, site(privileged=False, **OBSTACLE)).site.warnings[0]


@pytest.mark.parametrize(
    ("rows", "warned"),
    [
        (None, True),
        (NODES, True),
        ([*NODES, {"allow": True, "type": "c", "access": "rwm"}], True),
        ([*NODES, {"allow": True, "access": "rw"}], True),
        ([*NODES, {"allow": True, "access": "rwm"}], False),
    ],
)
def test_who_could_make_nodes_is_warned_of(rows: Any, *, warned: bool) -> None:
    document = spec(
        process__capabilities={"bounding": ["CAP_MKNOD"]},
        **({"linux__resources": {"devices": rows}} if rows else {}),
    )
    for place, expected in (
        (site(cgroups=False), warned),
        (site(cgroups=False, privileged=False), False),
    ):
        warnings = Plan(document, place).site.warnings
        assert any("keeps a container with CAP_MKNOD" in text for text in warnings) is expected


USER = [{"type": "user"}, {"type": "cgroup"}]
MAPS = [
    {"containerID": 0, "hostID": 1000, "size": 1},
    {"containerID": 1, "hostID": 5000, "size": 9},
]


@pytest.mark.parametrize(
    ("uid", "namespaces", "source", "options", "owner"),
    [
        (0, [{"type": "cgroup"}], "cgroup", [], 0),
        (7, [{"type": "cgroup"}], "cgroup", ["nosuid"], 7),
        (0, USER, "cgroup", [], 1000),
        (7, USER, "cgroup", [], 5006),
        (99, USER, "cgroup", [], None),
        (7, [{"type": "cgroup"}], "cgroup", ["ro"], None),
        (7, [{"type": "cgroup"}], "cgroup2", [], None),
        (7, [], "cgroup", [], None),
        (7, [{"type": "cgroup", "path": "/proc/1/ns/cgroup"}], "cgroup", [], None),
    ],
)
def test_whose_group_it_is(
    uid: int, namespaces: list[dict[str, str]], source: str, options: list[str], owner: int | None
) -> None:
    mount = {"destination": "/sys/fs/cgroup/", "source": source, "type": "cgroup"}
    document = spec(
        mounts=[{**mount, "options": options}],
        linux__namespaces=[*without_namespace("cgroup"), *namespaces],
        linux__uidMappings=MAPS,
        linux__gidMappings=MAPS,
        process__user={"uid": uid, "gid": 0},
    )
    plan = Plan(document, site(v2=True))
    assert cgroups.owner(document, plan.site) == owner
    plan.site.layout = site().layout
    assert cgroups.owner(document, plan.site) is None
