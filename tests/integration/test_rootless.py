"""Containers of an ordinary user: every call is the user's, who exists in the private mount namespace of the tests.

What must hold is what holds for root's containers (walls, verbs, nothing left behind), plus: no rights but the
user's own, and not a word on stderr when all is well.
"""

from __future__ import annotations

import json
import os
import resource
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lib import programs
from tests.lib.box import Outcome
from tests.lib.bundle import CAPABILITIES, Bundle
from tests.lib.namespaces import Map, map_users, parse_map
from tests.lib.ordinary_user import PLACE, Person, PersonBox, known, own, rootless

pytestmark = pytest.mark.covers("linux.uidMappings", "linux.gidMappings")


@pytest.fixture
def hermit() -> Iterator[Person]:
    """A user without subordinate ids."""
    with known(Person(uid=54322, name="hermit"), ranges=False) as made:
        yield made


def home_bundle(person: Person, maps: tuple[Map, ...] | None = None) -> Bundle:
    """In the user's home, with a user namespace of these maps, without a cgroup of its own."""
    bundle = person.bundle().set("linux.cgroupsPath", None)
    return map_users(bundle, maps) if maps else bundle


def call(person: Person, bundle: Bundle, *flags: str, **options: Any) -> Outcome:
    with PersonBox(person.give(bundle), person, **options) as box:
        return box.run(*flags)


def silent(outcome: Outcome) -> Outcome:
    assert outcome.code == 0, str(outcome)
    assert outcome.err == "" and outcome.log_text == "", str(outcome)
    return outcome


def test_with_subordinate_ids(person: Person) -> None:
    facts = silent(call(person, home_bundle(person, person.maps))).facts
    assert parse_map(facts.files["/proc/self/uid_map"]) == list(person.maps)
    assert parse_map(facts.files["/proc/self/gid_map"]) == list(person.maps)
    assert facts.status["Uid"].split() == ["0"] * 4
    assert facts.groups == []


def test_with_one_id(hermit: Person) -> None:
    facts = silent(call(hermit, home_bundle(hermit, hermit.single))).facts
    assert parse_map(facts.files["/proc/self/uid_map"]) == list(hermit.single)
    assert facts.files["/proc/self/setgroups"].strip() == "deny"


def test_another_id_is_a_subordinate_one(person: Person) -> None:
    bundle = home_bundle(person, person.maps).dir("data", 0o777)
    bundle.set("process.user", {"uid": 1000, "gid": 100, "additionalGids": [7, 8]})
    bundle.inside("report", "--", "create", "/data/made", "x")
    facts = silent(call(person, bundle)).facts
    assert facts.groups == [7, 8]
    made = (bundle.rootfs / "data/made").stat()
    assert (made.st_uid, made.st_gid) == (person.first + 999, person.first + 99)


def test_groups_cannot_be_had_with_one_id(hermit: Person) -> None:
    bundle = home_bundle(hermit, hermit.single)
    outcome = call(hermit, bundle.set("process.user.additionalGids", [0]))
    assert outcome.code == 1 and outcome.out == ""
    assert "additional" in outcome.err.lower()


