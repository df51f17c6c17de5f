"""User namespaces: id maps and what they do to ids and files, devices, proc and sysfs, volumes (config-linux.md,
User namespace mappings; security: R-07, R-16)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.lib.box import Box, refused, report
from tests.lib.bundle import Bundle
from tests.lib.namespaces import SUBORDINATE, Keeper, Map, map_users, parse_map
from tests.lib.ordinary_user import Person, PersonBox, own, rootless

pytestmark = pytest.mark.covers(
    "linux.namespaces.type",
    "linux.namespaces.path",
    "linux.uidMappings",
    "linux.gidMappings",
)

FIRST = SUBORDINATE[0].host
DEVICES = {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9, "tty": 0}
SYS = {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec"]}
PERSON = Person()


# Maps and ids


def test_users_and_groups_are_mapped_apart(mapped: Bundle) -> None:
    users = [Map(0, FIRST, 1), Map(1, 300000, 999), Map(1000, 400000, 1)]
    groups = [Map(0, 500000, 65536)]
    mapped.set("linux.uidMappings", [each.document for each in users])
    mapped.set("linux.gidMappings", [each.document for each in groups])
    os.chown(mapped.rootfs, FIRST, 500000)
    files = report(mapped).report["files"]
    assert parse_map(files["/proc/self/uid_map"]) == users
    assert parse_map(files["/proc/self/gid_map"]) == groups
    assert files["/proc/self/setgroups"] == "allow\n"


def test_without_mappings_the_caller_is_root(bundle: Bundle) -> None:
    """As under crun; and said, as nobody asked for these ids."""
    bundle.namespace("user").inside("report").write()
    with Box(bundle) as box:
        outcome = box.bare(
            "--root", str(box.root), "run", "--bundle", str(bundle.directory), box.id
        )
        assert outcome.code == 0 and "without mappings" in outcome.err, str(outcome)
    (users,) = parse_map(outcome.facts.report["files"]["/proc/self/uid_map"])
    assert users == Map(0, os.geteuid(), 1)


def test_the_process_and_its_files(mapped: Bundle) -> None:
    """uid 1000 inside is another one outside, in /proc as on the disk."""
    mapped.dir("/home", 0o777).set("process.user", {"uid": 1000, "gid": 1001, "umask": 0o27})
    mapped.inside("report", "--", "create", "/home/made", "x")
    seen = report(mapped)
    assert (seen.uid, seen.gid) == ([1000] * 3, [1001] * 3)
    made = (mapped.rootfs / "home/made").stat()
    assert (made.st_uid, made.st_gid, made.st_mode & 0o777) == (FIRST + 1000, FIRST + 1001, 0o640)


def test_ids_seen_from_outside(mapped: Bundle) -> None:
    mapped.set("process.user", {"uid": 7, "gid": 8, "additionalGids": [9, 10]}).inside("pause")
    with Box(mapped) as box:
        box.create()
        box.start()
        box.expect("pause")
        status = Path(f"/proc/{box.pid}/status").read_text().splitlines()
        rows = {line.split()[0]: [int(word) for word in line.split()[1:5]] for line in status
                if line.startswith(("Uid:", "Gid:", "Groups:"))}  # fmt: skip
        assert rows["Uid:"] == [FIRST + 7] * 4
        assert rows["Gid:"] == [FIRST + 8] * 4
        assert rows["Groups:"] == [FIRST + 9, FIRST + 10]
        assert box.state()["pid"] == box.pid


@pytest.mark.parametrize(
    ("user", "wanted"), [("0:0", (0, 0)), ("7:8", (7, 8)), ("65535:65535", (65535, 65535))]
)
def test_ids_of_an_exec(mapped: Bundle, user: str, wanted: tuple[int, int]) -> None:
    mapped.dir("/home", 0o777).inside("pause")
    with Box(mapped) as box:
        box.create()
        box.start()
        words = ["/inside", "report", "--", "create", "/home/made", "x"]
        seen = box.call("exec", "--user", user, box.id, *words, check=True).facts
        assert (seen.uid, seen.gid) == ([wanted[0]] * 3, [wanted[1]] * 3)
        assert parse_map(seen.report["files"]["/proc/self/uid_map"]) == list(SUBORDINATE)
    made = (mapped.rootfs / "home/made").stat()
    assert (made.st_uid, made.st_gid) == (FIRST + wanted[0], FIRST + wanted[1])


@pytest.mark.parametrize("user", ["65536", "0:65536", "2147483647"])
def test_ids_of_an_exec_that_are_not_mapped(mapped: Bundle, user: str) -> None:
    with Box(mapped.inside("pause")) as box:
        box.create()
        box.start()
        outcome = box.call("exec", "--user", user, box.id, "/inside", "report")
        assert outcome.code == 255 and outcome.out == "", str(outcome)


def test_groups(mapped: Bundle) -> None:
    mapped.set("process.user.additionalGids", [5, 65535])
    assert report(mapped).groups == [5, 65535]


@pytest.mark.parametrize(
    "user", [{"uid": 65536, "gid": 0}, {"uid": 0, "gid": 70000},
             {"uid": 0, "gid": 0, "additionalGids": [5, 70000]}],
    ids=["uid", "gid", "group"],
)  # fmt: skip
def test_an_id_that_is_not_mapped(mapped: Bundle, user: dict[str, object]) -> None:
    refused(mapped.set("process.user", user))


@pytest.mark.parametrize(
    ("user", "pointer"),
    [({"uid": 65536, "gid": 0}, "/process/user/uid"), ({"uid": 0, "gid": 70000}, "/process/user/gid"),
     ({"uid": 0, "gid": 0, "additionalGids": [5, 70000]}, "/process/user/additionalGids")],
    ids=["uid", "gid", "group"],
)  # fmt: skip
def test_the_id_that_is_not_mapped_is_named(
    mapped: Bundle, user: dict[str, object], pointer: str
) -> None:
    assert pointer in refused(mapped.set("process.user", user))


def test_a_map_without_root(where: Path) -> None:
    """Nobody is uid 0 inside; the set-up uses the first id there is."""
    maps = (Map(1000, FIRST, 1000),)
    bundle = map_users(Bundle(where / "bundle"), maps)
    own(bundle.rootfs, FIRST)
    bundle.set("process.user", {"uid": 1001, "gid": 1001})
    seen = report(bundle)
    assert (seen.uid, seen.gid) == ([1001] * 3, [1001] * 3)
    assert parse_map(seen.report["files"]["/proc/self/uid_map"]) == list(maps)


def test_capabilities_are_those_of_the_config(mapped: Bundle) -> None:
    """In its own user namespace the set-up holds all of them; the program gets what it was given."""
    mapped.capabilities("CAP_SYS_ADMIN", "CAP_KILL")
    seen = report(mapped)
    for kind in ("bounding", "effective", "permitted"):
        assert seen.capabilities(kind) == {"CAP_SYS_ADMIN", "CAP_KILL"}
    assert seen.capabilities("inheritable") == set() == seen.capabilities("ambient")


def test_stdio_belongs_to_the_container(mapped: Bundle) -> None:
    assert {entry["uid"] for entry in report(mapped).fds if entry["fd"] in (1, 2)} == {0}


def test_limits_and_score(mapped: Bundle) -> None:
    mapped.set("process.rlimits", [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}])
    mapped.set("process.oomScoreAdj", 321)
    seen = report(mapped)
    assert seen.rlimits["NOFILE"] == [100, 200]
    assert seen.report["files"]["/proc/self/oom_score_adj"] == "321\n"


# setgroups


def test_groups_where_setgroups_is_denied(person: Person) -> None:
    """One mapping of an ordinary user's own id costs the right to set groups: asked for, an error."""
    bundle = rootless(person.bundle(), person, person.single)
    bundle.set("process.user.additionalGids", [0])
    with PersonBox(bundle, person) as box:
        outcome = box.create(check=False)
        assert outcome.code == 1 and outcome.err.strip(), str(outcome)


