"""A second ordinary user of the host, and a user's own tricks: the state root, XDG_RUNTIME_DIR, set-uid runtimes."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.lib import programs
from tests.lib.bundle import Bundle
from tests.lib.namespaces import map_users
from tests.lib.ordinary_user import PLACE, Person, PersonBox, own

OTHER = Person(uid=54323, name="other", first=300000)


def bundle_of(person: Person, name: str = "bundle") -> Bundle:
    bundle = map_users(person.bundle(name), person.single).set("linux.cgroupsPath", None)
    return person.give(bundle.inside("wait", "0"))


class OtherBox(PersonBox):
    """The other user's calls, with the first one's state root or environment."""

    def __init__(self, victim: PersonBox, **options: object) -> None:
        super().__init__(victim.bundle, OTHER, container_id=victim.id, **options)
        self.root = victim.root

    def __exit__(self, *_: object) -> None:
        """There is nothing of this user's to delete."""
        for stream in self.streams:
            stream.close()


@pytest.mark.parametrize("verb", ["state", "kill", "delete --force", "start"])
def test_another_user_cannot_reach_a_container(person: Person, verb: str) -> None:
    with PersonBox(bundle_of(person), person) as box:
        box.create()
        with OtherBox(box) as other:
            refused = other.call(*verb.split(), box.id)
            assert refused.code == 1 and refused.err, str(refused)
        assert box.status == "created"
        box.start()
        box.expect("wait")
        box.kill("TERM")
        box.wait()


def test_nothing_of_the_state_is_open_to_others(person: Person) -> None:
    with PersonBox(bundle_of(person), person) as box:
        before = os.umask(0)
        try:
            box.create()
        finally:
            os.umask(before)
        for path in [box.root, *box.root.rglob("*")]:
            facts = path.lstat()
            assert facts.st_uid == person.uid and not stat.S_IMODE(facts.st_mode) & 0o022, path
        assert not stat.S_IMODE(box.root.stat().st_mode) & 0o077


def test_mapping_programs_of_path_are_not_taken(person: Person) -> None:
    planted = person.home / "bin"
    planted.mkdir()
    for name in ("newuidmap", "newgidmap"):
        (planted / name).write_text(f"#!/bin/sh\ntouch {planted}/taken\n")
        (planted / name).chmod(0o755)
    own(planted, person.uid)
    bundle = map_users(person.bundle(), person.maps).set("linux.cgroupsPath", None)
    env = {**person.env, "PATH": f"{planted}:{person.env['PATH']}"}
    with PersonBox(person.give(bundle), person, env=env) as box:
        outcome = box.run()
    assert outcome.code == 0, str(outcome)
    assert not (planted / "taken").exists()


def plant(kind: str, place: Path) -> None:
    """What the other user puts where the state root would be, or where it already is."""
    target = PLACE / "others"
    target.mkdir(mode=0o777)
    if kind == "link":
        place.symlink_to(target)
    else:
        place.mkdir(mode=0o777)
        (place / "web").mkdir()
        (place / "web/state.json").write_text("{}")
    own(target, OTHER.uid)
    os.lchown(place, OTHER.uid, OTHER.uid)


@pytest.mark.parametrize("kind", ["link", "directory"])
@pytest.mark.parametrize("verb", ["run", "kill", "delete"])
def test_a_planted_state_root(person: Person, kind: str, verb: str) -> None:
    """In a directory everybody may write to, such as /tmp."""
    public = PLACE / "public"
    public.mkdir()
    public.chmod(0o1777)
    plant(kind, public / "root")
    bundle = bundle_of(person)
    bundle.write()
    words = {"run": ["run", "--bundle", str(bundle.directory), "web"]}.get(verb, [verb, "web"])
    with PersonBox(bundle, person) as box:
        outcome = box.bare("--root", str(public / "root"), *words)
        assert outcome.code == 1 and outcome.out == "", str(outcome)
    assert list((PLACE / "others").iterdir()) == []


@pytest.mark.parametrize("owner", ["other", "everybody"])
def test_a_runtime_directory_that_is_not_the_users(person: Person, owner: str) -> None:
    """su keeps XDG_RUNTIME_DIR of the user before."""
    theirs = PLACE / "theirs"
    theirs.mkdir()
    theirs.chmod(0o777)
    if owner == "other":
        os.chown(theirs, OTHER.uid, OTHER.uid)
    else:
        os.chown(theirs, person.uid, person.uid)
    bundle = person.give(bundle_of(person).inside("report"))
    bundle.write()
    env = {**person.env, "XDG_RUNTIME_DIR": str(theirs)}
    with PersonBox(bundle, person, env=env) as box:
        outcome = box.bare("run", "--bundle", str(bundle.directory), box.id)
        assert outcome.code == 1 and "XDG_RUNTIME_DIR" in outcome.err, str(outcome)
        assert "--root" in outcome.err


def test_without_a_runtime_directory_the_way_out_is_named(person: Person) -> None:
    bundle = bundle_of(person)
    bundle.write()
    env = {key: value for key, value in person.env.items() if key != "XDG_RUNTIME_DIR"}
    with PersonBox(bundle, person, env=env) as box:
        outcome = box.bare("run", "--bundle", str(bundle.directory), box.id)
        assert outcome.code == 1 and "permission denied" in outcome.err
        assert "XDG_RUNTIME_DIR" in outcome.err and "--root" in outcome.err


@pytest.mark.parametrize("bit", [stat.S_ISUID, stat.S_ISGID], ids=["set-uid", "set-gid"])
def test_a_set_uid_runtime_does_not_follow_its_callers_environment(
    person: Person, bit: int
) -> None:
    """Nobody should install it so; whoever does gets no state that its caller wrote."""
    lent = PLACE / "lent"
    shutil.copytree(programs.PROJECT / "build/bin", lent / "bin")
    shutil.copytree(programs.PROJECT / "build/lib", lent / "lib")
    program = lent / "bin/pyruntime"
    os.chown(program, OTHER.uid, OTHER.uid)
    program.chmod(0o755 | bit)
    said = subprocess.run(
        [program, "--debug", "state", "web"],
        env=person.env,
        preexec_fn=person.become,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 1
    assert "container does not exist" in said.stderr or "/run/pyruntime" in said.stderr
    assert str(person.home) not in said.stderr
