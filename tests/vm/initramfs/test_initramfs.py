"""A machine whose / is its initramfs: containers leave it without --no-pivot, and find nothing of it (R-11)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.lib.facts import Facts, Mount, parse_lines, parse_mounts
from tests.lib.namespaces import SUBORDINATE, map_users
from tests.vm.initramfs.ramdisk import Outcome, Ramdisk

UMOUNT2, SETNS, OPEN, FCHDIR = "166", "308", "2", "81"  # x86-64
DETACH, NEW_MOUNTS, O_PATH = "2", "0x20000", "0x200000"
# Lifts the container's root, enters the mount namespace anew and looks at what it then stands on.
LIFT = (
    ["syscall", OPEN, "s:/proc/self/ns/mnt", "0"],
    ["syscall", OPEN, "s:/proc", O_PATH],
    ["syscall", UMOUNT2, "s:/", DETACH],
    ["syscall", SETNS, "3", NEW_MOUNTS],
    ["syscall", FCHDIR, "4"],
    ["cat", "self/mountinfo"],
)


def together(*commands: list[str]) -> list[str]:
    words: list[str] = []
    for command in commands:
        words += [*(["--"] if words else []), *command]
    return words


def fill(disk: Ramdisk) -> None:
    (disk.top / "of-the-host").write_text("")
    plain = together(["report"], ["stat", "/of-the-host"], ["stat", "/.."], ["ls", "/"])
    disk.bundle("plain").inside(*plain)
    disk.bundle("lift").inside(*together(*LIFT)).privileged()
    map_users(disk.bundle("locked").inside(*together(*LIFT)).privileged(), SUBORDINATE)
    rich = disk.bundle("rich").set("root.readonly", True).bind("/of-the-host", "/etc/bound")
    rich.file("/etc/bound").set("linux.maskedPaths", ["/proc/kcore"]).namespace("cgroup")
    rich.hook("createContainer", "/bin/true").inside("report", "--", "create", "/x", "")
    disk.bundle("verbs").inside("pause")
    disk.case("table", "cat /proc/self/mountinfo")
    for name in ("plain", "lift", "locked", "rich"):
        disk.case(name, f"$RUNTIME run -b /b/{name} {name} </dev/null")
    disk.case("no-pivot", "$RUNTIME run --no-pivot -b /b/plain no-pivot </dev/null")
    verbs = (
        "$RUNTIME create -b /b/verbs v </dev/null >/tmp/said 2>&1 || { cat /tmp/said; exit 1; }",
        "$RUNTIME start v && $RUNTIME exec v /inside stat /of-the-host && $RUNTIME delete -f v",
    )
    disk.case("verbs", "\n".join(verbs))
    disk.case("table-after", "cat /proc/self/mountinfo")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    disk = Ramdisk(tmp_path_factory.mktemp("ramdisk"))
    fill(disk)
    return disk.boot()


def lines(outcome: Outcome) -> list[dict[str, Any]]:
    assert outcome.code == 0, outcome
    return parse_lines(outcome.text)


def line(outcome: Outcome, command: str, **members: Any) -> dict[str, Any]:
    found = [
        one for one in lines(outcome) if one["cmd"] == command and members.items() <= one.items()
    ]
    assert found, outcome
    return found[0]


def mounts(outcome: Outcome) -> list[Mount]:
    return parse_mounts(outcome.text.strip())


def test_the_machine_is_what_the_tests_are_about(outcomes: dict[str, Outcome]) -> None:
    root = next(mount for mount in mounts(outcomes["table"]) if mount.point == "/")
    assert root.id == root.parent and root.kind == "rootfs"


@pytest.mark.parametrize("case", ["plain", "no-pivot"])
def test_a_container_runs_and_sees_its_own_root(outcomes: dict[str, Outcome], case: str) -> None:
    outcome = outcomes[case]
    assert line(outcome, "stat", path="/of-the-host")["errno"] == "ENOENT"
    assert line(outcome, "stat", path="/..")["ino"] == line(outcome, "report")["root"]["ino"]
    assert "inside" in line(outcome, "ls")["entries"]
    points = {mount.point for mount in Facts(line(outcome, "report")).mounts}
    assert points == {"/", "/proc", "/dev", "/dev/pts"}


def test_nothing_is_mounted_beneath_the_root(outcomes: dict[str, Outcome]) -> None:
    """Whoever may unmount the root stands on a bare initramfs: no proc, no sysfs, no device."""
    results = [one for one in lines(outcomes["lift"]) if one["cmd"] == "syscall"]
    assert [one["errno"] for one in results] == [""] * 5
    found = parse_mounts(line(outcomes["lift"], "cat")["data"])
    assert [(mount.point, mount.kind) for mount in found] == [("/", "rootfs")]


def test_a_user_namespace_cannot_even_lift_it(outcomes: dict[str, Outcome]) -> None:
    results = [one for one in lines(outcomes["locked"]) if one["cmd"] == "syscall"]
    assert results[2]["errno"] == "EINVAL"
    points = {mount.point for mount in parse_mounts(line(outcomes["locked"], "cat")["data"])}
    assert {point for point in points if not point.startswith("/dev/")} == {"/", "/proc", "/dev"}


def test_all_that_is_done_to_a_root(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["rich"]
    assert line(outcome, "create")["errno"] == "EROFS"
    points = {mount.point for mount in Facts(line(outcome, "report")).mounts}
    assert {"/", "/etc/bound", "/proc/kcore"} <= points


def test_the_other_verbs(outcomes: dict[str, Outcome]) -> None:
    assert line(outcomes["verbs"], "stat")["errno"] == "ENOENT"


def test_the_machine_is_as_it_was(outcomes: dict[str, Outcome]) -> None:
    assert mounts(outcomes["table-after"]) == mounts(outcomes["table"])


def test_the_initramfs_is_made_from_what_is_under_test(tmp_path: Path) -> None:
    disk = Ramdisk(tmp_path)
    assert disk.at(Path(disk.runtime)).is_file()