def test_the_walls_stand(person: Person) -> None:
    """Masks, read-only paths and root, devices of the host and no others, capabilities as asked, no new privileges."""
    bundle = home_bundle(person, person.maps).file("etc/secret", "x").dir("etc/held")
    bundle.set("linux.maskedPaths", ["/etc/secret", "/proc/keys", "/proc/acpi"])
    bundle.set("linux.readonlyPaths", ["/etc/held", "/proc/sys"]).set("root.readonly", True)
    bundle.capabilities("CAP_KILL", "CAP_CHOWN")
    bundle.inside(
        *("report", "--", "cat", "/etc/secret", "--", "cat", "/proc/keys"),
        *("--", "create", "/etc/held/x", "y", "--", "create", "/etc/x", "y"),
        *("--", "write", "/proc/sys/kernel/domainname", "x"),
        *("--", "stat", "/dev/null", "--", "stat", "/dev/ptmx", "--", "write", "/dev/null", "x"),
        *("--", "mknod", "/dev/sda", "b", "8", "0"),
    )
    outcome = silent(call(person, bundle))
    secret, keys, held, root, sysctl, null, _, written, node = outcome.lines[1:]
    assert secret["data"] == "" and keys["data"] == ""
    assert held["errno"] == root["errno"] == "EROFS" and sysctl["errno"] in ("EROFS", "EACCES")
    assert (null["type"], null["major"], null["minor"]) == ("char", 1, 3)
    assert not written["errno"], written
    assert node["errno"] == "EPERM"
    facts = outcome.facts
    for kind in ("bounding", "effective", "permitted"):
        assert facts.capabilities(kind) == {"CAP_KILL", "CAP_CHOWN"}
    assert facts.no_new_privs == 1
    nodes = {"full", "null", "random", "tty", "urandom", "zero"}
    links = {"core", "fd", "ptmx", "stderr", "stdin", "stdout"}
    assert set(facts.dev) - links - {"console"} == nodes | {"pts"}


@pytest.mark.parametrize("value", [500, -500])
def test_oom_score_adj(person: Person, value: int) -> None:
    """A user may raise it, not lower it: the kernel's refusal of that is no failure (security: R-53)."""
    before = int(Path("/proc/self/oom_score_adj").read_text())
    facts = silent(
        call(person, home_bundle(person, person.maps).set("process.oomScoreAdj", value))
    ).facts
    assert int(facts.files["/proc/self/oom_score_adj"]) == max(value, before)


