"""Words of users: command lines, ids, signals, mount options, maps. Refused by name or taken whole, never half."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest
from hypothesis import strategies as st

from pyruntime.cli import exec as exec_verb
from pyruntime.cli import main, options
from pyruntime.errors import PyruntimeError, UsageError
from pyruntime.features import id_maps, mount_options, sysctl
from pyruntime.features.mount_options import Options
from pyruntime.runtime import signals
from tests.fuzz.budget import explore

ODD = st.text(max_size=12) | st.text(st.characters(categories=("Cs", "Nd", "Cc", "Zs")), max_size=4)


def verbs() -> dict[str, options.Verb]:
    found = {}
    for name in main.VERBS:
        module = __import__(f"pyruntime.cli.{name}", None, None, ("VERB",))
        found[name] = module.VERB
    return found


VERBS = {**verbs(), "": options.Verb("all of them", main.GLOBALS, stop=True)}
NAMES = sorted({name for verb in VERBS.values() for row in verb.rows for name in row[:2] if name})
WORD = (
    ODD
    | st.sampled_from(["--", "-", "---", "-=", "--=x", "web", "1", "-1", "true", "maybe", "=", "-x=1=2"])
    | st.tuples(st.sampled_from(["-", "--", "---"]), st.sampled_from(NAMES), st.just("") | ODD.map("={}".format))
    .map("".join)
)  # fmt: skip


def parse(example: tuple[str, list[str]]) -> None:
    """What is taken can be found again: nothing of the command line vanishes or comes out twice."""
    name, argv = example
    verb = VERBS[name]
    try:
        values, others = options.parse(argv, verb.rows, stop=verb.stop)
    except UsageError:
        return
    assert set(values) == {row[0] for row in verb.rows}
    assert not Counter(others) - Counter(argv)
    if verb.stop and others:
        at = len(argv) - len(others)
        assert argv[at:] == others, "what follows the first word is the program's"
    for row in verb.rows:
        value = values[row[0]]
        if row[2].endswith(options.MANY):
            assert all(one in argv or any(w.endswith(f"={one}") for w in argv) for one in value)
        elif row[2] == "N":
            assert value.__class__ is int and 0 <= value <= options.MAX_NUMBER
        elif row[2]:
            assert value in ("", *argv) or any(word.endswith(f"={value}") for word in argv)
        else:
            assert value.__class__ is bool


def test_command_lines() -> None:
    explore("command lines", st.tuples(st.sampled_from(sorted(VERBS)), st.lists(WORD)), parse)


def user(word: str) -> None:
    try:
        uid, gid = exec_verb._user(word)
    except UsageError:
        return
    parts = word.split(":") if word else []
    assert [str(number) for number in (uid, gid) if number is not None] == [
        part.lstrip("0") or "0" for part in parts
    ]


def test_users() -> None:
    digits = st.integers(-5, 1 << 33).map(str) | ODD
    explore("users", ODD | st.lists(digits, min_size=1, max_size=3).map(":".join), user)


def signal(word: str) -> None:
    try:
        number = signals.parse(word)
    except PyruntimeError:
        return
    assert 0 <= number <= signals.LAST
    assert word.isascii() and (word.isdigit() or word.upper().removeprefix("SIG") in signals.NAMES)


def test_signals() -> None:
    named = st.sampled_from(signals.NAMES).flatmap(
        lambda name: st.sampled_from([name, f"SIG{name}", name.lower(), f"sig{name}", f"SIGSIG{name}"])
    )  # fmt: skip
    explore("signals", ODD | named | st.integers(-2, 1100).map(str), signal)


def places(word: str) -> list[str]:
    """Returns the fields of Options that one option changes. `named`, which most options set, is left out."""
    empty, made = Options([]), Options([word])
    return [
        name
        for name in Options.__slots__
        if name != "named" and getattr(made, name) != getattr(empty, name)
    ]


GROUPS = {
    "set": "attributes", "clear": "attributes", "read_only": "attributes", "set_all": "all", "clear_all": "all",
    "context": "context", "flags2": "context", "propagation": "propagation", "bind": "special", "recursive": "special",
    "remount": "special", "copy_up": "special", "idmap": "special", "maps": "special", "copy_link": "special", "atimes": "attributes",
    "data": "data",
}  # fmt: skip
SILENT = {*mount_options.NOTHING, "noiversion", "loud"}


def sort(words: list[str]) -> None:
    for word in words:
        assert len({GROUPS[name] for name in places(word)}) == (word not in SILENT), word
    made = Options(words)
    for bits in ((made.set, made.clear), (made.set_all, made.clear_all)):
        assert not bits[0] & bits[1] & ~mount_options._ATIME, "both set and cleared"
    assert made.data == [word for word in words if word not in KNOWN], "data keeps its order"


KNOWN = {*mount_options.names(), *mount_options.NOTHING}
OPTION = st.sampled_from(sorted(KNOWN)) | ODD


def test_mount_options() -> None:
    changed = OPTION | OPTION.map(lambda word: f"r{word}") | OPTION.map(lambda word: word[:-1])
    explore("mount options", st.lists(changed, max_size=8), sort)


def mapped(rows: list[dict[str, int]]) -> None:
    """Against the definition: no id twice on either side, none beyond the last."""
    found = dict(id_maps.rules("", rows))
    good = len(rows) <= id_maps.MOST_LINES and all(row["size"] for row in rows)
    for name in ("containerID", "hostID"):
        spans = sorted((row[name], row[name] + row["size"]) for row in rows)
        good &= all(end - 1 <= id_maps.LAST_ID for _, end in spans)
        good &= all(first[1] <= second[0] for first, second in itertools.pairwise(spans))
    assert good == (not found), found


def test_id_maps() -> None:
    number = st.integers(0, 8) | st.sampled_from([65536, 2**31, 2**32 - 2, 2**32 - 1])
    row = st.fixed_dictionaries(dict.fromkeys(("containerID", "hostID", "size"), number))
    explore("id maps", st.lists(row, max_size=6), mapped)


def segmented(key: str) -> None:
    """A key that is let through names a file beneath /proc/sys, and its own namespace's."""
    everything = [{"type": name} for name in ("ipc", "network", "uts", "user")]
    spec: dict[str, Any] = {"linux": {"sysctl": {key: "1"}, "namespaces": everything}}
    if not dict(sysctl.rules(spec)):
        parts = sysctl.segments(key)
        assert parts[0] in ("kernel", "fs", "net", "user")
        assert not {"", ".", ".."} & set(parts) and not any("/" in part for part in parts)


def test_sysctl_names() -> None:
    part = ODD | st.sampled_from(
        ["net", "kernel", "fs", "mqueue", "user", "ipv4", "..", ".", "sem", "shmmax"]
    )
    key = st.lists(st.tuples(part, st.sampled_from("./")).map("".join), min_size=1, max_size=5)
    explore("signals", key.map("".join) | key.map(lambda words: "".join(words)[:-1]), segmented)


@pytest.mark.parametrize("word", ["ro", "size=1k", "rbind", "rro", "idmap", "defaults"])
def test_the_oracle_of_mount_options(word: str) -> None:
    sort([word])