def test_the_groups_that_cannot_be_set_are_named(person: Person) -> None:
    bundle = rootless(person.bundle(), person, person.single)
    bundle.set("process.user.additionalGids", [0])
    with PersonBox(bundle, person) as box:
        outcome = box.create(check=False)
        assert outcome.code == 1 and "/process/user/additionalGids" in outcome.err, str(outcome)


@pytest.mark.parametrize("value", [None, []], ids=["absent", "empty"])
def test_no_groups_where_setgroups_is_denied(person: Person, value: list[int] | None) -> None:
    bundle = rootless(person.bundle(), person, person.single)
    if value is not None:
        bundle.set("process.user.additionalGids", value)
    with PersonBox(bundle, person) as box:
        outcome = box.run(check=True)
        assert outcome.facts.report["files"]["/proc/self/setgroups"] == "deny\n"
        assert outcome.err == ""


# Joining


@pytest.mark.parametrize("maps", [SUBORDINATE, (Map(0, 100000, 10), Map(10, 200000, 100))])
def test_joining_with_its_maps(where: Path, maps: tuple[Map, ...]) -> None:
    """containerd and CRI-O send the maps beside the path."""
    with Keeper("user", maps=maps) as keeper:
        bundle = map_users(Bundle(where / "bundle"), maps, keeper.path("user"))
        own(bundle.rootfs, FIRST)
        seen = report(bundle)
        assert seen.namespaces["user"] == keeper.inode("user")
        assert parse_map(seen.report["files"]["/proc/self/uid_map"]) == list(maps)


