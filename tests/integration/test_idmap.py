"""mounts[].uidMappings, gidMappings, idmap and ridmap: who owns what, on which side (config.md, Mounts; R-47)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_user_namespace_mounts import Insider
from tests.lib import idmapping, kernel, programs
from tests.lib.box import Box, Outcome, refused, run
from tests.lib.bundle import Bundle
from tests.lib.killing import Victim
from tests.lib.namespaces import SUBORDINATE, Keeper, Map, map_users
from tests.lib.ordinary_user import Person, PersonBox, own, rootless

pytestmark = pytest.mark.covers("mounts.uidMappings", "mounts.gidMappings")

NOBODY = 65534
UIDS, GIDS = Map(0, 1000, 10), Map(0, 3000, 10)


def entry(
    source: Path | str, *options: str, uids: tuple[Map, ...] = (), gids: tuple[Map, ...] = ()
) -> dict[str, Any]:
    mount: dict[str, Any] = {"destination": "/m", "type": "none", "source": str(source)}
    mount["options"] = ["rbind", *options]
    for name, maps in (("uidMappings", uids), ("gidMappings", gids)):
        if maps:
            mount[name] = [one.document for one in maps]
    return mount


def mapped_entry(source: Path | str, *options: str) -> dict[str, Any]:
    return entry(source, *options, uids=(UIDS,), gids=(GIDS,))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Files of 0:0, of 5:6 and of somebody beyond the maps."""
    top = tmp_path / "source"
    top.mkdir()
    for name, uid, gid in (("root", 0, 0), ("five", 5, 6), ("far", 77, 78)):
        (top / name).write_text(name)
        os.chown(top / name, uid, gid)
    top.chmod(0o777)
    idmapping.need_mappable(top)
    return top


@pytest.fixture
def tree(source: Path) -> Iterator[Path]:
    """With another mount below."""
    (source / "sub").mkdir()
    kernel.mount("sub", str(source / "sub"), "tmpfs", 0, "uid=5,gid=6")
    try:
        idmapping.need_mappable(source / "sub")
        yield source
    finally:
        kernel.umount(str(source / "sub"))


def owners(bundle: Bundle, *names: str) -> list[tuple[int, int]]:
    """As they are seen inside."""
    words = " -- ".join(f"stat /m/{name}" for name in names).split()
    lines = run(bundle.inside(*words)).lines
    assert [line["errno"] for line in lines] == [""] * len(names), lines
    return [(line["uid"], line["gid"]) for line in lines]


# The mapping of the mount


@pytest.mark.parametrize("option", ["idmap", "ridmap", ""])
def test_owners_are_mapped(bundle: Bundle, source: Path, option: str) -> None:
    """The maps alone ask for it too: engines of before the options send only them."""
    mount = mapped_entry(source, *[option][: bool(option)])
    seen = owners(bundle.add("mounts", mount), "root", "five", "far")
    assert seen == [(1000, 3000), (1005, 3006), (NOBODY, NOBODY)]


def test_what_the_container_makes_is_mapped_back(bundle: Bundle, source: Path) -> None:
    bundle.add("mounts", mapped_entry(source, "idmap")).set(
        "process.user", {"uid": 1007, "gid": 3008}
    )
    outcome = run(bundle.inside("create", "/m/new", "text"))
    assert outcome.lines[0]["errno"] == "", str(outcome)
    facts = (source / "new").stat()
    assert (facts.st_uid, facts.st_gid) == (7, 8)


def test_who_is_not_in_the_maps_makes_nothing(bundle: Bundle, source: Path) -> None:
    outcome = run(
        bundle.add("mounts", mapped_entry(source, "idmap")).inside("create", "/m/new", "x")
    )
    assert outcome.lines[0]["errno"] == "EOVERFLOW"
    assert not (source / "new").exists()


def test_maps_of_several_lines(bundle: Bundle, source: Path) -> None:
    lines = (Map(0, 1000, 1), Map(5, 2000, 1))
    bundle.add("mounts", entry(source, "idmap", uids=lines, gids=lines))
    assert owners(bundle, "root", "five") == [(1000, 1000), (2000, NOBODY)]


def test_maps_in_the_option(bundle: Bundle, source: Path) -> None:
    """crun's form, which Podman passes on: FROM-TO-SIZE."""
    word = "idmap=uids=0-1000-10;gids=0-3000-3#3-4000-7"
    seen = owners(bundle.add("mounts", entry(source, word)), "root", "five")
    assert seen == [(1000, 3000), (1005, 4003)]


