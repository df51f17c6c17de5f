"""A mount of type cgroup on v2, as data: what is tried, what stands in for it, and who may write to it."""

from __future__ import annotations

from typing import Any

import pytest

from pyruntime.cgroup.detect import Layout
from pyruntime.kernel.native import lib
from tests.lib.plans import Plan, site, spec, without_namespace

MOUNT = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}
RDONLY = lib.MOUNT_ATTR_RDONLY


def unified(*words: str, private: bool = True, **facts: Any) -> Plan:
    kinds = [*without_namespace("cgroup"), *([{"type": "cgroup"}] if private else [])]
    mounts = [{**MOUNT, "options": list(words)}]
    return Plan(
        spec(mounts=mounts, linux__namespaces=kinds, linux__cgroupsPath="/web"),
        site(v2=True, **facts),
    )


def attributes(plan: Plan) -> list[tuple[int, int]]:
    """(set, clear) of each bind, in order."""
    return [(call[3][0], call[3][1]) for call in plan.named("/mounts/0", "mount_setattr")]


def test_in_a_cgroup_namespace() -> None:
    """cgroup2 itself, else the own group, else nothing at all."""
    plan = unified("ro", "nosuid")
    assert [call[0] for call in plan.named("/mounts/0", "fsopen")] == ["cgroup2", "tmpfs"]
    assert [call[1] for call in plan.named("/mounts/0", "open_tree")] == ["/sys/fs/cgroup/web"]
    assert attributes(plan) == [(RDONLY | lib.MOUNT_ATTR_NOSUID, 0)]
    masks = plan.named("/mounts/0", "fsmount")
    assert [bool(call[2] & RDONLY) for call in masks] == [True, True]


def test_options_of_the_file_system_go_with_it() -> None:
    plan = unified("rw", "memory_recursiveprot", "favordynmods=1")
    words = [call[1:4] for call in plan.named("/mounts/0", "fsconfig")]
    assert (lib.FSCONFIG_SET_FLAG, "memory_recursiveprot") in [word[:2] for word in words]
    assert (lib.FSCONFIG_SET_STRING, "favordynmods", "1") in words


@pytest.mark.parametrize(("words", "wanted"), [((), (0, RDONLY)), (("ro",), (RDONLY, 0))])
def test_without_a_cgroup_namespace_it_is_the_hosts(
    words: tuple[str, ...], wanted: tuple[int, int]
) -> None:
    """A new mount would be the same to look at and change the host's options."""
    plan = unified(*words, private=False)
    assert [call[0] for call in plan.named("/mounts/0", "fsopen")] == ["tmpfs"]
    assert [call[1] for call in plan.named("/mounts/0", "open_tree")] == ["/sys/fs/cgroup"]
    assert attributes(plan) == [wanted]


@pytest.mark.parametrize("words", [("rw",), (), ("ro",)])
def test_it_is_read_only_in_a_user_namespace(words: tuple[str, ...]) -> None:
    """CVE-2023-25809, whatever the options say."""
    plan = unified(*words, private=False, in_user_namespace=True)
    assert attributes(plan) == [(RDONLY, 0)]


def test_where_there_are_no_cgroups() -> None:
    plan = unified(private=False, layout=Layout("none", []), cgroups=False)
    assert [call[0] for call in plan.named("/mounts/0", "fsopen")] == ["tmpfs"]
    assert not plan.named("/mounts/0", "open_tree")
    assert all(call[2] & RDONLY for call in plan.named("/mounts/0", "fsmount"))


def test_without_a_group_of_its_own_it_is_the_callers() -> None:
    plan = unified(cgroups=False)
    assert [call[1] for call in plan.named("/mounts/0", "open_tree")] == ["/sys/fs/cgroup"]
