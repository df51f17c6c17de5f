"""Namespaces × new, joined by path, absent × root, root with a user namespace, an ordinary user (config-linux.md,
Namespaces). Every cell is one container that reports what it sees, compared with the keeper's and the tests' own.

Time namespaces have a file of their own.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lib import facts, kernel
from tests.lib.box import Box, Outcome, refused
from tests.lib.bundle import Bundle
from tests.lib.facts import Facts
from tests.lib.namespaces import FILES, SUBORDINATE, Keeper, Map, inode, map_users, parse_map
from tests.lib.ordinary_user import Person, PersonBox, known, own, place

pytestmark = pytest.mark.covers(
    "linux.namespaces.type", "linux.namespaces.path", "linux.uidMappings", "linux.gidMappings"
)

KINDS = ("pid", "network", "ipc", "uts", "cgroup", "mount")
USUAL = {"pid": "new", "network": "new", "ipc": "new", "uts": "new", "mount": "new"}
SYSCTLS = {
    "network": ("net.ipv4.ip_unprivileged_port_start", "80"),
    "ipc": ("kernel.msgmax", "4096"),
}
IFF_UP = 1
PERSON = Person()


@dataclass(frozen=True)
class Who:
    """Who calls the runtime, and the form of the user namespace."""

    name: str
    user: str
    maps: tuple[Map, ...] = ()
    person: bool = False

    def __str__(self) -> str:
        return self.name


ROOT = Who("root", "absent")
MAPPED = Who("root with a user namespace", "new", SUBORDINATE)
IN_MAPPED = Who("root joins a user namespace", "joined", SUBORDINATE)
ORDINARY = Who("ordinary user", "new", PERSON.maps, person=True)
SINGLE = Who("ordinary user with one id", "new", PERSON.single, person=True)
IN_ORDINARY = Who(
    "ordinary user in a user namespace of their own", "joined", PERSON.maps, person=True
)
EVERYBODY = (ROOT, MAPPED, IN_MAPPED, ORDINARY, SINGLE, IN_ORDINARY)

Forms = Mapping[str, str]


@contextlib.contextmanager
def keeper_of(who: Who, forms: Forms) -> Iterator[Keeper | None]:
    """Holds what the cell joins; a user namespace among it owns the rest."""
    kinds = [kind for kind, form in forms.items() if form == "joined"]
    if not kinds:
        yield None
        return
    with Keeper(
        *kinds, maps=who.maps or SUBORDINATE, prepare=PERSON.become if who.person else None
    ) as keeper:
        yield keeper


def is_set(kind: str, who: Who, forms: Forms) -> bool:
    """Root of a user namespace may change the sysctls of ipc since Linux 6.10 only."""
    return forms.get(kind) == "new" and not (kind == "ipc" and who.maps)


def describe(bundle: Bundle, who: Who, forms: Forms, keeper: Keeper | None) -> None:
    """The namespaces of config.json, and what shows that they are the container's."""
    bundle.set("linux.namespaces", [])
    for kind, form in forms.items():
        if form != "absent":
            path = keeper.path(kind) if keeper and form == "joined" else None
            bundle.namespace(kind, path)
    if who.maps:
        map_users(
            bundle, who.maps, keeper.path("user") if keeper and who.user == "joined" else None
        )
    if who.person:
        bundle.set("linux.cgroupsPath", None)
    for kind, (name, value) in SYSCTLS.items():
        if is_set(kind, who, forms):
            bundle.set("linux.sysctl", {**bundle.document["linux"].get("sysctl", {}), name: value})
    if forms.get("uts") == "new":
        bundle.hostname("cell")
    if who.maps and forms.get("pid") != "new":
        bundle.set("mounts.0", {"destination": "/proc", "source": "/proc", "options": ["rbind"]})
    bundle.inside(
        "report", "--", "create", "/made", "x", "--",
        "cat", "/proc/sys/kernel/msgmax", "--",
        "cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start",
    )  # fmt: skip


def box_of(who: Who, bundle: Bundle) -> Box:
    if who.person:
        own(bundle.directory, PERSON.uid)
        return PersonBox(bundle, PERSON)
    if who.maps:
        own(bundle.rootfs, who.maps[0].host)
    return Box(bundle)


