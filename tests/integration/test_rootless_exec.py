"""`exec` by an ordinary user: into a user namespace of the user's own, with the ids and the walls of the container."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.lib import facts
from tests.lib.bundle import Bundle
from tests.lib.namespaces import inode, map_users, parse_map
from tests.lib.ordinary_user import Person, PersonBox

pytestmark = pytest.mark.covers("linux.uidMappings", "linux.gidMappings")

KINDS = ("user", "pid", "mount", "ipc", "uts", "network")
OTHER = Person(uid=54323, name="other", first=300000)


def waiting(person: Person, *, wide: bool = True) -> Bundle:
    bundle = map_users(person.bundle(), person.maps if wide else person.single)
    bundle.set("linux.cgroupsPath", None).capabilities("CAP_KILL")
    return person.give(bundle.inside("wait", "0"))


def started(box: PersonBox, *flags: str) -> None:
    box.create(*flags)
    box.start()
    box.expect("wait")


def executed(box: PersonBox, *words: str) -> facts.Facts:
    """`exec … /inside report`, in silence."""
    outcome = box.call("exec", *words, box.id, "/inside", "report")
    assert outcome.code == 0 and outcome.err == "" and outcome.log_text == "", str(outcome)
    return outcome.facts


def ended(box: PersonBox) -> None:
    box.kill("KILL")
    box.wait()


@pytest.mark.parametrize("wide", [True, False], ids=["ranges", "one id"])
def test_the_namespaces_and_ids_are_the_containers(person: Person, wide: bool) -> None:
    with PersonBox(waiting(person, wide=wide), person) as box:
        started(box)
        seen = executed(box)
        assert {kind: inode(kind, box.pid) for kind in KINDS} == {
            kind: seen.namespaces[inode(kind, box.pid).partition(":")[0]] for kind in KINDS
        }
        maps = person.maps if wide else person.single
        assert parse_map(seen.files["/proc/self/uid_map"]) == list(maps)
        assert seen.capabilities("effective") == {"CAP_KILL"} and seen.no_new_privs == 1
        ended(box)


def test_as_another_user_of_the_container(person: Person) -> None:
    bundle = waiting(person).dir("data", 0o777)
    with PersonBox(person.give(bundle), person) as box:
        started(box)
        assert executed(box, "--user", "1000:100").status["Uid"].split() == ["1000"] * 4
        made = box.call("exec", "-u", "1000:100", box.id, "/inside", "create", "/data/x", "y")
        assert made.code == 0, str(made)
        seen = (bundle.rootfs / "data/x").stat()
        assert (seen.st_uid, seen.st_gid) == (person.first + 999, person.first + 99)
        ended(box)


def test_as_nobody_the_container_knows(person: Person) -> None:
    with PersonBox(waiting(person, wide=False), person) as box:
        started(box)
        outcome = box.call("exec", "--user", "1000", box.id, "/inside", "report")
        assert outcome.code == 255 and outcome.out == ""
        assert "invalid argument" in outcome.err or "unmapped user" in outcome.err
        ended(box)


def test_into_what_the_flag_made(person: Person) -> None:
    """The saved configuration has the namespace that config.json had not."""
    bundle = person.bundle().set("linux.cgroupsPath", None).inside("wait", "0")
    with PersonBox(person.give(bundle), person) as box:
        started(box, "--map-root-user")
        assert parse_map(executed(box).files["/proc/self/uid_map"]) == list(person.maps)
        ended(box)


def test_another_user_may_not(person: Person) -> None:
    """Neither by the state, which is not readable, nor with a state of their own that names the container's pid."""
    with PersonBox(waiting(person), person) as box:
        started(box)
        forged = person.home.parent / "forged"
        container = forged / box.id
        container.mkdir(parents=True)
        for path in (box.root / box.id).iterdir():
            if path.is_file():
                (container / path.name).write_bytes(path.read_bytes())
        state = container / "state.json"
        record = json.loads(state.read_text())
        for key in ("uid", "owner"):
            if key in record:
                record[key] = OTHER.uid
        state.write_text(json.dumps(record))
        for path in (forged, container, *container.iterdir()):
            os.chown(path, OTHER.uid, OTHER.uid)
            path.chmod(0o700)
        for root in (box.root, forged):
            outcome = as_other(box, root)
            assert outcome.code != 0 and outcome.out == "", str(outcome)
        ended(box)


def as_other(box: PersonBox, root: Path) -> object:
    other = PersonBox(box.bundle, OTHER, container_id=box.id, root=root)
    try:
        return other.call("exec", box.id, "/inside", "report")
    finally:
        for stream in other.streams:
            stream.close()
