"""group: the record, there and back, and what a damaged or forged one is answered."""

from __future__ import annotations

from typing import Any

import pytest

from pyruntime import errors
from pyruntime.cgroup import driver
from pyruntime.cgroup.group import Cgroup, Group

GROUPS = [
    Group("cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct", "/web", 1),
    Group("memory", "/sys/fs/cgroup/memory", "/user/one/web", 2),
    Group("", "/sys/fs/cgroup/unified", "/web", 0),
]


def test_there_and_back() -> None:
    kept = driver.record(Cgroup("hybrid", GROUPS))
    back = driver.from_record(kept)
    assert driver.record(back) == kept
    assert back.relative == {"cpu,cpuacct": "/web", "memory": "/user/one/web", "": "/web"}
    assert back.paths["memory"] == "/sys/fs/cgroup/memory/user/one/web"
    assert back.task_fds == []
    assert back.unified_fd is None


def test_by_controller() -> None:
    cgroup = Cgroup("hybrid", GROUPS)
    assert cgroup.group("cpuacct") is GROUPS[0]
    assert cgroup.group("") is GROUPS[2]
    assert cgroup.group("pids") is None


def test_a_hierarchy_mounted_on_the_root() -> None:
    assert Group("memory", "/", "/web", 1).directory == "/web"


@pytest.mark.parametrize(
    "row",
    [
        ["/sys/fs/cgroup/memory", "/../x", 1],
        ["/sys/fs/cgroup/memory", "/a/../../x", 1],
        ["/sys/fs/cgroup/memory", "/a//b", 1],
        ["/sys/fs/cgroup/memory", "/", 0],
        ["/sys/fs/cgroup/memory", "web", 1],
        ["/sys/fs/cgroup/memory", "/web", 2],
        ["/sys/fs/cgroup/memory", "/web", -1],
        ["/sys/fs/cgroup/memory", "/web", True],
        ["/sys/fs/cgroup/memory", "/we\0b", 1],
        ["memory", "/web", 1],
        ["/sys/fs/cgroup/memory", 5, 1],
        ["/sys/fs/cgroup/memory"],
        "text",
        None,
    ],
)
def test_nothing_in_a_record_leads_elsewhere(row: Any) -> None:
    with pytest.raises(errors.PyruntimeError, match="record of the container's cgroups is damaged"):
        driver.from_record({"mode": "v1", "groups": {"memory": row}})


@pytest.mark.parametrize("kept", [{}, {"mode": "v1"}, {"groups": {}}, {"mode": "v1", "groups": []}])
def test_a_record_without_its_members(kept: dict[str, Any]) -> None:
    with pytest.raises(errors.PyruntimeError, match="damaged"):
        driver.from_record(kept)
