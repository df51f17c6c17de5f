"""Cgroups of those who may not make any, or have them switched off: nothing asked, nothing said; limits asked, one
sentence; a subtree that was given away is used."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lib import facts
from tests.lib.box import Box, Stream, unique_id
from tests.lib.bundle import Bundle
from tests.lib.groups import V2, hierarchies, joined, places, read_value
from tests.lib.namespaces import map_users
from tests.lib.ordinary_user import Person, PersonBox, known

SENTENCE = "rootless needs no limits + no cgrouppath when no permission is granted for cgroups"


@pytest.fixture
def person() -> Iterator[Person]:
    with known(Person()) as made:
        yield made


def home_bundle(person: Person) -> Bundle:
    return map_users(person.bundle(), person.maps).set("linux.cgroupsPath", None)


def own_places() -> dict[str, str]:
    return facts.parse_cgroups(Path("/proc/self/cgroup").read_text())


def test_without_permission_and_without_limits(person: Person) -> None:
    """A list of devices is no limit: every engine sends one."""
    rows = [{"allow": False, "access": "rwm"}]
    bundle = home_bundle(person).set("linux.resources", {"devices": rows, "memory": {"limit": 0}})
    with PersonBox(person.give(bundle.inside("pause")), person) as box:
        outcome = box.create()
        assert outcome.err == "" and outcome.log_text == ""
        own = own_places()
        assert places(box.pid) == {name: own[name] for name in joined()}
        if box.root.joinpath(box.id, "holdings").exists():
            assert "cgroup" not in box.root.joinpath(box.id, "holdings").read_text()
        box.start()
        box.kill("KILL")
        assert box.wait() == 137
        box.delete()


@pytest.mark.parametrize(
    ("resources", "word"),
    [
        ({"memory": {"limit": 64 << 20}}, "memory"),
        ({"pids": {"limit": 5}, "cpu": {"shares": 100}}, "pids, cpu"),
        ({"unified": {"memory.high": "1000000"}}, "unified"),
    ],
)
def test_without_permission_limits_are_refused(
    person: Person, resources: dict[str, Any], word: str
) -> None:
    bundle = home_bundle(person).set("linux.resources", resources)
    with PersonBox(person.give(bundle), person) as box:
        outcome = box.create(check=False)
        assert outcome.code == 1
        assert SENTENCE in outcome.err and "/sys/fs/cgroup" in outcome.err
        assert f"limits ({word})" in outcome.err
        assert box.call("state", box.id).code == 1


def test_without_permission_a_path_is_refused(person: Person) -> None:
    with PersonBox(person.give(home_bundle(person)), person) as box:
        box.bundle.set("linux.cgroupsPath", f"/{box.id}")
        outcome = box.create(check=False)
        assert outcome.code == 1 and SENTENCE in outcome.err and "cgroupsPath" in outcome.err


def give(directory: Path, uid: int) -> None:
    """What systemd does for Delegate=yes; on v1 all of it, as runc's own tests do."""
    os.chown(directory, uid, -1)
    named = set(Path("/sys/kernel/cgroup/delegate").read_text().split())
    for file in directory.iterdir():
        if file.is_file() and (
            not (directory / "cgroup.controllers").exists() or file.name in named
        ):
            os.chown(file, uid, -1)


class Subtree:
    """A group in every hierarchy that belongs to the user, with one below it that the user's processes are in."""

    def __init__(self, person: Person) -> None:
        self.name = unique_id()
        self.person = person
        self.groups = [path / self.name for path in dict.fromkeys(hierarchies().values())]

    def make(self) -> None:
        available = Path(hierarchies().get("", "/"), "cgroup.controllers")
        if V2:
            top = hierarchies()[""] / "cgroup.subtree_control"
            top.write_text(" ".join("+" + name for name in available.read_text().split()))
        for group in self.groups:
            for directory in (group, group / "user"):
                directory.mkdir()
                for name in ("cpuset.cpus", "cpuset.mems"):
                    if not V2 and (directory / name).exists():
                        (directory / name).write_text((directory.parent / name).read_text())
                give(directory, self.person.uid)

    def enter(self) -> None:
        for group in self.groups:
            (group / "user" / "cgroup.procs").write_text("0")

    def remove(self) -> None:
        for group in self.groups:
            for directory, _, _ in os.walk(group, topdown=False):
                os.rmdir(directory)


class ResidentBox(PersonBox):
    """Every call of the runtime comes from inside the subtree."""

    def __init__(self, bundle: Bundle, person: Person, subtree: Subtree) -> None:
        super().__init__(bundle, person)
        self.subtree = subtree
        self.resident = True

    def spawn(self, *words: str) -> tuple[subprocess.Popen[bytes], Stream, Stream]:
        def move_and_become() -> None:
            if self.resident:
                self.subtree.enter()
            self.person.become()

        self.prepare = move_and_become
        return Box.spawn(self, *words)


@pytest.fixture
def subtree(person: Person) -> Iterator[Subtree]:
    made = Subtree(person)
    try:
        made.make()
        yield made
    finally:
        made.remove()


