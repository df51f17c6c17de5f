"""linux.resources: what the files of the groups hold, and values that cannot be; test_limits_by_effect.py has what they do.

v1's words are turned into v2's: a row has the files of both.
"""

from __future__ import annotations

from typing import Any

import pytest

from pyruntime.runtime.init_failure import FLOOR_KIB
from tests.lib.box import Box, refused
from tests.lib.bundle import Bundle
from tests.lib.groups import V2, chosen, group_of, read_value

MIB = 1 << 20
Files = dict[str, str]

VALUES: list[tuple[str, Any, Files, Files | None]] = [
    (
        "memory.limit",
        64 * MIB,
        {"memory.limit_in_bytes": str(64 * MIB)},
        {"memory.max": str(64 * MIB)},
    ),
    (
        "memory.reservation",
        32 * MIB,
        {"memory.soft_limit_in_bytes": str(32 * MIB)},
        {"memory.low": str(32 * MIB)},
    ),
    ("memory.swappiness", 10, {"memory.swappiness": "10"}, None),
    ("cpu.shares", 512, {"cpu.shares": "512"}, {"cpu.weight": "59"}),
    ("cpu.quota", 50000, {"cpu.cfs_quota_us": "50000"}, {"cpu.max": "50000 100000"}),
    ("cpu.period", 50000, {"cpu.cfs_period_us": "50000"}, {"cpu.max": "max 50000"}),
    ("cpu.cpus", "0", {"cpuset.cpus": "0"}, {"cpuset.cpus": "0"}),
    ("cpu.mems", "0", {"cpuset.mems": "0"}, {"cpuset.mems": "0"}),
    ("cpu.idle", 1, {"cpu.idle": "1"}, {"cpu.idle": "1"}),
    ("pids.limit", 77, {"pids.max": "77"}, {"pids.max": "77"}),
    ("pids.limit", -1, {"pids.max": "max"}, {"pids.max": "max"}),
]


@pytest.mark.covers(
    "linux.resources.memory.limit",
    "linux.resources.memory.reservation",
    "linux.resources.memory.swappiness",
    "linux.resources.cpu.shares",
    "linux.resources.cpu.quota",
    "linux.resources.cpu.period",
    "linux.resources.cpu.cpus",
    "linux.resources.cpu.idle",
    "linux.resources.pids.limit",
)
@pytest.mark.parametrize(
    ("path", "value", "v1", "v2"), VALUES, ids=[f"{row[0]}={row[1]}" for row in VALUES]
)
def test_each_value(bundle: Bundle, path: str, value: Any, v1: Files, v2: Files | None) -> None:
    wanted = chosen(v1, v2)
    bundle.set(f"linux.resources.{path}", value)
    if wanted is None:
        assert "has no counterpart on cgroup v2" in refused(bundle)
        return
    with Box(bundle) as box:
        box.create()
        assert {name: read_value(box, name) for name in wanted} == wanted


COMBINED: list[tuple[dict[str, Any], Files, Files]] = [
    (
        {"memory": {"limit": 64 * MIB, "swap": 128 * MIB}},
        {
            "memory.limit_in_bytes": str(64 * MIB),
            "memory.memsw.limit_in_bytes": str(128 * MIB),
        },
        {"memory.max": str(64 * MIB), "memory.swap.max": str(64 * MIB)},
    ),
    (
        {"memory": {"limit": 64 * MIB, "swap": 64 * MIB, "reservation": 16 * MIB}},
        {
            "memory.memsw.limit_in_bytes": str(64 * MIB),
            "memory.soft_limit_in_bytes": str(16 * MIB),
        },
        {"memory.swap.max": "0", "memory.low": str(16 * MIB)},
    ),
    (
        {"cpu": {"quota": 20000, "period": 10000}},
        {"cpu.cfs_quota_us": "20000", "cpu.cfs_period_us": "10000"},
        {"cpu.max": "20000 10000"},
    ),
    (
        {"cpu": {"quota": 50000, "burst": 10000}},
        {"cpu.cfs_quota_us": "50000", "cpu.cfs_burst_us": "10000"},
        {"cpu.max": "50000 100000", "cpu.max.burst": "10000"},
    ),
    (
        {"cpu": {"quota": 900000, "period": 1000000}},
        {"cpu.cfs_quota_us": "900000", "cpu.cfs_period_us": "1000000"},
        {"cpu.max": "900000 1000000"},
    ),
    (
        {"cpu": {"quota": -1, "period": 100000}},
        {"cpu.cfs_quota_us": "-1"},
        {"cpu.max": "max 100000"},
    ),
    # Engines send zeros for "leave alone".
    (
        {
            "memory": {"limit": 0, "reservation": 0},
            "cpu": {"shares": 0, "quota": 0, "period": 0},
            "blockIO": {"weight": 0},
        },
        {"cpu.shares": "1024", "cpu.cfs_quota_us": "-1"},
        {"cpu.weight": "100", "cpu.max": "max 100000", "memory.max": "max"},
    ),
    (
        {"memory": {"limit": 64 * MIB, "disableOOMKiller": False}},
        {"memory.limit_in_bytes": str(64 * MIB)},
        {"memory.max": str(64 * MIB)},
    ),
    (
        {"memory": {"limit": -1}, "cpu": {"quota": -1}, "pids": {"limit": -1}},
        {"cpu.cfs_quota_us": "-1", "pids.max": "max"},
        {"memory.max": "max", "memory.swap.max": "max", "pids.max": "max"},
    ),
]