def test_limits_beyond_the_hard_ones_are_refused(person: Person) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limits = [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": hard + 1}]
    outcome = call(person, home_bundle(person, person.maps).set("process.rlimits", limits))
    assert outcome.code == 1 and outcome.out == ""
    assert "operation not permitted" in outcome.err
    if programs.runtime_name() == "pyruntime":
        assert "/process/rlimits/0" in outcome.err


def test_spec_is_what_the_reference_writes(person: Person) -> None:
    """Apart from capabilities that nobody should get unasked, and newer masks and versions."""
    directory = person.home / "spec"
    directory.mkdir()
    os.chown(directory, person.uid, person.uid)
    written = []
    for command in (programs.runtime_command(), ["runc"]):
        words = [*command, "spec", "--rootless", "--bundle", str(directory)]
        subprocess.run(words, check=True, env=person.env, preexec_fn=person.become)
        document = json.loads((directory / "config.json").read_text())
        (directory / "config.json").unlink()
        del document["ociVersion"], document["linux"]["maskedPaths"]
        document["process"]["capabilities"].pop("ambient", None)
        document["process"]["capabilities"].pop("inheritable", None)
        written.append(document)
    assert written[0] == written[1]
    assert written[0]["linux"]["uidMappings"] == [one.document for one in person.single]


def test_all_capabilities_are_those_of_the_namespace_alone(person: Person) -> None:
    bundle = home_bundle(person, person.maps).capabilities(*CAPABILITIES, "CAP_SYS_ADMIN")
    bundle.inside(
        "report",
        "--",
        "write",
        "/proc/sys/kernel/panic",
        "9",
        "--",
        "mknod",
        "/dev/x",
        "b",
        "8",
        "0",
    )
    outcome = silent(call(person, bundle))
    assert "CAP_SYS_ADMIN" in outcome.facts.capabilities("effective")
    for line in outcome.lines[1:]:
        assert line["errno"] in ("EPERM", "EACCES", "EROFS"), line


def test_the_verbs(person: Person) -> None:
    bundle = home_bundle(person, person.maps).inside("report", "--", "wait", "0")
    with PersonBox(person.give(bundle), person) as box:
        created = box.create()
        assert created.err == ""
        assert Path(f"/proc/{box.pid}").stat().st_uid in (0, person.uid)
        assert box.status == "created"
        box.start()
        box.expect("wait")
        state = box.state()
        assert (state["status"], state["pid"]) == ("running", box.pid)
        assert box.kill("TERM").err == ""
        box.wait()
        assert box.status == "stopped"
        assert box.delete().err == ""
        assert not (box.root / box.id).exists()


def test_the_state_is_beneath_the_runtime_directory(person: Person) -> None:
    bundle = person.give(home_bundle(person, person.maps).inside("wait", "0"))
    bundle.write()
    with PersonBox(bundle, person) as box:
        where = ["--bundle", str(bundle.directory), "--pid-file", str(box.scratch / "pid")]
        created = box.bare("create", *where, box.id)
        try:
            assert created.code == 0, str(created)
            box.adopt(int((box.scratch / "pid").read_text()))
            root = person.home / "run" / programs.runtime_name()
            for path in (root, root / box.id):
                facts = path.stat()
                assert facts.st_uid == person.uid
            assert stat.S_IMODE(root.stat().st_mode) == 0o1700
            listed = json.loads(box.bare("list", "--format", "json").out)
            assert [(row["id"], row["owner"]) for row in listed] == [(box.id, person.name)]
        finally:
            deleted = box.bare("delete", "--force", box.id)
        assert deleted.code == 0, str(deleted)
        assert list(root.iterdir()) == []


@pytest.mark.parametrize("wide", [True, False], ids=["ranges", "one id"])
def test_what_spec_writes_runs(person: Person, wide: bool) -> None:
    """`spec --rootless` as it is, but for the terminal and the program."""
    bundle = home_bundle(person)
    person.give(bundle)
    with PersonBox(bundle, person) as box:
        box.bare("spec", "--rootless", "--bundle", str(bundle.directory))
        path = bundle.directory / "config.json"
        assert path.stat().st_uid == person.uid
        bundle.document = json.loads(path.read_text())
    bundle.set("process.terminal", False).set("linux.cgroupsPath", None)
    if wide:
        map_users(bundle, person.maps)
    facts = silent(call(person, bundle.inside("report"))).facts
    assert facts.hostname == bundle.document["hostname"]
    assert "ro" in facts.mount("/").options and "ro" in facts.mount("/sys").options
    assert facts.capabilities("bounding") == {
        "CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE",
    }  # fmt: skip


def test_a_root_that_is_not_the_users(person: Person) -> None:
    """What the user may not read stays unreadable: the runtime lends no rights."""
    bundle = home_bundle(person, person.maps)
    secret = PLACE / "secret"
    secret.write_text("root's")
    secret.chmod(0o600)
    bundle.bind(secret, "/secret").inside("cat", "/secret")
    outcome = call(person, bundle)
    assert "root's" not in outcome.out
    own(bundle.directory, person.uid)


def test_files_of_the_host_cannot_be_reached_for_by_links(person: Person) -> None:
    bundle = home_bundle(person, person.maps)
    bundle.link("data", "/etc").mount("/data/made", "tmpfs", "tmpfs").inside("ls", "/etc")
    outcome = silent(call(person, bundle))
    assert "made" in outcome.lines[0]["entries"]
    assert not Path("/etc/made").exists()


def test_ids_of_others_are_refused(person: Person) -> None:
    bundle = home_bundle(person, (Map(0, person.uid, 1), Map(1, person.first - 1, 10)))
    outcome = call(person, bundle)
    assert outcome.code == 1 and outcome.out == ""
    assert "newuidmap" in outcome.message or "newgidmap" in outcome.message


def test_nothing_but_a_user_namespace_will_do(person: Person) -> None:
    outcome = call(person, home_bundle(person))
    assert outcome.code == 1 and outcome.out == ""
    assert "rootless container requires user namespaces" in outcome.err
    assert os.listdir(person.home / "run") == []


def test_a_root_behind_a_directory_that_only_its_owner_enters(person: Person) -> None:
    """The map has subordinate ids alone: who is root inside has no way to the bundle, and the runtime had one."""
    only = (Map(0, person.first, person.count),)
    bundle = rootless(person.bundle(), person, only)
    bundle.directory.chmod(0o700)
    bundle.rootfs.chmod(0o755)
    with PersonBox(bundle, person) as box:
        assert box.run(check=True).facts.uid == [0] * 3