def verify(
    outcome: Outcome, bundle: Bundle, who: Who, forms: Forms, keeper: Keeper | None
) -> Facts:
    assert outcome.code == 0, str(outcome)
    seen = outcome.facts
    for kind in FILES:
        form = forms.get(kind, "absent")
        found, ours = seen.namespaces[FILES[kind]], inode(kind)
        kept = keeper.inode(kind) if keeper and kind in keeper.kinds else None
        wanted = {
            "absent": found == ours,
            "joined": found == kept,
            "new": found not in (ours, kept),
        }
        assert wanted[form], f"{kind}, {form}: {found}, the host's is {ours}, the keeper's {kept}"
    names = {"new": "cell", "joined": "keeper", "absent": os.uname().nodename}
    assert seen.hostname == names[forms.get("uts", "absent")]
    assert bool(seen.interfaces["lo"] & IFF_UP) == (forms.get("network") == "new")
    if forms.get("cgroup") == "new":
        assert set(seen.cgroups.values()) == {"/"}
    for line in outcome.lines:
        assert not line.get("errno"), line
    texts = {line["path"]: line["data"].strip() for line in outcome.lines if line["cmd"] == "cat"}
    for kind, (name, value) in SYSCTLS.items():
        found = texts[f"/proc/sys/{name.replace('.', '/')}"]
        assert (found == value) == is_set(kind, who, forms), (name, found)
    verify_user(seen, bundle, who)
    return seen


def verify_user(seen: Facts, bundle: Bundle, who: Who) -> None:
    maps = list(who.maps) or [Map(0, 0, 2**32 - 1)]
    files = seen.report["files"]
    assert parse_map(files["/proc/self/uid_map"]) == maps
    assert parse_map(files["/proc/self/gid_map"]) == maps
    assert seen.uid == [0, 0, 0] and seen.gid == [0, 0, 0] and seen.groups == []
    made = (bundle.rootfs / "made").stat()
    assert (made.st_uid, made.st_gid) == (maps[0].host, maps[0].host)


@contextlib.contextmanager
def scene(who: Who) -> Iterator[Bundle]:
    with known(PERSON) if who.person else place() as where:
        home = where.home if isinstance(where, Person) else where
        yield Bundle(home / "bundle")


def cell(who: Who, forms: Forms) -> Facts:
    """One container of that form, from run to delete."""
    complete = {**forms, "user": who.user}
    with scene(who) as bundle, keeper_of(who, complete) as keeper:
        describe(bundle, who, complete, keeper)
        with box_of(who, bundle) as box:
            seen = verify(box.run(), bundle, who, complete, keeper)
        assert (seen.pid == 1) == (forms.get("pid") == "new")
        return seen


def cells() -> Iterator[tuple[Who, str, str]]:
    """Each kind in each form beside the usual others. Not there: what the kernel's rules forbid. An ordinary
    user owns no namespace outside the user namespace that is joined; a new one has no rights in a mount
    namespace that was there before."""
    for who, kind, form in itertools.product(EVERYBODY, KINDS, ("new", "joined", "absent")):
        if form == "joined" and who in (ORDINARY, SINGLE):
            continue
        if kind == "mount" and (form == "absent" or (form == "joined" and who is MAPPED)):
            continue
        yield who, kind, form


@pytest.mark.parametrize(
    ("who", "kind", "form"), list(cells()), ids=lambda each: str(each).replace(" ", "-")
)
def test_one_kind(who: Who, kind: str, form: str) -> None:
    cell(who, {**USUAL, kind: form})