def test_joining_without_maps(where: Path) -> None:
    """The maps are those of the namespace."""
    with Keeper("user") as keeper:
        bundle = Bundle(where / "bundle").namespace("user", keeper.path("user"))
        own(bundle.rootfs, FIRST)
        seen = report(bundle)
        assert seen.namespaces["user"] == keeper.inode("user")
        assert parse_map(seen.report["files"]["/proc/self/uid_map"]) == list(SUBORDINATE)


@pytest.mark.parametrize(
    "maps", [(Map(0, 200000, 65536),), (Map(0, 100000, 1000),)], ids=["elsewhere", "shorter"]
)
def test_joining_with_other_maps(where: Path, maps: tuple[Map, ...]) -> None:
    with Keeper("user") as keeper:
        bundle = map_users(Bundle(where / "bundle"), maps, keeper.path("user"))
        own(bundle.rootfs, FIRST)
        assert "Mappings" in refused(bundle)


def test_joining_one_without_setgroups(where: Path) -> None:
    with Keeper("user", setgroups=False) as keeper:
        bundle = map_users(Bundle(where / "bundle"), SUBORDINATE, keeper.path("user"))
        own(bundle.rootfs, FIRST)
        seen = report(bundle)
        assert seen.report["files"]["/proc/self/setgroups"] == "deny\n"


def test_groups_in_one_without_setgroups(where: Path) -> None:
    with Keeper("user", setgroups=False) as keeper:
        bundle = map_users(Bundle(where / "bundle"), SUBORDINATE, keeper.path("user"))
        own(bundle.rootfs, FIRST)
        refused(bundle.set("process.user.additionalGids", [5]))


def test_a_namespace_the_user_namespace_does_not_own(where: Path) -> None:
    """The user namespace is the keeper's; this network namespace belongs to another one."""
    with Keeper("user") as keeper, Keeper("user", "network") as other:
        bundle = map_users(Bundle(where / "bundle"), SUBORDINATE, keeper.path("user"))
        own(bundle.rootfs, FIRST)
        bundle.namespace("network", other.path("network"))
        with Box(bundle) as box:
            outcome = box.run()
            # Root of the host may enter both; who may not gets the kernel's words.
            assert outcome.code == 0 or "operation not permitted" in outcome.message.lower(), str(
                outcome
            )
            if outcome.code == 0:
                assert outcome.facts.namespaces["net"] == other.inode("network")


def test_an_ordinary_user_cannot_join_what_is_roots(person: Person) -> None:
    with Keeper("network") as keeper:
        bundle = rootless(person.bundle(), person, person.maps)
        bundle.namespace("network", keeper.path("network"))
        with PersonBox(bundle, person) as box:
            outcome = box.create(check=False)
            assert outcome.code == 1 and outcome.err.strip(), str(outcome)
            assert "permi" in outcome.message.lower(), str(outcome)


# Wrong maps


WRONG = {
    "no namespace": (False, [Map(0, 100000, 10)], [Map(0, 100000, 10)]),
    "users only": (True, [Map(0, 100000, 10)], []),
    "groups only": (True, [], [Map(0, 100000, 10)]),
    "size 0": (True, [Map(0, 100000, 0)], [Map(0, 100000, 10)]),
    "overlap inside": (
        True,
        [Map(0, 100000, 10), Map(5, 200000, 10)],
        [Map(0, 100000, 10)],
    ),
    "overlap outside": (
        True,
        [Map(0, 100000, 10), Map(10, 100005, 10)],
        [Map(0, 100000, 10)],
    ),
    "beyond the last id": (True, [Map(0, 2**32 - 2, 10)], [Map(0, 100000, 10)]),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_maps(where: Path, name: str) -> None:
    has_namespace, users, groups = WRONG[name]
    bundle = Bundle(where / "bundle")
    if has_namespace:
        bundle.namespace("user")
    for kind, maps in (("uid", users), ("gid", groups)):
        if maps:
            bundle.set(f"linux.{kind}Mappings", [each.document for each in maps])
    refused(bundle)


def test_an_ordinary_user_cannot_map_what_is_not_theirs(person: Person) -> None:
    bundle = rootless(person.bundle(), person, (Map(0, person.uid, 1), Map(1, 100000, 10)))
    with PersonBox(bundle, person) as box:
        outcome = box.create(check=False)
        assert outcome.code == 1 and outcome.err.strip(), str(outcome)