@pytest.mark.parametrize(
    "maps", ["uids=0-1", "uids=0-a-1;gids=0-0-1", "users=0-0-1", "uids=@0-0-1"]
)
def test_maps_in_the_option_that_are_none(bundle: Bundle, source: Path, maps: str) -> None:
    assert "/mounts/3/options" in refused(bundle.add("mounts", entry(source, f"idmap={maps}")))


@pytest.mark.parametrize("inside", ["bundle", "in_user_namespace"])
def test_a_source_that_an_earlier_mount_brings(
    request: pytest.FixtureRequest, source: Path, inside: str
) -> None:
    bundle = request.getfixturevalue(inside)
    bundle.dir("vol").bind(source, "/vol")
    seen = owners(bundle.add("mounts", mapped_entry(bundle.rootfs / "vol")), "five")
    assert seen == [(1005, 3006) if inside == "bundle" else (NOBODY, NOBODY)]


def test_a_single_file(bundle: Bundle, source: Path) -> None:
    bundle.add("mounts", {**mapped_entry(source / "five", "idmap"), "destination": "/file"})
    line = run(bundle.inside("stat", "/file")).lines[0]
    assert (line["uid"], line["gid"]) == (1005, 3006)


def test_every_mount_has_its_own(bundle: Bundle, source: Path) -> None:
    """Two with the same maps, one with others, one with none."""
    other = (Map(0, 7000, 10),)
    mounts = [mapped_entry(source, "idmap"), mapped_entry(source, "ridmap")]
    mounts += [entry(source, "idmap", uids=other, gids=other), entry(source)]
    for number, mount in enumerate(mounts):
        bundle.add("mounts", {**mount, "destination": f"/m{number}"})
    words = " -- ".join(f"stat /m{number}/five" for number in range(4)).split()
    seen = [(line["uid"], line["gid"]) for line in run(bundle.inside(*words)).lines]
    assert seen == [(1005, 3006), (1005, 3006), (7005, 7006), (5, 6)]


def test_nothing_changes_on_the_host(bundle: Bundle, source: Path) -> None:
    with Box(bundle.add("mounts", mapped_entry(source, "idmap")).inside("pause")) as box:
        box.create()
        box.start()
        facts = (source / "five").stat()
        assert (facts.st_uid, facts.st_gid) == (5, 6)


# How deep


@pytest.mark.parametrize(
    ("options", "below"),
    [(("idmap",), (5, 6)), (("ridmap",), (1005, 3006)), ((), (5, 6)),
     (("idmap", "ridmap"), (1005, 3006)), (("ridmap", "idmap"), (5, 6))],
)  # fmt: skip
def test_what_is_mounted_below(
    bundle: Bundle, tree: Path, options: tuple[str, ...], below: tuple[int, int]
) -> None:
    seen = owners(bundle.add("mounts", mapped_entry(tree, *options)), "five", "sub")
    assert seen == [(1005, 3006), below]


def test_beside_recursive_options(bundle: Bundle, tree: Path) -> None:
    words = ("ridmap", "rro", "rnosuid", "rnodev", "rnoexec", "rnoatime")
    bundle.add("mounts", mapped_entry(tree, *words))
    outcome = run(bundle.inside("report", "--", "stat", "/m/sub", "--", "trywrite"))
    for place in ("/m", "/m/sub"):
        assert {"ro", "nosuid", "nodev", "noexec", "noatime"} <= outcome.facts.mount(place).options
        assert outcome.lines[2]["mounts"][place] in ("EROFS", "EOVERFLOW")
    assert (outcome.lines[1]["uid"], outcome.lines[1]["gid"]) == (1005, 3006)


def test_beside_other_options(bundle: Bundle, source: Path) -> None:
    bundle.add("mounts", mapped_entry(source, "ro", "nosuid", "rslave", "idmap"))
    outcome = run(bundle.inside("report", "--", "stat", "/m/five"))
    assert {"ro", "nosuid"} <= outcome.facts.mount("/m").options
    assert outcome.lines[1]["uid"] == 1005


# The mapping of the container


@pytest.fixture
def in_user_namespace(mapped: Bundle) -> Bundle:
    return mapped.inside("stat", "/m/five", "--", "create", "/m/new", "x")


