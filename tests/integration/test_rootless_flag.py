"""--map-root-user: a user namespace for a config.json that has none, and only where one is needed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lib import kernel
from tests.lib.box import Box, Outcome
from tests.lib.bundle import Bundle
from tests.lib.namespaces import Map, map_users, parse_map
from tests.lib.ordinary_user import Person, PersonBox

pytestmark = pytest.mark.covers("linux.uidMappings", "linux.gidMappings")

FLAG = "--map-root-user"
Ranges = Callable[[str, str], None]


@pytest.fixture
def ranges(person: Person, tmp_path: Path) -> Iterator[Ranges]:
    """Other lines in /etc/subuid and /etc/subgid."""
    bound: list[str] = []

    def put(*texts: str) -> None:
        for name, text in zip(("subuid", "subgid"), texts, strict=True):
            (tmp_path / name).write_text(text)
            kernel.mount(str(tmp_path / name), f"/etc/{name}", flags=kernel.MS_BIND)
            bound.append(f"/etc/{name}")

    yield put
    for path in reversed(bound):
        kernel.umount(path)


def plain(person: Person) -> Bundle:
    return person.bundle().set("linux.cgroupsPath", None)


def call(person: Person, bundle: Bundle, *flags: str, **options: Any) -> Outcome:
    with PersonBox(person.give(bundle), person, **options) as box:
        return box.run(*flags)


def maps_of(outcome: Outcome) -> tuple[list[Map], list[Map]]:
    assert outcome.code == 0 and outcome.err == "" and outcome.log_text == "", str(outcome)
    files = outcome.facts.files
    return parse_map(files["/proc/self/uid_map"]), parse_map(files["/proc/self/gid_map"])


def test_with_a_range(person: Person) -> None:
    maps = list(person.maps)
    assert maps_of(call(person, plain(person), FLAG)) == (maps, maps)


def test_with_several_ranges_by_name_and_number(person: Person, ranges: Ranges) -> None:
    other = f"other:1:10\n{person.uid}:300000:10\n"
    ranges(f"{other}{person.name}:400000:5\n", f"{other}{person.name}:{person.uid - 1}:3\n")
    first = [Map(0, person.uid, 1), Map(1, 300000, 10)]
    uids, gids = maps_of(call(person, plain(person), FLAG))
    assert uids == [*first, Map(11, 400000, 5)]
    assert gids == [*first, Map(11, person.uid - 1, 1), Map(12, person.uid + 1, 1)]


def test_without_a_range(person: Person, ranges: Ranges) -> None:
    ranges("", "")
    outcome = call(person, plain(person), FLAG)
    assert maps_of(outcome) == (list(person.single), list(person.single))
    assert outcome.facts.files["/proc/self/setgroups"].strip() == "deny"


def test_where_the_mapping_programs_gain_no_rights(person: Person) -> None:
    """One id is what can be had, and a warning says why it is not more."""
    with PersonBox(person.give(plain(person)), person, wrap=["setpriv", "--no-new-privs"]) as box:
        bundle = box.bundle
        bundle.write()
        root = ["--root", str(box.root)]
        outcome = box.bare(*root, "run", FLAG, "--bundle", str(bundle.directory), box.id)
    assert outcome.code == 0, str(outcome)
    assert parse_map(outcome.facts.files["/proc/self/uid_map"]) == list(person.single)
    assert "no_new_privs" in outcome.err and "/etc/subuid is of no use" in outcome.err


def test_debug_says_what_it_does(person: Person) -> None:
    bundle = plain(person)
    with PersonBox(person.give(bundle), person) as box:
        bundle.write()
        words = ["--debug", *box.globals, "run", FLAG, "--bundle", str(bundle.directory), box.id]
        box.bare(*words)
        told = [row["msg"] for row in map(json.loads, box.log.read_text().splitlines())]
    last = person.first + person.count - 1
    wanted = f"uid 0 = {person.uid}, uid 1-{person.count} = {person.first}-{last}"
    assert any(FLAG in line and wanted in line for line in told), told


def test_the_saved_configuration_has_it(person: Person) -> None:
    bundle = plain(person).inside("wait", "0")
    with PersonBox(person.give(bundle), person) as box:
        box.create(FLAG)
        saved = json.loads((box.root / box.id / "config.json").read_text())
        assert {"type": "user"} in saved["linux"]["namespaces"]
        assert saved["linux"]["uidMappings"] == [one.document for one in person.maps]
        assert "uidMappings" not in bundle.document["linux"]
        box.start()
        box.expect("wait")
        box.kill("TERM")
        box.wait()


def test_a_config_that_has_one_stays(person: Person) -> None:
    bundle = map_users(plain(person), person.single)
    assert maps_of(call(person, bundle, FLAG)) == (list(person.single), list(person.single))


def test_root_needs_none(bundle: Bundle) -> None:
    with Box(bundle) as box:
        uids, _ = maps_of(box.run(FLAG))
    assert uids == [Map(0, 0, 4294967295)]


def test_without_the_flag_both_ways_out_are_named(person: Person) -> None:
    outcome = call(person, plain(person))
    assert outcome.code == 1
    sentence, hint, rest = outcome.err.split("\n", 2)
    assert sentence.endswith("operation not permitted") and "/linux/namespaces" in sentence
    assert hint.startswith("hint: ") and FLAG in hint and "spec --rootless" in hint
    assert rest == ""


def test_a_user_in_a_namespace_gets_what_exists_there(person: Person, ranges: Ranges) -> None:
    """/etc/subuid of an image speaks of ids that only the host has: as if it said nothing."""
    lines = f"{person.name}:{person.first}:{person.count}\n1000:100000:65536\n"
    ranges(lines, lines)
    bundle = person.give(plain(person))
    outer = ("unshare", "--map-root-user", "--map-auto", "--mount", "--")
    inner = ("setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "--")
    bundle.directory.chmod(0o777)
    person.home.chmod(0o777)
    with PersonBox(bundle, person, wrap=[*outer, *inner]) as box:
        box.scratch.chmod(0o777)
        outcome = box.run(FLAG)
    assert maps_of(outcome) == ([Map(0, 1000, 1)], [Map(0, 1000, 1)])
