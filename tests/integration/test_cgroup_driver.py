"""The cgroup driver on the real kernel: what stands after prepare, what is left after release.

Groups carry this process's marker and stand at the top of each hierarchy.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pyruntime import errors
from pyruntime.cgroup import detect, driver, frozen
from pyruntime.cgroup.group import Cgroup
from tests.lib import kernel
from tests.lib.box import unique_id
from tests.lib.groups import Maker, read

LAYOUT = detect.layout()
pytestmark = pytest.mark.skipif(LAYOUT.mode == "v2", reason="the driver of v1 and hybrid hosts")

MIB = 1 << 20
MS_REMOUNT_RDONLY = 32 | 1
TYPICAL: dict[str, Any] = {
    "memory": {"limit": 64 * MIB, "swap": 128 * MIB, "reservation": 32 * MIB},
    "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0"},
    "pids": {"limit": 100},
    "devices": [{"allow": False, "access": "rwm"}],
}


def is_there(cgroup: Cgroup) -> list[str]:
    return [path for path in cgroup.paths.values() if os.path.isdir(path)]


def ended(process: subprocess.Popen[bytes]) -> int:
    pidfd = os.pidfd_open(process.pid)
    try:
        assert select.select([pidfd], [], [], 10)[0], "the process is still there"
    finally:
        os.close(pidfd)
    return process.wait()


# prepare


def test_limits_stand(maker: Maker) -> None:
    cgroup = maker.prepare("/" + unique_id(), TYPICAL)
    assert read(cgroup, "memory", "memory.limit_in_bytes") == str(64 * MIB)
    assert read(cgroup, "memory", "memory.memsw.limit_in_bytes") == str(128 * MIB)
    assert read(cgroup, "memory", "memory.soft_limit_in_bytes") == str(32 * MIB)
    assert read(cgroup, "cpu", "cpu.shares") == "512"
    assert read(cgroup, "cpu", "cpu.cfs_quota_us") == "50000"
    assert read(cgroup, "cpuset", "cpuset.cpus") == "0"
    assert read(cgroup, "cpuset", "cpuset.mems") == "0"
    assert read(cgroup, "pids", "pids.max") == "100"
    assert read(cgroup, "devices", "devices.list").splitlines()[:2] == ["b *:* m", "c *:* m"]


def test_every_hierarchy_a_container_joins(maker: Maker) -> None:
    name = unique_id()
    cgroup = maker.prepare("/" + name, {})
    assert set(cgroup.relative) == {row.name for row in LAYOUT.joined()}
    assert set(cgroup.relative.values()) == {"/" + name}
    assert len(is_there(cgroup)) == len(LAYOUT.joined())
    assert len(cgroup.task_fds) == sum(not row.unified for row in LAYOUT.joined())
    for fd in cgroup.task_fds:
        assert os.readlink(f"/proc/self/fd/{fd}").endswith(f"/{name}/tasks")
        assert not os.get_inheritable(fd)


def test_the_holding_comes_first_and_once(maker: Maker) -> None:
    name = unique_id()
    seen = []

    def note(holding: dict[str, Any]) -> None:
        maker.holdings.append(holding)
        seen.append(
            [path for path in driver.from_record(holding).paths.values() if os.path.isdir(path)]
        )

    cgroup = driver.prepare(LAYOUT, f"/{name}/a/b", "x", {}, note)
    cgroup.close()
    assert seen == [[]]
    assert maker.holdings[0]["kind"] == "cgroup"
    assert {group.made for group in cgroup.groups} == {3}


def test_joining_by_the_descriptors(maker: Maker) -> None:
    name = unique_id()
    cgroup = maker.prepare("/" + name, {})

    program = (
        "import os, sys\n"
        "for word in sys.argv[1:]: os.write(int(word), b'0')\n"
        "print(open('/proc/self/cgroup').read())"
    )
    text = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, *map(str, cgroup.task_fds)],
        pass_fds=cgroup.task_fds,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    joined = [line for line in text.split() if line.endswith(":/" + name)]
    assert len(joined) == len(cgroup.task_fds)


def test_an_existing_empty_group_is_used_and_stays(maker: Maker) -> None:
    name = unique_id()
    first = maker.prepare("/" + name, {})
    second_holdings: list[dict[str, Any]] = []
    driver.prepare(LAYOUT, "/" + name, "x", TYPICAL, second_holdings.append).close()
    assert read(first, "pids", "pids.max") == "100"
    driver.release(second_holdings[0])
    assert len(is_there(first)) == len(first.groups)
    maker.release()
    assert is_there(first) == []


def test_a_group_with_a_process_is_refused(maker: Maker) -> None:
    name = unique_id()
    cgroup = maker.prepare("/" + name, {})
    maker.child_in(cgroup.paths["devices"])
    with pytest.raises(
        errors.StepError, match=r"container's cgroup is not empty: 1 process\(es\) found"
    ):
        maker.prepare("/" + name, {})


def test_a_frozen_group_is_refused(maker: Maker) -> None:
    name = unique_id()
    cgroup = maker.prepare("/" + name, {})
    kept = driver.record(cgroup)
    driver.freeze(kept)
    assert frozen.is_frozen(kept)
    with pytest.raises(errors.StepError, match="container's cgroup unexpectedly frozen"):
        maker.prepare("/" + name, {})
    driver.thaw(kept)
    assert not frozen.is_frozen(kept)


def test_a_group_frozen_with_its_parent_does_not_count_as_paused(maker: Maker) -> None:
    name = unique_id()
    parent = maker.prepare("/" + name, {})
    kept = driver.record(maker.prepare(f"/{name}/child", {}))
    driver.freeze(driver.record(parent))
    assert not frozen.is_frozen(kept)
    driver.thaw(driver.record(parent))


def test_a_refused_limit_names_the_property_and_leaves_nothing(maker: Maker) -> None:
    name = unique_id()
    with pytest.raises(errors.StepError) as caught:
        maker.prepare("/" + name, {"cpu": {"quota": 1, "period": 100000}})
    assert (
        caught.value.message == "set cpu quota to 1 (/linux/resources/cpu/quota): invalid argument"
    )
    assert caught.value.pointer == "/linux/resources/cpu/quota"
    held = driver.from_record(maker.holdings[0])
    maker.release()
    assert is_there(held) == []


def test_a_processor_that_is_not_there(maker: Maker) -> None:
    with pytest.raises(errors.StepError, match="set cpuset cpus to 4000 ") as caught:
        maker.prepare("/" + unique_id(), {"cpu": {"cpus": "4000"}})
    assert caught.value.pointer == "/linux/resources/cpu/cpus"


def test_unified_needs_v2(maker: Maker) -> None:
    with pytest.raises(errors.StepError, match="cannot use unified on cgroup v1"):
        maker.prepare("/" + unique_id(), {"unified": {"memory.high": "1"}})


def test_a_controller_that_is_not_mounted(maker: Maker) -> None:
    if LAYOUT.controller("net_cls"):
        pytest.skip("net_cls is mounted")
    with pytest.raises(errors.UnsupportedError, match="net_cls controller, which is not mounted"):
        maker.prepare("/" + unique_id(), {"network": {"classID": 5}})


def test_a_parent_that_vanishes_between_look_and_mkdir(maker: Maker) -> None:
    """Somebody deletes the last other container below the parent just then: look again, note again."""
    name = unique_id()
    parent = maker.prepare("/" + name, {})
    notes: list[dict[str, Any]] = []

    def note(holding: dict[str, Any]) -> None:
        maker.holdings.append(holding)
        notes.append(holding)
        if len(notes) == 1:
            for path in parent.paths.values():
                os.rmdir(path)

    cgroup = driver.prepare(LAYOUT, f"/{name}/child", "x", TYPICAL, note)
    cgroup.close()
    assert len(is_there(cgroup)) == len(cgroup.groups)
    assert {group.made for group in cgroup.groups} == {2}
    assert len(notes) == 2
    maker.release()
    assert is_there(parent) == []


def test_a_parent_somebody_makes_between_look_and_mkdir(maker: Maker) -> None:
    name = unique_id()

    def note(holding: dict[str, Any]) -> None:
        maker.holdings.append(holding)
        for group in driver.from_record(holding).groups:
            os.mkdir(f"{group.mountpoint}/{name}")

    cgroup = driver.prepare(LAYOUT, f"/{name}/child", "x", TYPICAL, note)
    cgroup.close()
    assert len(is_there(cgroup)) == len(cgroup.groups)
    assert len(maker.holdings) == 1


def test_no_descriptor_is_left_by_a_failure(maker: Maker) -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(errors.StepError):
        maker.prepare("/" + unique_id(), {"pids": {"limit": 1 << 60}})
    assert os.listdir("/proc/self/fd") == before


# release


def test_release_twice_and_of_what_never_was(maker: Maker) -> None:
    cgroup = maker.prepare(f"/{unique_id()}/deep/er", TYPICAL)
    holding = maker.holdings[0]
    maker.release()
    assert is_there(cgroup) == []
    parent = Path(cgroup.paths["pids"]).parents[1]
    assert not parent.exists()
    driver.release(holding)


def test_a_parent_somebody_else_stands_in_stays(maker: Maker) -> None:
    """Two containers below one parent: the first, who made it, goes first."""
    name = unique_id()
    first, second = (maker.prepare(f"/{name}/{child}", {}) for child in ("one", "two"))
    child = maker.child_in(*second.paths.values())
    driver.release(maker.holdings[0])
    assert is_there(first) == []
    assert len(is_there(second)) == len(second.groups)
    assert child.poll() is None
    driver.release(maker.holdings[1])
    # The second did not make the parent, so what the first left goes with the first's holding only.
    driver.release(maker.holdings[0])
    assert not Path(first.paths["pids"]).parent.exists()


def test_processes_and_groups_of_the_payload_go(maker: Maker) -> None:
    cgroup = maker.prepare("/" + unique_id(), {})
    below = Path(cgroup.paths["pids"], "payload/deeper")
    below.mkdir(parents=True)
    children = [
        maker.child_in(*cgroup.paths.values(), ignore=True),
        maker.child_in(str(below)),
        maker.child_in(cgroup.paths["memory"]),
    ]
    assert driver.pids(driver.record(cgroup)) == [children[0].pid]
    maker.release()
    assert [ended(child) for child in children] == [-signal.SIGKILL] * 3
    assert is_there(cgroup) == []


def test_a_paused_container_is_removed(maker: Maker) -> None:
    cgroup = maker.prepare("/" + unique_id(), {})
    child = maker.child_in(*cgroup.paths.values())
    driver.freeze(driver.record(cgroup))
    maker.release()
    assert ended(child) == -signal.SIGKILL
    assert is_there(cgroup) == []


def test_a_forking_payload_is_removed(maker: Maker) -> None:
    cgroup = maker.prepare("/" + unique_id(), {"pids": {"limit": 60}})
    script = "echo; f() { (f) & (f) & sleep 0.01; f; }; f 2>/dev/null"
    child = maker.child_in(*cgroup.paths.values(), script=script)
    maker.release()
    ended(child)
    assert is_there(cgroup) == []


def test_a_read_only_hierarchy_says_so(maker: Maker) -> None:
    cgroup = maker.prepare("/" + unique_id(), {})
    mountpoint = next(row.mountpoint for row in LAYOUT.hierarchies if row.name == "pids")
    kernel.mount(mountpoint, mountpoint, flags=kernel.MS_BIND)
    kernel.mount("", mountpoint, flags=kernel.MS_BIND | MS_REMOUNT_RDONLY)
    try:
        with pytest.raises(errors.StepError, match=r"remove cgroup .*: read-only file system"):
            driver.release(maker.holdings[0])
        with pytest.raises(
            errors.StepError, match=r"create cgroup /.* in pids .*: read-only file system"
        ):
            maker.prepare("/" + unique_id(), {})
    finally:
        kernel.umount(mountpoint)
    maker.release()
    assert is_there(cgroup) == []


def test_an_existing_group_is_emptied(maker: Maker) -> None:
    name = unique_id()
    outer = maker.prepare("/" + name, {})
    holdings: list[dict[str, Any]] = []
    inner = driver.prepare(LAYOUT, "/" + name, "x", {}, holdings.append)
    inner.close()
    child = maker.child_in(*inner.paths.values())
    os.mkdir(inner.paths["pids"] + "/below")
    driver.release(holdings[0])
    assert ended(child) == -signal.SIGKILL
    assert len(is_there(outer)) == len(outer.groups)
    assert not os.path.exists(inner.paths["pids"] + "/below")


# signals


def test_a_signal_to_all(maker: Maker) -> None:
    cgroup = maker.prepare("/" + unique_id(), {})
    kept = driver.record(cgroup)
    children = [maker.child_in(*cgroup.paths.values()) for _ in range(3)]
    deaf = maker.child_in(*cgroup.paths.values(), ignore=True)
    outside = maker.child_in()
    driver.kill_all(kept, signal.SIGTERM)
    assert [ended(child) for child in children] == [-signal.SIGTERM] * 3
    assert (deaf.poll(), outside.poll()) == (None, None)
    assert not frozen.is_frozen(kept)
    driver.kill_all(kept, signal.SIGKILL)
    assert ended(deaf) == -signal.SIGKILL
    driver.kill_all(kept, signal.SIGKILL)


def test_a_paused_container_keeps_still_but_for_kill(maker: Maker) -> None:
    cgroup = maker.prepare("/" + unique_id(), {})
    kept = driver.record(cgroup)
    child = maker.child_in(*cgroup.paths.values())
    driver.freeze(kept)
    driver.kill_all(kept, signal.SIGTERM)
    assert frozen.is_frozen(kept)
    driver.kill_all(kept, signal.SIGKILL)
    assert ended(child) in (-signal.SIGTERM, -signal.SIGKILL)


def test_the_one_who_kills_may_live_in_the_group(maker: Maker) -> None:
    """Neither frozen nor killed by its own hand; the others are."""
    cgroup = maker.prepare("/" + unique_id(), {})
    child = maker.child_in(*cgroup.paths.values())
    program = (
        "import sys, json\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from pyruntime.cgroup import driver\n"
        "kept = json.loads(sys.argv[2])\n"
        "for path in driver.from_record(kept).paths.values():\n"
        "    open(path + '/cgroup.procs', 'w').write('0')\n"
        "driver.kill_all(kept, 9)\n"
        "print('alive')"
    )
    words = [str(Path(__file__).parents[2]), json.dumps(driver.record(cgroup))]
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, *words], capture_output=True, text=True, check=True
    )
    assert done.stdout == "alive\n"
    assert ended(child) == -signal.SIGKILL


def test_questions_about_a_group_that_is_gone(maker: Maker) -> None:
    kept = driver.record(maker.prepare("/" + unique_id(), {}))
    maker.release()
    assert driver.pids(kept) == []
    assert not frozen.is_frozen(kept)
    driver.kill_all(kept, signal.SIGKILL)
    driver.thaw(kept)
