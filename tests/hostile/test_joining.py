"""R-07, R-08: what joins namespaces others live in gives nothing away.

CVE-2016-9962.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lib import programs
from tests.lib.box import Box
from tests.lib.bundle import Bundle
from tests.lib.namespaces import SUBORDINATE, Keeper, map_users
from tests.lib.ordinary_user import Person, PersonBox, own, rootless

FIRST = SUBORDINATE[0].host
CAPABILITIES = ("CAP_DAC_OVERRIDE", "CAP_SETUID", "CAP_KILL")


# nobody looks into a process on its way in


@contextlib.contextmanager
def stalker(where: Path, how: str, *, user: bool) -> Iterator[Box]:
    """A container that goes for everything new in its pid namespace; with a user namespace it may trace all in it."""
    bundle = Bundle(where / "stalker").inside("stalk", how, "/inside")
    if user:
        map_users(bundle, SUBORDINATE).capabilities(*CAPABILITIES, "CAP_SYS_PTRACE")
        own(bundle.rootfs, FIRST)
    else:
        bundle.capabilities(*CAPABILITIES)
    with Box(bundle) as box:
        box.create()
        box.start()
        box.expect("stalking")
        yield box


def caught(box: Box, rounds: int) -> None:
    """It saw them come, was refused, and got hold of nothing."""
    box.kill("TERM")
    assert box.wait() == 0, box.error_output
    haul = box.expect("stalked")
    assert haul["breaches"] == 0, haul
    assert haul["seen"] >= rounds // 2 and haul["denied"] > 0, haul


def join_by_exec(box: Box, rounds: int) -> None:
    for _ in range(rounds):
        box.call("exec", box.id, "/inside", "spin", "5", check=True)


def join_by_create(box: Box, where: Path, rounds: int, *, user: bool) -> None:
    for number in range(rounds):
        bundle = Bundle(where / f"joining{number}").inside("exit", "0").capabilities(*CAPABILITIES)
        bundle.namespace("pid", f"/proc/{box.pid}/ns/pid")
        if user:
            map_users(bundle, SUBORDINATE, f"/proc/{box.pid}/ns/user")
            own(bundle.rootfs, FIRST)
        with Box(bundle) as other:
            other.create()
            other.start()
            assert other.wait() == 0


@pytest.mark.parametrize("how", ["trace", "look"])
@pytest.mark.parametrize("user", [False, True], ids=["host", "user"])
def test_nobody_looks_into_an_exec(where: Path, how: str, user: bool) -> None:
    with stalker(where, how, user=user) as box:
        join_by_exec(box, 30)
        caught(box, 30)


@pytest.mark.parametrize("how", ["trace", "look"])
@pytest.mark.parametrize("user", [False, True], ids=["host", "user"])
def test_nobody_looks_into_a_container_that_joins(where: Path, how: str, user: bool) -> None:
    """Neither on its way nor while it waits for start."""
    with stalker(where, how, user=user) as box:
        join_by_create(box, where, 5, user=user)
        caught(box, 5)


@pytest.mark.parametrize("user", [False, True], ids=["host", "user"])
def test_a_container_that_kills_whoever_comes(where: Path, user: bool) -> None:
    """That is its right; the caller gets a status or a sentence, at once, and nothing stays."""
    with stalker(where, "kill", user=user) as box:
        for _ in range(10):
            outcome = box.call("exec", box.id, "/inside", "spin", "50")
            assert outcome.code in (128 + 9, 255), str(outcome)
            assert outcome.code != 255 or outcome.err.strip(), "a failure without a word"
            assert "internal error" not in outcome.err and "Traceback" not in outcome.err
        box.kill("TERM")
        assert box.wait() == 0
        assert box.expect("stalked")["breaches"] == 0


@pytest.mark.nightly
@pytest.mark.parametrize("how", ["trace", "look"])
@pytest.mark.parametrize("user", [False, True], ids=["host", "user"])
def test_race(where: Path, how: str, user: bool) -> None:
    with stalker(where, how, user=user) as box:
        join_by_exec(box, 500)
        caught(box, 500)


@pytest.mark.parametrize("user", ["new", "joined"])
def test_the_waiting_init_belongs_to_the_hosts_root(where: Path, user: str) -> None:
    """Its files in /proc are those of a process nobody may look into (prctl(2), PR_SET_DUMPABLE)."""
    with Keeper("user") as keeper:
        path = keeper.path("user") if user == "joined" else None
        bundle = map_users(Bundle(where / "bundle"), SUBORDINATE, path)
        own(bundle.rootfs, FIRST)
        with Box(bundle) as box:
            box.create()
            status = Path(f"/proc/{box.pid}/status").read_text()
            assert f"Uid:\t{FIRST}\t" in status
            assert os.stat(f"/proc/{box.pid}/mem").st_uid == 0


# The calls themselves


Call = tuple[int, str, str]
"""Process, name, and the whole as strace writes it."""


def trace(box: Box, *words: str, code: int = 0) -> list[Call]:
    """Every call of `words` and of its descendants. One that was interrupted stands where it began."""
    file = box.scratch / "trace"
    box.wrap = ["strace", "-f", "-qq", "-s", "256", "-o", str(file)]
    outcome = box.call(*words)
    box.wrap = []
    assert outcome.code == code, str(outcome)
    found: list[Call] = []
    open_calls: dict[int, int] = {}
    for line in file.read_text(errors="replace").splitlines():
        begun = re.match(r"(\d+) +(\w+)\(", line)
        ended = re.match(r"(\d+) +<\.\.\. \w+ resumed>(.*)", line)
        if begun:
            pid = int(begun[1])
            if line.endswith("<unfinished ...>"):
                open_calls[pid] = len(found)
            found.append((pid, begun[2], line.removesuffix("<unfinished ...>")))
        elif ended and int(ended[1]) in open_calls:
            place = open_calls.pop(int(ended[1]))
            pid, name, start = found[place]
            found[place] = (pid, name, start + ended[2])
    return found


def run_words(box: Box) -> list[str]:
    box.bundle.write(box.id)
    return ["run", "--bundle", str(box.bundle.directory), box.id]


def is_hiding(call: Call) -> bool:
    return (
        call[1] == "prctl"
        and re.search(r"PR_SET_DUMPABLE, (SUID_DUMP_DISABLE|0)\b", call[2]) is not None
    )


def is_showing(call: Call) -> bool:
    return (
        call[1] == "prctl"
        and re.search(r"PR_SET_DUMPABLE, (SUID_DUMP_USER|1)\b", call[2]) is not None
    )


def check_hidden_before_joining(calls: list[Call]) -> None:
    """No process joins anything before it, or the one it was cloned from, had made itself non-dumpable; and none that
    has joined shows itself again."""
    hidden: set[int] = set()
    joined: set[int] = set()
    for call in calls:
        pid, name, line = call
        if is_hiding(call):
            hidden.add(pid)
        elif is_showing(call):
            assert pid not in joined, line
            hidden.discard(pid)
        elif name == "setns":
            assert pid in hidden, line
            joined.add(pid)
        elif name in ("clone", "clone3", "vfork", "fork"):
            child = re.search(r"= (\d+)$", line)
            if child and pid in hidden:
                hidden.add(int(child[1]))
        elif name in ("execve", "execveat") and line.endswith("= 0"):
            hidden.discard(pid)  # the kernel makes it dumpable again
    assert joined, "nothing was joined at all"


SPAWNS = ["plain", "pid", "user", "joined user"]


@contextlib.contextmanager
def spawn(where: Path, kind: str) -> Iterator[Bundle]:
    """Bundles that take each way into namespaces there is."""
    with Keeper("user", "pid") as lesser, Keeper("pid", "network") as keeper:
        bundle = Bundle(where / "bundle").inside("exit", "0").namespace("cgroup")
        if kind == "pid":
            bundle.namespace("pid", keeper.path("pid")).namespace("network", keeper.path("network"))
        elif kind == "joined user":
            map_users(bundle, SUBORDINATE, lesser.path("user")).namespace("pid", lesser.path("pid"))
        elif kind != "plain":
            map_users(bundle, SUBORDINATE)
        if "user" in kind:
            own(bundle.rootfs, FIRST)
        yield bundle


@pytest.mark.parametrize("kind", ["pid", "joined user"])
def test_hidden_before_anything_is_joined(where: Path, kind: str) -> None:
    with spawn(where, kind) as bundle, Box(bundle) as box:
        check_hidden_before_joining(trace(box, *run_words(box)))


def test_exec_is_hidden_before_it_joins(where: Path) -> None:
    with spawn(where, "user") as bundle, Box(bundle.inside("pause")) as box:
        box.create()
        box.start()
        check_hidden_before_joining(trace(box, "exec", box.id, "/inside", "exit", "0"))


def inits(calls: list[Call]) -> dict[int, list[Call]]:
    """Of each process that became the init: its calls from its birth on."""
    pids = {pid for pid, name, _ in calls if name == "execveat"}
    assert pids, "no init was executed"
    return {pid: [call for call in calls if call[0] == pid] for pid in pids}


SHIM = {"close_range", "fcntl", "dup3", "rt_sigprocmask", "execveat"}
OWN = {"move_above", "move_in_place", "is_wanted", "run_child"}


@pytest.mark.parametrize("kind", SPAWNS)
def test_the_first_call_of_the_init(where: Path, kind: str) -> None:
    """And before it, on memory shared with the host side, nothing but descriptors and the signal mask (R-08)."""
    with spawn(where, kind) as bundle, Box(bundle) as box:
        check_first_calls(trace(box, *run_words(box)))


def test_the_first_call_of_an_exec(where: Path) -> None:
    with spawn(where, "user") as bundle, Box(bundle.inside("pause")) as box:
        box.create()
        box.start()
        check_first_calls(trace(box, "exec", box.id, "/inside", "exit", "0"))


def check_first_calls(calls: list[Call]) -> None:
    for mine in inits(calls).values():
        names = [name for _, name, _ in mine]
        start = names.index("execveat")
        assert set(names[:start]) <= SHIM, names[:start]
        assert is_hiding(mine[start + 1]), mine[start + 1]


def test_an_ordinary_users_init_shows_itself_for_its_maps_only(person: Person) -> None:
    """Who is not root could not write them otherwise: in a user namespace in which nobody else lives yet."""
    bundle = rootless(person.bundle().inside("exit", "0"), person, person.single)
    with PersonBox(bundle, person) as box:
        calls = trace(box, *run_words(box))
    shown = [call for call in calls if is_showing(call)]
    for pid, _, _ in shown:
        mine = [call for call in calls if call[0] == pid]
        places = [index for index, call in enumerate(mine) if is_showing(call)]
        before, after = mine[: places[0]], mine[places[0] + 1 :]
        assert any("CLONE_NEWUSER" in line for _, _, line in before)
        following = [call for call in after if is_hiding(call) or call[1] in ("unshare", "setns")]
        assert following and is_hiding(following[0])
    assert len(shown) <= 1


def test_the_source_of_the_shims_child() -> None:
    """R-08: an allow-list of what is called between clone and execveat."""
    source = (programs.PROJECT / "native/shim/shim.c").read_text()
    found: set[str] = set()
    for name in sorted(OWN):
        body = source.partition(f"static int {name}(")[2].partition("\n}\n")[0]
        called = set(re.findall(r"\b(\w+)\s*\(", body))
        assert called - {"if", "for", "while", "sizeof", "return"} <= {"SYS", *OWN}, called
        found.update(re.findall(r"SYS\((\w+)", body))
    assert found == {*SHIM, "close"}, "the latter where descriptors are few"
