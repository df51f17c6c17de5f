"""Containers inside user namespaces: where the runtime itself sits in one, once and twice, as root and as a user there.

The outer namespaces are made by unshare(1). Root of a user namespace has rights over it and needs no further one; a
user in it is rootless once more, with what ids there are.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lib import programs
from tests.lib.box import Outcome
from tests.lib.bundle import CAPABILITIES, PRIVILEGES, Bundle
from tests.lib.namespaces import Map, map_users, parse_map
from tests.lib.ordinary_user import Person, PersonBox, own

pytestmark = pytest.mark.covers("linux.uidMappings", "linux.gidMappings")

ALONE = ("unshare", "--map-root-user", "--mount", "--")
"""Root of a namespace with one id."""
MANY = ("unshare", "--map-root-user", "--map-auto", "--mount", "--")
"""Root of a namespace with the subordinate ids."""
DEPTHS = [(ALONE,), (ALONE, ALONE), (MANY,), (MANY, ALONE)]
NAMES = ["one", "one twice", "many", "many, one"]


def bundle_of(person: Person, name: str = "bundle", *maps: Map) -> Bundle:
    bundle = person.bundle(name).set("linux.cgroupsPath", None)
    return map_users(bundle, maps) if maps else bundle


def call(person: Person, bundle: Bundle, wrap: tuple[tuple[str, ...], ...], *flags: str) -> Outcome:
    words = [word for step in wrap for word in step]
    with PersonBox(person.give(bundle), person, wrap=words) as box:
        outcome = box.run(*flags)
        box.wrap = words[:0]  # the last tidying up is the user's own
        return outcome


def silent(outcome: Outcome) -> Outcome:
    assert outcome.code == 0, str(outcome)
    assert outcome.err == "" and outcome.log_text == "", str(outcome)
    return outcome


@pytest.mark.parametrize("wrap", DEPTHS, ids=NAMES)
def test_root_of_a_namespace_needs_no_further_one(
    person: Person, wrap: tuple[tuple[str, ...], ...]
) -> None:
    facts = silent(call(person, bundle_of(person), wrap)).facts
    assert facts.status["Uid"].split() == ["0"] * 4
    outside = 0 if len(wrap) == 2 else person.uid
    assert parse_map(facts.files["/proc/self/uid_map"])[0] == Map(0, outside, 1)


@pytest.mark.parametrize("wrap", DEPTHS, ids=NAMES)
def test_a_further_namespace_of_one_id(person: Person, wrap: tuple[tuple[str, ...], ...]) -> None:
    bundle = bundle_of(person, "bundle", Map(0, 0, 1))
    facts = silent(call(person, bundle, wrap)).facts
    assert parse_map(facts.files["/proc/self/uid_map"]) == [Map(0, 0, 1)]


def test_root_of_a_namespace_gives_its_ids_on(person: Person) -> None:
    maps = (Map(0, 0, 1), Map(1, 1000, 1000))
    facts = silent(call(person, bundle_of(person, "bundle", *maps), (MANY,))).facts
    assert parse_map(facts.files["/proc/self/uid_map"]) == list(maps)


def test_ids_that_do_not_exist_there(person: Person) -> None:
    maps = (Map(0, 0, 1), Map(1, 100000, 65536))
    outcome = call(person, bundle_of(person, "bundle", *maps), (MANY,))
    assert outcome.code == 1 and outcome.out == ""


def as_user(uid: int) -> tuple[str, ...]:
    return ("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--")


def test_a_user_in_a_namespace(person: Person) -> None:
    bundle = bundle_of(person, "bundle", Map(0, 1000, 1))
    person.give(bundle)
    bundle.directory.chmod(0o777)
    with PersonBox(bundle, person, wrap=[*MANY, *as_user(1000)]) as box:
        for path in (box.scratch, person.home):
            path.chmod(0o777)
        outcome = silent(box.run())
    assert parse_map(outcome.facts.files["/proc/self/uid_map"]) == [Map(0, 1000, 1)]


def hosting(person: Person, name: str, words: list[str], *, masks: bool = False) -> Bundle:
    """A container with the machine's programs, the user's home and all rights over itself, which runs `words`."""
    bundle = bundle_of(person, name, *(person.maps if name == "outer" else ()))
    bundle.capabilities(
        *CAPABILITIES, *PRIVILEGES, "CAP_SETFCAP", "CAP_SETPCAP", "CAP_SYS_RESOURCE"
    )
    bundle.set("process.noNewPrivileges", False).args(*words)
    if masks:
        bundle.set("linux.maskedPaths", ["/proc/keys", "/proc/acpi"])
        bundle.set("linux.readonlyPaths", ["/proc/sys"])
    bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro", "nosuid", "nodev", "noexec")
    for path in (Path("/usr"), programs.PROJECT):
        bundle.dir(str(path)).bind(path, str(path), "ro")
    bundle.link("lib", "usr/lib").link("lib64", "usr/lib64")
    home = str(person.home)  # not rbind: the root of this very container is in it
    return bundle.dir(home).mount(home, "bind", home, "bind")


def running(person: Person, bundle: Bundle) -> list[str]:
    """The words that run this bundle from within."""
    bundle.write()
    state = str(bundle.directory / "state")
    name = bundle.directory.name
    return [*programs.runtime_command(), "--root", state, "run", "-b", str(bundle.directory), name]


def nested(person: Person, innermost: Bundle, depth: int, *, masks: bool = False) -> Outcome:
    words = running(person, innermost)
    if depth == 2:
        words = running(person, hosting(person, "middle", words))
    outer = hosting(person, "outer", words, masks=masks)
    own(person.home, person.uid)
    with PersonBox(outer, person) as box:
        return box.run()


@pytest.mark.parametrize("depth", [1, 2], ids=["once", "twice"])
@pytest.mark.parametrize("further", [False, True], ids=["same ids", "further namespace"])
def test_in_containers_of_the_runtime_itself(person: Person, depth: int, further: bool) -> None:
    maps = (Map(0, 0, 1), Map(1, 5, 10))
    innermost = bundle_of(person, "inner", *(maps if further else ())).inside("report")
    facts = silent(nested(person, innermost, depth)).facts
    assert facts.pid == 1
    seen = parse_map(facts.files["/proc/self/uid_map"])
    assert seen == list(maps if further else person.maps)


def test_what_was_masked_stays_so(person: Person) -> None:
    """In a further user namespace the masks outside cannot be taken off; the kernel refuses a new /proc without them."""
    innermost = bundle_of(person, "inner", Map(0, 0, 1)).inside("report", "--", "cat", "/proc/keys")
    outcome = nested(person, innermost, 1, masks=True)
    assert outcome.code == 1 and outcome.out == "", str(outcome)
    assert "operation not permitted" in outcome.err and "/proc" in outcome.err


FURTHER = pytest.mark.parametrize(
    "maps", [(), (Map(0, 0, 1),)], ids=["without one", "in a further one"]
)


@FURTHER
@pytest.mark.parametrize("wrap", [(ALONE,), (MANY,)], ids=["one", "many"])
@pytest.mark.parametrize("score", [600, 0, -600])
def test_its_oom_score(
    person: Person, wrap: tuple[tuple[str, ...], ...], maps: tuple[Map, ...], score: int
) -> None:
    before = int(Path("/proc/self/oom_score_adj").read_text())
    bundle = bundle_of(person, "bundle", *maps).set("process.oomScoreAdj", score)
    facts = silent(call(person, bundle, wrap)).facts
    assert int(facts.files["/proc/self/oom_score_adj"]) == max(score, before)


@FURTHER
def test_its_priorities(person: Person, maps: tuple[Map, ...]) -> None:
    """Downwards, which takes no right, as root of a namespace that is mapped or mapped once more."""
    bundle = bundle_of(person, "bundle", *maps)
    bundle.set("process.scheduler", {"policy": "SCHED_BATCH", "nice": 6})
    bundle.set("process.ioPriority", {"class": "IOPRIO_CLASS_BE", "priority": 6})
    bundle.set("linux.memoryPolicy", {"mode": "MPOL_LOCAL"})
    facts = silent(call(person, bundle, (MANY,))).facts
    assert (facts.scheduler["policy"], facts.nice, facts.ioprio) == (3, 6, 2 << 13 | 6)
    assert facts.mempolicy["mode"] == 4


@FURTHER
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scheduler", {"policy": "SCHED_OTHER", "nice": -1}),
        ("scheduler", {"policy": "SCHED_FIFO", "priority": 1}),
        ("ioPriority", {"class": "IOPRIO_CLASS_RT", "priority": 7}),
    ],
    ids=["nice", "fifo", "I/O"],
)
def test_priorities_it_may_not_have(
    person: Person, maps: tuple[Map, ...], name: str, value: dict[str, object]
) -> None:
    """CAP_SYS_NICE of a namespace is no right to the machine's time."""
    bundle = bundle_of(person, "bundle", *maps).set(f"process.{name}", value)
    outcome = call(person, bundle, (MANY,))
    assert outcome.code == 1 and outcome.out == "" and len(outcome.errors) == 1, str(outcome)
    assert f"(/process/{name}): operation not permitted" in outcome.errors[0]
