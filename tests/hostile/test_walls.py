"""R-16, R-17, R-19, R-20: the same walls around the container's program and around one put in later.

One table of probes, run by create and by exec, for root, root with a user namespace and an ordinary user.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lib import programs
from tests.lib.box import Box, Outcome
from tests.lib.bundle import Bundle
from tests.lib.facts import Facts
from tests.lib.namespaces import SUBORDINATE, Map, map_users
from tests.lib.ordinary_user import Person, PersonBox, known, own, place

PERSON = Person()
MAPS: dict[str, tuple[Map, ...]] = {"root": (), "user": SUBORDINATE, "rootless": PERSON.maps}
FILTER = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 33}],
}
PROBES = (
    ("report",),
    ("cat", "/etc/shadow"),
    ("ls", "/secret"),
    ("create", "/secret/x", "x"),
    ("create", "/fixed/x", "x"),
    ("create", "/volume/x", "x"),
    ("create", "/open/made", "x", "666"),
    ("stat", "/open/made"),
    ("mkdir", "/open/directory"),
    ("device", "/open/device", "c", "1", "11"),
    ("stat", "/"),
    ("stat", "/.."),
    ("tryexec", "/volume/inside", "exit", "0"),
    ("exec", "/set-uid", "ids"),
)


@dataclass(frozen=True)
class Program:
    """Whose the process is and what it may; the other half of the walls is the same for all."""

    user: dict[str, Any]
    capabilities: tuple[str, ...]
    ambient: tuple[str, ...]
    no_new_privileges: bool


PROGRAMS = {
    "superuser": Program(
        {"uid": 0, "gid": 0, "umask": 0o27}, ("CAP_DAC_OVERRIDE", "CAP_KILL", "CAP_MKNOD"), (), False
    ),
    "plain user": Program(
        {"uid": 1000, "gid": 1001, "additionalGids": [5, 6], "umask": 0o77},
        ("CAP_KILL", "CAP_CHOWN"),
        ("CAP_KILL",),
        True,
    ),
}  # fmt: skip


def build(bundle: Bundle, program: Program) -> None:
    bundle.file("/etc/shadow", "secret").file("/secret/file", "secret").dir("/fixed", 0o777)
    bundle.dir("/open", 0o777)
    volume = bundle.directory / "volume"
    volume.mkdir()
    shutil.copy2(programs.inside(), volume / "inside")
    shutil.copy2(programs.inside(), bundle.rootfs / "set-uid")
    bundle.bind(volume, "/volume", "ro", "noexec", "nosuid", "nodev")
    bundle.set("linux.maskedPaths", ["/etc/shadow", "/secret"])
    bundle.set("linux.readonlyPaths", ["/fixed"]).set("linux.seccomp", FILTER)
    bundle.set("process.user", dict(program.user))
    bundle.set("process.noNewPrivileges", program.no_new_privileges)
    bundle.capabilities(*program.capabilities, ambient=program.ambient)
    bundle.set("process.oomScoreAdj", 123)
    bundle.set("process.rlimits", [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
                                   {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}])  # fmt: skip


@contextlib.contextmanager
def container(who: str, program: Program) -> Iterator[Box]:
    maps = MAPS[who]
    with known(PERSON) if who == "rootless" else place() as where:
        home = where.home if isinstance(where, Person) else where
        bundle = Bundle(home / "bundle")
        build(bundle, program)
        if maps:
            map_users(bundle, maps)
            own(bundle.rootfs, maps[0].host)
        if who == "rootless":
            bundle.set("linux.cgroupsPath", None)
            bundle.document["process"]["user"].pop("additionalGids", None)
            own(bundle.directory, PERSON.uid)
        (bundle.rootfs / "set-uid").chmod(0o4755)
        with PersonBox(bundle, PERSON) if who == "rootless" else Box(bundle) as box:
            yield box


def by_create(box: Box, words: list[str]) -> Outcome:
    box.bundle.inside(*words)
    return box.run()


def by_exec(box: Box, words: list[str]) -> Outcome:
    box.bundle.inside("pause")
    box.create()
    box.start()
    box.expect("pause")
    return box.call("exec", box.id, "/inside", *words)


class Seen:
    """What the probes met: the report, and each outcome by its words."""

    def __init__(self, outcome: Outcome, who: str) -> None:
        lines = outcome.lines
        self.who = who
        self.facts: Facts = outcome.facts
        self.ids = lines[-1]
        assert [line["cmd"] for line in lines[:12]] == [words[0] for words in PROBES[:12]], lines
        self.lines = {words[:2]: line for words, line in zip(PROBES, lines, strict=False)}
        self.not_executed = lines[12]

    def errno(self, *words: str) -> str:
        return str(self.lines[words]["errno"])


def sets(seen: Seen, program: Program) -> bool:
    full, held = set(program.capabilities), set(program.ambient)
    uid = program.user["uid"]
    wanted = {
        "bounding": full,
        "permitted": full,
        "effective": full,
        "inheritable": held,
        "ambient": held,
    }
    if uid:  # execve keeps the ambient ones alone (capabilities(7))
        wanted.update(permitted=held, effective=held)
    return all(seen.facts.capabilities(kind) == names for kind, names in wanted.items())


def identity(seen: Seen, program: Program) -> bool:
    facts, user = seen.facts, program.user
    groups = user.get("additionalGids", []) if seen.who != "rootless" else []
    return (facts.uid, facts.gid, facts.groups) == ([user["uid"]] * 3, [user["gid"]] * 3, groups)


def device(seen: Seen, program: Program) -> bool:
    """Nobody opens 1:11; who is root of the host at least makes the node, as the rules say."""
    line = seen.lines["device", "/open/device"]
    makes = seen.who == "root" and "CAP_MKNOD" in program.capabilities
    return bool(line["errno"] == "EPERM" and line["stage"] == ("open" if makes else "mknod"))


def set_user_id(seen: Seen, program: Program) -> bool:
    uid = program.user["uid"]
    effective = uid if program.no_new_privileges else 0
    return bool(seen.ids["cmd"] == "ids" and seen.ids["uid"] == [uid, effective, effective])


WALLS: dict[str, Callable[[Seen, Program], bool]] = {
    "capabilities": sets,
    "user and groups": identity,
    "no_new_privs": lambda seen, program: bool(seen.facts.no_new_privs) == program.no_new_privileges,
    "set-user-ID programs": set_user_id,
    "seccomp": lambda seen, program: (
        seen.facts.seccomp == 2 and seen.errno("mkdir", "/open/directory") == "EDOM"
    ),
    "oom score": lambda seen, program: seen.facts.files["/proc/self/oom_score_adj"] == "123\n",
    "masked file": lambda seen, program: not seen.lines["cat", "/etc/shadow"]["data"],
    "masked directory": lambda seen, program: not seen.lines["ls", "/secret"]["entries"],
    "masked directory is read-only": lambda seen, program: (
        seen.errno("create", "/secret/x") in ("EROFS", "EACCES")
    ),
    "read-only path": lambda seen, program: seen.errno("create", "/fixed/x") == "EROFS",
    "read-only volume": lambda seen, program: seen.errno("create", "/volume/x") == "EROFS",
    "volume without programs": lambda seen, program: seen.not_executed["errno"] == "EACCES",
    "devices": device,
    "root": lambda seen, program: seen.lines["stat", "/"]["ino"] == seen.lines["stat", "/.."]["ino"],
    "descriptors": lambda seen, program: {each["fd"] for each in seen.facts.fds} == {0, 1, 2},
    "no terminal of the host's": lambda seen, program: not seen.facts.controlling_tty,
    "signals": lambda seen, program: seen.facts.blocked == [] == seen.facts.ignored,
    "death signal": lambda seen, program: seen.facts.pdeathsig == 0,
    "securebits": lambda seen, program: (seen.facts.securebits, seen.facts.keepcaps) == (0, 0),
}  # fmt: skip


@pytest.mark.parametrize("way", [by_create, by_exec], ids=["create", "exec"])
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("who", MAPS)
def test_every_wall_stands(
    who: str, program: str, way: Callable[[Box, list[str]], Outcome]
) -> None:
    chosen = PROGRAMS[program]
    words = [word for probe in PROBES for word in ("--", *probe)][1:]
    with container(who, chosen) as box:
        outcome = way(box, words)
        assert outcome.code == 0, str(outcome)
        seen = Seen(outcome, who)
        broken = [name for name, stands in WALLS.items() if not stands(seen, chosen)]
        assert not broken, f"{broken}: {outcome}"
        keyring = seen.facts.keyring_name
        assert keyring is None or f"_ses.{box.id}" in keyring, "keys of the caller's session"


@pytest.mark.parametrize("way", [by_create, by_exec], ids=["create", "exec"])
@pytest.mark.parametrize("who", MAPS)
def test_limits(who: str, way: Callable[[Box, list[str]], Outcome]) -> None:
    with container(who, PROGRAMS["superuser"]) as box:
        limits = way(box, ["report"]).facts.rlimits
        assert (limits["NOFILE"], limits["CORE"]) == ([100, 200], [0, 0])


@pytest.mark.parametrize("way", [by_create, by_exec], ids=["create", "exec"])
@pytest.mark.parametrize("who", MAPS)
def test_umask(who: str, way: Callable[[Box, list[str]], Outcome]) -> None:
    with container(who, PROGRAMS["plain user"]) as box:
        made = way(box, ["create", "/open/made", "x", "666", "--", "stat", "/open/made"]).lines[1]
        assert made["mode"] == 0o600


@pytest.mark.parametrize("way", [by_create, by_exec], ids=["create", "exec"])
def test_personality(bundle: Bundle, way: Callable[[Box, list[str]], Outcome]) -> None:
    with Box(bundle.set("linux.personality", {"domain": "LINUX32"})) as box:
        outcome = way(box, ["report"])
        assert outcome.facts.personality == 8, str(outcome)