# What engines ask for, by the name under which a user would know it.
COMBINATIONS = {
    "podman pod": (ROOT, {"network": "joined", "ipc": "joined", "uts": "joined"}),
    "podman pod with a user namespace": (
        IN_MAPPED, {"network": "joined", "ipc": "joined", "uts": "joined"},
    ),
    "rootless pod": (IN_ORDINARY, {"network": "joined", "ipc": "joined", "uts": "joined"}),
    "user, pid and network of another container": (
        IN_MAPPED, {"pid": "joined", "network": "joined"},
    ),
    "rootless, user, pid and network of another": (
        IN_ORDINARY, {"pid": "joined", "network": "joined"},
    ),
    "network of the host's user namespace": (MAPPED, {"network": "joined"}),
    "everything of the host's user namespace": (
        MAPPED, {"network": "joined", "ipc": "joined", "uts": "joined", "cgroup": "joined"},
    ),
    "everything of another": (
        ROOT, dict.fromkeys(("pid", "network", "ipc", "uts", "cgroup"), "joined"),
    ),
    "everything of another, with its user namespace": (
        IN_MAPPED, dict.fromkeys(("pid", "network", "ipc", "uts", "cgroup"), "joined"),
    ),
    "rootless, everything of another": (
        IN_ORDINARY, dict.fromkeys(("pid", "network", "ipc", "uts", "cgroup"), "joined"),
    ),
    "everything of another, its mounts too": (ROOT, dict.fromkeys(KINDS, "joined")),
    "everything of another, its mounts too, with its user namespace": (
        IN_MAPPED, dict.fromkeys(KINDS, "joined"),
    ),
    "rootless, everything of another, its mounts too": (
        IN_ORDINARY, dict.fromkeys(KINDS, "joined"),
    ),
    "everything new": (ROOT, {"cgroup": "new"}),
    "everything new, with a user namespace": (MAPPED, {"cgroup": "new"}),
    "rootless, everything new": (ORDINARY, {"cgroup": "new"}),
    "the host's network": (ROOT, {"network": "absent"}),
    "the host's everything but mounts": (
        ROOT, dict.fromkeys(("pid", "network", "ipc", "uts"), "absent"),
    ),
    "rootless, the host's everything but mounts": (
        ORDINARY, dict.fromkeys(("pid", "network", "ipc", "uts"), "absent"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", COMBINATIONS)
def test_what_engines_ask_for(name: str) -> None:
    who, forms = COMBINATIONS[name]
    cell(who, {**USUAL, **forms})


def test_a_pid_namespace_that_belongs_to_a_user_namespace() -> None:
    """Root may join it without the user namespace it belongs to."""
    with place() as where, Keeper("user", "pid") as keeper:
        bundle = Bundle(where / "bundle").namespace("pid", keeper.path("pid"))
        with Box(bundle) as box:
            outcome = box.run()
        assert outcome.code == 0, str(outcome)
        assert outcome.facts.namespaces["pid"] == keeper.inode("pid")
        assert outcome.facts.namespaces["user"] == inode("user")
        assert outcome.facts.pid > 1


def test_no_namespace_at_all() -> None:
    """A changed root and nothing else; its /proc is the tests', mounted beforehand."""
    with place() as where:
        bundle = Bundle(where / "bundle").set("linux.namespaces", []).set("mounts", [])
        bundle.inside("report", "--", "stat", "/inside")
        kernel.mount("/proc", str(bundle.rootfs / "proc"), flags=kernel.MS_BIND)
        try:
            with Box(bundle) as box:
                outcome = box.run()
        finally:
            kernel.umount(str(bundle.rootfs / "proc"))
        assert outcome.code == 0, str(outcome)
        assert outcome.facts.namespaces == {FILES[kind]: inode(kind) for kind in FILES}
        assert outcome.lines[1]["ino"] == (bundle.rootfs / "inside").stat().st_ino


def test_a_pid_namespace_without_its_first_process() -> None:
    """It can never again hold a process: one sentence, and nothing is left."""
    with place() as where, Keeper("pid") as keeper:
        fd = os.open(keeper.path("pid"), os.O_RDONLY)
        keeper.end()
        bundle = Bundle(where / "bundle").namespace("pid", f"/proc/{os.getpid()}/fd/{fd}")
        try:
            refused(bundle)
        finally:
            os.close(fd)


def test_a_user_namespace_without_a_mount_namespace() -> None:
    """A changed root in the caller's mounts, of which the user namespace owns none."""
    with place() as where:
        bundle = Bundle(where / "bundle").without_namespace("mount").set("mounts", [])
        map_users(bundle, SUBORDINATE)
        own(bundle.rootfs, SUBORDINATE[0].host)
        with Box(bundle.inside("stat", "/inside")) as box:
            found = box.run(check=True).lines[0]
        assert found["ino"] == (bundle.rootfs / "inside").stat().st_ino
        assert (found["uid"], found["gid"]) == (0, 0)


def test_a_mount_namespace_the_user_namespace_does_not_own() -> None:
    """Entered before, but nothing can be mounted there: an error, and nothing is left."""
    with place() as where, Keeper("mount") as keeper:
        bundle = map_users(Bundle(where / "bundle"), SUBORDINATE)
        own(bundle.rootfs, SUBORDINATE[0].host)
        assert "operation not permitted" in refused(bundle.namespace("mount", keeper.path("mount")))


FOREIGN = {
    "a user namespace of root's": (),
    "another's network beside a new user namespace": ("network",),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_an_ordinary_user_may_not_join(person: Person, name: str) -> None:
    """One sentence that names the property."""
    kinds = FOREIGN[name]
    mine = bool(kinds)
    with Keeper("user", *kinds, maps=PERSON.maps if mine else SUBORDINATE,
                prepare=PERSON.become if mine else None) as keeper:  # fmt: skip
        bundle = map_users(person.bundle(), keeper.maps, None if mine else keeper.path("user"))
        for kind in kinds:
            bundle.namespace(kind, keeper.path(kind))
        with PersonBox(person.give(bundle.set("linux.cgroupsPath", None)), person) as box:
            outcome = box.create(check=False)
            assert outcome.code == 1 and "/linux/namespaces" in outcome.err, str(outcome)
            assert "permi" in outcome.err


# Created, started, deleted: what an engine sees from outside


LIVES = {
    "root": (ROOT, {}),
    "pid joined": (ROOT, {"pid": "joined"}),
    "user": (MAPPED, {}),
    "user and pid joined": (IN_MAPPED, {"pid": "joined"}),
    "rootless": (ORDINARY, {}),
    "rootless, user and pid joined": (IN_ORDINARY, {"pid": "joined"}),
}


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize("name", LIVES)
def test_a_whole_life(name: str) -> None:
    """The pid is our own child's, in the namespaces of the config already before start."""
    who, more = LIVES[name]
    forms = {**USUAL, **more, "user": who.user}
    with scene(who) as bundle, keeper_of(who, forms) as keeper:
        describe(bundle, who, forms, keeper)
        with box_of(who, bundle) as box:
            box.create()
            state = box.state()
            assert (state["status"], state["pid"]) == ("created", box.pid)
            assert parent(box.pid) == os.getpid()
            before = {kind: inode(kind, box.pid) for kind in FILES}
            uids = facts.parse_status(Path(f"/proc/{box.pid}/status").read_text())["Uid"]
            assert set(uids.split()) == {str(who.maps[0].host if who.maps else 0)}
            box.start()
            assert box.wait() == 0
            assert {kind: box.facts.namespaces[FILES[kind]] for kind in FILES} == before
            assert box.status == "stopped"
            box.delete()
            assert box.call("state", box.id).code == 1


@pytest.mark.parametrize("name", LIVES)
def test_exec_is_in_all_of_them(name: str) -> None:
    """One more process, in every namespace of the container, with its ids; what it makes has the same owner."""
    who, more = LIVES[name]
    forms = {**USUAL, **more, "user": who.user}
    with scene(who) as bundle, keeper_of(who, forms) as keeper:
        describe(bundle, who, forms, keeper)
        words = bundle.get("process.args")
        with box_of(who, bundle.inside("pause")) as box:
            box.create()
            box.start()
            box.expect("pause")
            seen = verify(box.call("exec", box.id, *words), bundle, who, forms, keeper)
            assert seen.pid > 1
            found = {kind: seen.namespaces[FILES[kind]] for kind in FILES}
            assert found == {kind: inode(kind, box.pid) for kind in FILES}


@pytest.mark.nightly
@pytest.mark.parametrize("who", EVERYBODY, ids=str)
def test_the_whole_product(who: Who) -> None:
    """Every form of every kind with every form of every other."""
    forms = ("new", "absent") if who in (ORDINARY, SINGLE) else ("new", "joined", "absent")
    kinds = ("pid", "network", "ipc", "uts", "cgroup")
    for chosen in itertools.product(forms, repeat=len(kinds)):
        cell(who, {"mount": "new", **dict(zip(kinds, chosen, strict=True))})
