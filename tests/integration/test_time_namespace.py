"""Time namespaces and linux.timeOffsets (config-linux.md, Offset for Time Namespace; time_namespaces(7)).

runc knows neither before 1.2; what the checks themselves are worth is proved with util-linux's unshare.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.lib import programs
from tests.lib.box import Box, refused, report
from tests.lib.bundle import Bundle
from tests.lib.facts import Facts, parse_lines
from tests.lib.namespaces import SUBORDINATE, Keeper, inode, map_users
from tests.lib.ordinary_user import Person, PersonBox, own, rootless

pytestmark = pytest.mark.covers(
    "linux.namespaces.type",
    "linux.namespaces.path",
    "linux.timeOffsets.monotonic",
    "linux.timeOffsets.boottime",
)

DAY = 86400
FIRST = SUBORDINATE[0].host
OFFSETS = {
    "both": {"monotonic": {"secs": DAY}, "boottime": {"secs": 2 * DAY}},
    "one": {"monotonic": {"secs": DAY}},
    "nanoseconds": {"monotonic": {"secs": 5, "nanosecs": 999_999_999}},
    "nanoseconds only": {"boottime": {"nanosecs": 7}},
    "back": {"monotonic": {"secs": -3}, "boottime": {"secs": -2, "nanosecs": 1}},
    "none": {},
}
Offsets = dict[str, dict[str, int]]


def timed(bundle: Bundle, offsets: Offsets) -> Bundle:
    bundle.namespace("time")
    return bundle.set("linux.timeOffsets", offsets) if offsets else bundle


def check(seen: Facts, offsets: Offsets) -> None:
    """The namespace is new, the kernel names these offsets, and the clocks run that far ahead."""
    assert seen.namespaces["time"] != inode("time")
    lines = seen.report["files"]["/proc/self/timens_offsets"].splitlines()
    found = {words[0]: (int(words[1]), int(words[2])) for words in map(str.split, lines)}
    wanted = {
        name: (offsets.get(name, {}).get("secs", 0), offsets.get(name, {}).get("nanosecs", 0))
        for name in ("monotonic", "boottime")
    }
    assert found == wanted
    now = {"monotonic": time.CLOCK_MONOTONIC, "boottime": time.CLOCK_BOOTTIME}
    for name, clock in now.items():
        behind = time.clock_gettime(clock) + wanted[name][0] - seen.clocks[name]
        assert -2 < behind < 120, f"{name} is {behind} s behind what it should be"


def test_the_check_itself(stage: None) -> None:
    """Another program that makes time namespaces passes it, and fails it for other offsets."""
    words = ["unshare", "--time", "--fork", "--monotonic", str(DAY), "--boottime", str(2 * DAY)]
    done = subprocess.run([*words, programs.inside(), "report"], capture_output=True, check=True)
    seen = Facts(parse_lines(done.stdout.decode())[0])
    check(seen, OFFSETS["both"])
    for name in OFFSETS.keys() - {"both"}:
        with pytest.raises(AssertionError):
            check(seen, OFFSETS[name])


@pytest.mark.parametrize("name", OFFSETS)
def test_offsets(bundle: Bundle, name: str) -> None:
    check(report(timed(bundle, OFFSETS[name])), OFFSETS[name])


def test_absent_it_is_the_callers(bundle: Bundle) -> None:
    assert report(bundle).namespaces["time"] == inode("time")


@pytest.mark.parametrize("pid", ["new", "absent", "joined"])
def test_with_every_form_of_pid_namespace(bundle: Bundle, pid: str) -> None:
    """The process in both is one child, and ours."""
    timed(bundle, OFFSETS["both"]).without_namespace("pid")
    with Keeper("pid") as keeper:
        if pid != "absent":
            bundle.namespace("pid", keeper.path("pid") if pid == "joined" else None)
        with Box(bundle) as box:
            box.create()
            parent = Path(f"/proc/{box.pid}/stat").read_text().rpartition(")")[2].split()[1]
            assert (box.state()["pid"], int(parent)) == (box.pid, os.getpid())
            inside = inode("time", box.pid)
            box.start()
            assert box.wait() == 0
        check(box.facts, OFFSETS["both"])
        assert box.facts.namespaces["time"] == inside
        assert (box.facts.pid == 1) == (pid == "new")


def test_with_a_user_namespace(mapped: Bundle) -> None:
    check(report(timed(mapped, OFFSETS["both"])), OFFSETS["both"])


def test_in_a_joined_user_namespace(where: Path) -> None:
    """Its root may not be asked: the offsets are written with the rights of the runtime."""
    with Keeper("user") as keeper:
        bundle = map_users(Bundle(where / "bundle"), SUBORDINATE, keeper.path("user"))
        own(bundle.rootfs, FIRST)
        seen = report(timed(bundle, OFFSETS["both"]))
        check(seen, OFFSETS["both"])
        assert seen.namespaces["user"] == keeper.inode("user")


@pytest.mark.parametrize("single", [False, True], ids=["ranges", "one id"])
def test_for_an_ordinary_user(person: Person, single: bool) -> None:
    bundle = rootless(person.bundle(), person, person.single if single else person.maps)
    with PersonBox(timed(bundle, OFFSETS["both"]), person) as box:
        check(box.run(check=True).facts, OFFSETS["both"])


def test_everything_new(mapped: Bundle) -> None:
    """What Docker 29.5 asks for, with a user namespace on top."""
    seen = report(timed(mapped, OFFSETS["one"]).namespace("cgroup"))
    check(seen, OFFSETS["one"])
    assert all(found != inode(kind, "self") for kind, found in seen.namespaces.items()
               if kind in ("pid", "ipc", "uts", "user", "cgroup"))  # fmt: skip


def test_exec_is_in_it(mapped: Bundle) -> None:
    with Box(timed(mapped, OFFSETS["both"]).inside("pause")) as box:
        box.create()
        box.start()
        seen = box.call("exec", box.id, "/inside", "report", check=True).facts
        check(seen, OFFSETS["both"])
        assert seen.namespaces["time"] == inode("time", box.pid)


# Joining


@pytest.mark.parametrize("also", [(), ("pid",), ("user", "pid", "network")], ids=len)
def test_joining(where: Path, also: tuple[str, ...]) -> None:
    with Keeper(*also, "time", offsets={"monotonic": DAY, "boottime": DAY}) as keeper:
        bundle = Bundle(where / "bundle")
        for kind in keeper.kinds:
            bundle.namespace(kind, keeper.path(kind))
        if "user" in also:
            map_users(bundle, SUBORDINATE, keeper.path("user"))
            own(bundle.rootfs, FIRST)
        seen = report(bundle)
        assert seen.namespaces["time"] == keeper.inode("time")
        check(seen, {"monotonic": {"secs": DAY}, "boottime": {"secs": DAY}})


def test_joining_as_an_ordinary_user(person: Person) -> None:
    with Keeper(
        "user", "time", maps=person.maps, offsets={"monotonic": DAY}, prepare=person.become
    ) as keeper:
        bundle = person.bundle().namespace("time", keeper.path("time"))
        map_users(bundle, person.maps, keeper.path("user")).set("linux.cgroupsPath", None)
        with PersonBox(person.give(bundle), person) as box:
            seen = box.run(check=True).facts
        assert seen.namespaces["time"] == keeper.inode("time")
        check(seen, {"monotonic": {"secs": DAY}})


# Wrong


def test_offsets_without_a_time_namespace(bundle: Bundle) -> None:
    assert "/linux/timeOffsets" in refused(bundle.set("linux.timeOffsets", OFFSETS["both"]))


def test_offsets_for_a_joined_one(bundle: Bundle) -> None:
    with Keeper("time") as keeper:
        bundle.namespace("time", keeper.path("time"))
        assert "/linux/timeOffsets" in refused(bundle.set("linux.timeOffsets", OFFSETS["both"]))


@pytest.mark.parametrize(
    "offsets",
    [
        {"monotonic": {"secs": -(10**9)}},
        {"monotonic": {"secs": 2**63 - 1}},
        {"monotonic": {"secs": 1, "nanosecs": 10**9}},
        {"realtime": {"secs": 1}},
        {"tai": {"secs": 1}},
    ],
    ids=["before the boot", "beyond time", "a second of nanoseconds", "realtime", "tai"],
)
def test_offsets_that_cannot_be(bundle: Bundle, offsets: Offsets) -> None:
    assert "/linux/timeOffsets" in refused(timed(bundle, offsets))


def test_a_path_of_another_type(bundle: Bundle) -> None:
    assert "/linux/namespaces" in refused(bundle.namespace("time", "/proc/self/ns/uts"))