def check_own(outcome: Outcome, source: Path) -> None:
    """What belongs to 5 on disk belongs to 5 in the container, and what its root makes is root's on disk."""
    seen, made = outcome.lines
    assert (seen["uid"], seen["gid"], made["errno"]) == (5, 6, ""), str(outcome)
    facts = (source / "new").stat()
    assert (facts.st_uid, facts.st_gid) == (0, 0)


@pytest.mark.parametrize("option", ["idmap", "ridmap"])
def test_without_maps_those_of_the_user_namespace(
    in_user_namespace: Bundle, source: Path, option: str
) -> None:
    check_own(run(in_user_namespace.add("mounts", entry(source, option))), source)


@pytest.mark.parametrize("told", [True, False], ids=["with its maps", "by its path alone"])
def test_without_maps_those_of_a_joined_user_namespace(
    in_user_namespace: Bundle, source: Path, told: bool
) -> None:
    with Keeper("user") as keeper:
        map_users(in_user_namespace, SUBORDINATE if told else (), keeper.path("user"))
        check_own(run(in_user_namespace.add("mounts", entry(source, "idmap"))), source)


def test_without_idmap_they_are_nobodys(in_user_namespace: Bundle, source: Path) -> None:
    outcome = run(in_user_namespace.add("mounts", entry(source)))
    assert outcome.lines[0]["uid"] == NOBODY


def test_maps_of_its_own_in_a_user_namespace(in_user_namespace: Bundle, source: Path) -> None:
    """hostID is the host's id, of which the container sees its own name."""
    first = SUBORDINATE[0].host
    maps = (Map(0, first + 40, 10),)
    outcome = run(in_user_namespace.add("mounts", entry(source, "idmap", uids=maps, gids=maps)))
    assert (outcome.lines[0]["uid"], outcome.lines[0]["gid"]) == (45, 46)
    assert outcome.lines[1]["errno"] == "EOVERFLOW"


# What is refused


ONE, TWO = (Map(0, 1000, 10),), (Map(0, 1000, 10), Map(5, 4000, 10))
TMPFS = {"destination": "/m", "type": "tmpfs", "source": "tmpfs"}
BOTH = {name: [ONE[0].document] for name in ("uidMappings", "gidMappings")}
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "idmap without a user namespace": (entry("/srv", "idmap"), "/options"),
    "ridmap without a user namespace": (entry("/srv", "ridmap"), "/options"),
    "no map of groups": (entry("/srv", "idmap", uids=ONE), "/gidMappings"),
    "no map of users": (entry("/srv", "idmap", gids=ONE), "/uidMappings"),
    "an overlap": (entry("/srv", "idmap", uids=TWO, gids=ONE), "/uidMappings/1"),
    "nothing": (entry("/srv", "idmap", uids=(Map(0, 0, 0),), gids=ONE), "/uidMappings/0/size"),
    "idmap of a new file system": ({**TMPFS, "options": ["idmap"]}, "/options"),
    "maps of a new file system": ({**TMPFS, **BOTH}, "/uidMappings"),
    "idmap of a remount": (entry("/srv", "remount", "idmap", uids=ONE, gids=ONE), "/options"),
}  # fmt: skip


@pytest.mark.parametrize("what", MISTAKES)
def test_mistakes_are_named(bundle: Bundle, what: str) -> None:
    mount, place = MISTAKES[what]
    number = len(bundle.get("mounts"))
    assert f"/mounts/{number}{place}" in refused(bundle.add("mounts", mount))


@pytest.mark.parametrize("path", ["/proc/sys", "/sys/kernel", "/dev/pts"])
def test_a_file_system_that_cannot_be_mapped(bundle: Bundle, path: str) -> None:
    number = len(bundle.get("mounts"))
    words = refused(bundle.add("mounts", mapped_entry(path, "idmap")))
    assert f"/mounts/{number}" in words and "invalid argument" in words


def test_a_map_the_kernel_does_not_take(bundle: Bundle, source: Path) -> None:
    """Longer than a page; the process that was to hold it is gone, too."""
    lines = tuple(Map(100000 + 2 * number, 1000000 + 2 * number, 1) for number in range(300))
    words = refused(bundle.add("mounts", entry(source, "idmap", uids=ONE, gids=lines)))
    assert "/mounts/3/gidMappings" in words and "invalid argument" in words