@pytest.mark.covers("linux.resources.memory.swap", "linux.resources.cpu.burst")
@pytest.mark.parametrize(("resources", "v1", "v2"), COMBINED)
def test_values_together(bundle: Bundle, resources: dict[str, Any], v1: Files, v2: Files) -> None:
    wanted = chosen(v1, v2)
    assert wanted
    with Box(bundle.set("linux.resources", resources)) as box:
        box.create()
        assert {name: read_value(box, name) for name in wanted} == wanted


@pytest.mark.covers("linux.resources.unified")
def test_unified(bundle: Bundle) -> None:
    """Files of v2 by their own names, after everything else; on v1 there are none."""
    bundle.set("linux.resources.memory.limit", 64 * MIB)
    files = {"memory.high": str(32 * MIB), "pids.max": "55"}
    bundle.set("linux.resources.unified", files)
    if not V2:
        assert "cannot use unified on cgroup v1" in refused(bundle)
        return
    with Box(bundle) as box:
        box.create()
        assert {name: read_value(box, name) for name in files} == files
        assert read_value(box, "memory.max") == str(64 * MIB)


@pytest.mark.skipif(not V2, reason="v1 takes no such files")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("memory.nonsense", "no such file or directory"),
        ("nonsense.max", 'controller "nonsense" not available'),
    ],
)
def test_unified_that_is_not_there(bundle: Bundle, name: str, words: str) -> None:
    message = refused(bundle.set("linux.resources.unified", {name: "1"}))
    assert words in message and name in message


@pytest.mark.covers("linux.resources.memory.disableOOMKiller")
def test_the_oom_killer_can_be_disabled(bundle: Bundle) -> None:
    bundle.set("linux.resources.memory", {"limit": 64 * MIB, "disableOOMKiller": True})
    if V2:
        assert "has no counterpart on cgroup v2" in refused(bundle)
        return
    with Box(bundle) as box:
        box.create()
        assert "oom_kill_disable 1" in read_value(box, "memory.oom_control")


def test_limits_stand_before_the_first_hook(bundle: Bundle) -> None:
    limit = 96 * MIB
    log = bundle.directory / "log"
    with Box(bundle.set("linux.resources.memory.limit", limit)) as box:
        path = group_of(box, "memory") / ("memory.max" if V2 else "memory.limit_in_bytes")
        bundle.hook("prestart", "/bin/sh", "-c", f"cat {path} > {log}")
        box.create()
        assert log.read_text().strip() == str(limit)


BAD: dict[str, dict[str, Any]] = {
    "swap below limit": {"memory": {"limit": 64 * MIB, "swap": 1}},
    "processor 99": {"cpu": {"cpus": "99"}},
    "node 99": {"cpu": {"mems": "99"}},
    "words for cpus": {"cpu": {"cpus": "zero"}},
    "two lines for cpus": {"cpu": {"cpus": "0\n1"}},
    "path for cpus": {"cpu": {"cpus": "../../x"}},
    "period 1": {"cpu": {"period": 1}},
    "swappiness 101": {"memory": {"swappiness": 101}},
    "one of three": {"memory": {"limit": 64 * MIB}, "pids": {"limit": 5}, "cpu": {"quota": 1}},
    "path for page size": {"hugepageLimits": [{"pageSize": "../x", "limit": 1}]},
    "path for unified": {"unified": {"../memory.max": "1"}},
    "another group's processes for unified": {"unified": {"cgroup.procs": "1"}},
    "text for a number": {"memory": {"limit": "64m"}},
}


@pytest.mark.covers("linux.resources.cpu.cpus", "linux.resources.cpu.mems")
@pytest.mark.parametrize("name", BAD)
def test_values_that_cannot_be(bundle: Bundle, name: str) -> None:
    """One sentence, status 1, no cgroup left (R-25)."""
    refused(bundle.set("linux.resources", BAD[name]))


def test_the_init_fits_where_it_is_said_to(bundle: Bundle) -> None:
    """What the hint says is enough; a quarter of it is not, and the sentence names both."""
    enough = FLOOR_KIB << 10
    bundle.set("linux.resources.memory", {"limit": 2 * enough, "swap": 2 * enough})
    with Box(bundle) as box:
        box.create()
    message = refused(bundle.set("linux.resources.memory", {"limit": 49152, "swap": 49152}))
    assert "the limit is 49152 bytes" in message and f"about {FLOOR_KIB} KiB" in message


def test_a_limit_below_what_the_init_needs(bundle: Bundle) -> None:
    """One sentence that says so, and nothing left."""
    message = refused(bundle.set("linux.resources.memory", {"limit": 4096, "swap": 4096}))
    words = ("OOM-killed (memory limit too low?)", "memory limit to 4096", "cannot allocate memory")
    assert any(each in message for each in words)