def test_a_delegated_subtree(person: Person, subtree: Subtree) -> None:
    """Limits work there, and the groups go with the container."""
    bundle = home_bundle(person).set("linux.resources.pids.limit", 33).inside("pause")
    with ResidentBox(person.give(bundle), person, subtree) as box:
        path = f"/{subtree.name}/{box.id}"
        bundle.set("linux.cgroupsPath", path)
        outcome = box.create()
        assert outcome.err == ""
        assert set(places(box.pid).values()) == {path}
        pids = (hierarchies()["" if V2 else "pids"]) / path[1:]
        assert (pids / "pids.max").read_text() == "33\n"
        box.start()
        box.expect("pause")
        seen = box.call("exec", box.id, "/inside", "report", check=True).facts.cgroups
        assert {seen[name] for name in joined()} == {path}
        box.kill("KILL")
        box.wait()
        box.delete()
        assert not [group for group in subtree.groups if (group / box.id).exists()]


def test_exec_from_outside_of_the_subtree(person: Person, subtree: Subtree) -> None:
    """The kernel lets nobody in (delegation containment); a process without the container's limits is none of its."""
    if "" not in hierarchies():
        pytest.skip("v1 lets anybody join whose group it is")
    bundle = home_bundle(person).inside("pause")
    with ResidentBox(person.give(bundle), person, subtree) as box:
        bundle.set("linux.cgroupsPath", f"/{subtree.name}/{box.id}")
        box.create()
        box.start()
        box.expect("pause")
        box.resident = False
        stranger = box.call("exec", box.id, "/inside", "report")
        box.resident = True
        assert stranger.code == 255 and "permission denied" in stranger.err
        assert "only from within the subtree that was delegated" in stranger.err


@pytest.mark.skipif(not V2, reason="without a path a hybrid host's unified group is the host's")
def test_a_delegated_subtree_without_a_path(person: Person, subtree: Subtree) -> None:
    bundle = home_bundle(person).set("linux.resources.memory.limit", 64 << 20)
    with ResidentBox(person.give(bundle), person, subtree) as box:
        box.create()
        assert places(box.pid) == {"": f"/{subtree.name}/{box.id}"}
        group = hierarchies()[""] / subtree.name / box.id
        assert (group / "memory.max").read_text() == f"{64 << 20}\n"


@pytest.mark.skipif(not V2, reason="v1 lets anybody join whose group it is")
def test_a_subtree_beside_ones_own_place(person: Person, subtree: Subtree) -> None:
    """A login session is not in user@UID.service: the kernel lets nobody in from outside (delegation containment)."""
    bundle = home_bundle(person).set("linux.resources.memory.limit", 64 << 20)
    with PersonBox(person.give(bundle), person) as box:
        bundle.set("linux.cgroupsPath", f"/{subtree.name}/{box.id}")
        outcome = box.create(check=False)
        assert outcome.code == 1 and SENTENCE in outcome.err
        assert "cgroup.procs: permission denied" in outcome.err


def test_nothing_beneath_sys_is_writable(person: Person) -> None:
    """CVE-2023-25809: without a cgroup namespace the host's groups of this user could be written to."""
    bundle = home_bundle(person).without_namespace("cgroup")
    bundle.mount("/sys", "none", "/sys", "rbind", "ro")
    bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", "rw")
    top = "/sys/fs/cgroup" if V2 else "/sys/fs/cgroup/pids"
    bundle.inside("report", "--", "mkdir", f"{top}/x", "--", "write", f"{top}/cgroup.procs", "0")
    with PersonBox(person.give(bundle), person) as box:
        outcome = box.run(check=True)
    made, written = outcome.lines[1:]
    assert made["errno"] in ("EROFS", "EACCES") and written["errno"] in ("EROFS", "EACCES")
    if V2:
        assert "ro" in outcome.facts.mount("/sys/fs/cgroup").options


# --cgroup-manager disabled


def test_switched_off(bundle: Bundle) -> None:
    bundle.inside("pause")
    with Box(bundle) as box:
        bundle.write(box.id)
        where = ["--bundle", str(bundle.directory), "--pid-file", str(box.scratch / "pid")]
        outcome = box.call("--cgroup-manager", "disabled", "create", *where, box.id, check=True)
        assert outcome.err == ""
        box.adopt(int((box.scratch / "pid").read_text()))
        own = own_places()
        assert places(box.pid) == {name: own[name] for name in joined()}


def test_switched_off_there_is_no_place_for_limits(bundle: Bundle) -> None:
    with Box(bundle.set("linux.resources.memory.limit", 64 << 20)) as box:
        bundle.write(box.id)
        where = ["--bundle", str(bundle.directory)]
        outcome = box.call("--cgroup-manager", "disabled", "create", *where, box.id)
        assert outcome.code == 1 and "no place for limits (memory)" in outcome.err


def test_switched_off_with_the_right_to_make_nodes(bundle: Bundle) -> None:
    """A warning: `podman --cgroups=disabled` asks for both."""
    with Box(bundle.set("process.capabilities", {"bounding": ["CAP_MKNOD"]})) as box:
        bundle.write(box.id)
        where = ["--root", str(box.root), "--cgroup-manager", "disabled", "run"]
        outcome = box.bare(*where, "--bundle", str(bundle.directory), box.id)
        assert outcome.code == 0 and "level=warning" in outcome.err
        assert "keeps a container with CAP_MKNOD from the host's devices" in outcome.err


def test_limits_can_still_be_read_by_name(bundle: Bundle) -> None:
    """The flag's other word is the default."""
    with Box(bundle.set("linux.resources.pids.limit", 44)) as box:
        bundle.write(box.id)
        where = ["--bundle", str(bundle.directory), "--pid-file", str(box.scratch / "pid")]
        box.call("--cgroup-manager", "cgroupfs", "create", *where, box.id, check=True)
        box.adopt(int((box.scratch / "pid").read_text()))
        assert read_value(box, "pids.max") == "44"