def test_one_that_cannot_be_mapped_below(bundle: Bundle, source: Path) -> None:
    """ridmap is all or nothing; idmap does not look there."""
    (source / "sub").mkdir()
    kernel.mount("sub", str(source / "sub"), "devpts")
    try:
        assert owners(bundle.add("mounts", mapped_entry(source, "idmap")), "five") == [(1005, 3006)]
        bundle.get("mounts").pop()
        assert "/mounts/3" in refused(bundle.add("mounts", mapped_entry(source, "ridmap")))
    finally:
        kernel.umount(str(source / "sub"))


def test_a_source_that_is_mapped_already(bundle: Bundle, source: Path, tmp_path: Path) -> None:
    place = tmp_path / "mapped"
    place.mkdir()
    tree = idmapping.clone(source)
    with Keeper("user") as keeper:
        assert idmapping.map_owners(tree, keeper.path("user"))
    idmapping.attach(tree, place)
    os.close(tree)
    try:
        assert owners(bundle.add("mounts", entry(place)), "five") == [(100005, 100006)]
        bundle.get("mounts").pop()
        words = refused(bundle.add("mounts", mapped_entry(place, "idmap")))
        assert "operation not permitted" in words and "id-mapped already" in words
    finally:
        kernel.umount(str(place))


def test_an_ordinary_user(person: Person) -> None:
    """One sentence, before anything is made."""
    bundle = rootless(person.bundle().add("mounts", entry("/srv", "idmap")), person, person.maps)
    with PersonBox(bundle, person) as box:
        outcome = box.create(check=False)
    assert outcome.code == 1
    assert outcome.err.count("\n") == 1 and "operation not permitted" in outcome.err
    assert "only root of the host" in outcome.err


def create_in_user_namespace(where: Path, mount: dict[str, Any], prepare: str = "") -> Outcome:
    """The runtime is root of a user namespace; `prepare` is Python run there before."""
    first = SUBORDINATE[0].host
    bundle = Bundle(where / "bundle").set("linux.cgroupsPath", None).add("mounts", mount)
    bundle.inside("stat", "/m/five")
    with Keeper("user", "mount") as keeper:
        own(where, first)
        insider = Insider(uid=first, keeper_pid=keeper.pid)
        words = [sys.executable, "-c", f"from tests.lib import kernel; import os; {prepare}"]
        subprocess.run(words, check=True, preexec_fn=insider.become, cwd=programs.PROJECT)
        with PersonBox(bundle, insider) as box:
            return box.run()


def test_root_of_a_user_namespace(where: Path) -> None:
    """The file system is another namespace's: the kernel says no, and so do we."""
    idmapping.need_mappable(where)
    outcome = create_in_user_namespace(where, mapped_entry(where, "idmap"))
    assert outcome.code == 1 and "another user namespace" in outcome.err, str(outcome)
    assert "it cannot be id-mapped: operation not permitted" in outcome.err
    assert "/mounts/3" in outcome.err


def test_a_file_system_of_the_same_user_namespace(where: Path) -> None:
    idmapping.need_mappable(where)
    volume = where / "volume"
    volume.mkdir()
    prepare = (
        f"kernel.mount('v', '{volume}', 'tmpfs'); open('{volume}/five', 'w');"
        f"os.chown('{volume}/five', 5, 6)"
    )
    outcome = create_in_user_namespace(where, mapped_entry(volume, "idmap"), prepare)
    assert outcome.code == 0, str(outcome)
    assert (outcome.lines[0]["uid"], outcome.lines[0]["gid"]) == (1005, 3006)


# Around it


def test_features_say_so(bundle: Bundle) -> None:
    with Box(bundle) as box:
        said = json.loads(box.bare("features").out)
    assert said["linux"]["mountExtensions"]["idmap"]["enabled"] is True


@pytest.mark.slow
def test_killed_anywhere(bundle: Bundle, source: Path) -> None:
    """The process that holds the mapping ends with the runtime."""
    bundle.add("mounts", mapped_entry(source, "idmap")).inside("pause")
    with Victim(bundle, "create") as victim:
        total = victim.calls("host")
        left = victim.survivors("host", list(range(3, total + 1, 7)))
    assert not left, "\n".join(left)


@pytest.mark.nightly
def test_killed_at_every_call(bundle: Bundle, source: Path) -> None:
    bundle.add("mounts", mapped_entry(source, "idmap")).inside("pause")
    with Victim(bundle, "create") as victim:
        total = victim.calls("host")
        left = victim.survivors("host", list(range(1, total + 1)))
    print(f"create: {total} system calls, {len(left)} with something left")
    assert not left, "\n".join(left)
