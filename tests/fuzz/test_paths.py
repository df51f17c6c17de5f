"""Paths beneath a root: the init's RESOLVE against a model of chroot resolution on random trees.

Many paths are resolved on one tape: each tells where it led by the inode, and an errno skips that. What is made is
made for the model too, in the same order, so that both trees must be the same in the end. Beside the root stand
trip-wires under the names that paths are made of; nothing may appear in them, nor in the host's own root.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from pyruntime.kernel.native import lib
from pyruntime.plan.step import (
    DIRECTORY,
    MAKE_DIRECTORY,
    MAKE_FILE,
    NO_SYMLINKS,
    Buffer,
    Reg,
    Step,
    assign,
    resolve,
    sys,
)
from pyruntime.plan.tape import Tape
from tests.fuzz.budget import explore
from tests.lib.tape_runner import HANDED, RAN_OUT, play

AT_EMPTY_PATH, STATX_INO, INODE = 0x1000, 0x100, 32
MOST_LINKS = 40
MAKING = MAKE_DIRECTORY | MAKE_FILE
REPORTED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR)

Node = dict[str, Any] | str | None  # a directory, the text of a link, a file

NAMES = st.sampled_from(["a", "b", "c", "d"])
PARTS = st.lists(NAMES | st.sampled_from(["..", ".", ""]), max_size=5).map("/".join)
LINKS = st.builds("{}{}".format, st.sampled_from(["", "", "/", "../", "//"]), PARTS)
TREES = st.recursive(
    st.none() | LINKS.filter(bool),
    lambda inner: st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=10,
).filter(lambda node: isinstance(node, dict))
HOWS = st.sampled_from(
    [0, 0, MAKE_DIRECTORY, MAKE_DIRECTORY, MAKE_FILE, DIRECTORY, MAKE_DIRECTORY | DIRECTORY, NO_SYMLINKS,
     MAKE_DIRECTORY | NO_SYMLINKS, MAKE_FILE | NO_SYMLINKS]
)  # fmt: skip
CASES = st.tuples(TREES, st.lists(st.tuples(LINKS | PARTS, HOWS), min_size=1, max_size=10))


class Failure(Exception):
    """The errno a resolution ends in."""

    def __init__(self, number: int) -> None:
        super().__init__(errno.errorcode[number])
        self.number = number


class Model:
    """The tree as nested dictionaries, and path_resolution(7) with a root."""

    def __init__(self, root: dict[str, Any]) -> None:
        self.root = root
        self.links = 0

    def walk(self, path: str, how: int) -> tuple[list[str], Node]:
        """The names from the root to where it leads, and what is there; Failure where it does not."""
        self.links = 0
        places: list[str] = []
        waiting = path.split("/")[::-1]
        while waiting:
            part = waiting.pop()
            here = self.at(places)
            if not isinstance(here, dict):
                raise Failure(errno.ENOTDIR)
            if part in ("", "."):
                continue
            if part == "..":
                places = places[:-1]
            elif part not in here:
                self.missing(here, part, waiting, how)
                waiting.append(part)
            elif isinstance(here[part], str):
                places = self.follow(here[part], places, waiting, how)
            else:
                places.append(part)
        found = self.at(places)
        if how & DIRECTORY and not isinstance(found, dict):
            raise Failure(errno.ENOTDIR)
        return places, found

    def follow(self, text: str, places: list[str], waiting: list[str], how: int) -> list[str]:
        self.links += 1
        if how & NO_SYMLINKS or self.links > MOST_LINKS:
            raise Failure(errno.ELOOP)
        waiting += text.split("/")[::-1]
        return [] if text[0] == "/" else places

    def missing(self, here: dict[str, Any], part: str, waiting: list[str], how: int) -> None:
        if not how & (MAKE_DIRECTORY | MAKE_FILE):
            raise Failure(errno.ENOENT)
        here[part] = {} if how & MAKE_DIRECTORY or any(waiting) else None

    def at(self, places: list[str]) -> Node:
        node: Any = self.root
        for name in places:
            node = node[name]
        found: Node = node
        return found


def build(place: Path, tree: dict[str, Any]) -> None:
    place.mkdir()
    for name, node in tree.items():
        if isinstance(node, dict):
            build(place / name, node)
        elif node is None:
            (place / name).touch()
        else:
            (place / name).symlink_to(node)


def read(place: Path) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for child in place.iterdir():
        if child.is_symlink():
            tree[child.name] = os.readlink(child)
        else:
            tree[child.name] = read(child) if child.is_dir() else None
    return tree


def answers(root: Path, wanted: list[tuple[str, int]]) -> list[int]:
    """The inode each path led to, 0 for a refusal."""
    steps = []
    for number, (path, how) in enumerate(wanted):
        out, room = Reg("out"), Buffer(256)
        ops = [
            assign(out, -1),
            resolve(HANDED, path, out, how, ok=REPORTED),
            sys(lib.NR_statx, out, "", AT_EMPTY_PATH, STATX_INO, room, ok=(errno.EBADF,)),
            sys(lib.NR_write, HANDED + 1, room, 256),
            sys(lib.NR_close, out, ok=(errno.EBADF,)),
        ]
        steps.append(Step(number, "", "", ops))
    reader, writer = os.pipe()
    root_fd = os.open(root, os.O_PATH)
    try:
        code, message = play(Tape(steps).bytes, fds=[root_fd, writer])
        assert (code, message) == (RAN_OUT, None)
        found = os.read(reader, 1 << 16)
    finally:
        for fd in (reader, writer, root_fd):
            os.close(fd)
    assert len(found) == 256 * len(wanted)
    return [
        int.from_bytes(found[at + INODE : at + INODE + 8], "little")
        for at in range(0, len(found), 256)
    ]


def expected(model: Model, wanted: list[tuple[str, int]]) -> Iterator[str]:
    for path, how in wanted:
        try:
            places, _ = model.walk(path, how)
            yield "/".join(places) or "."
        except Failure:
            yield ""


def inodes(root: Path) -> dict[int, str]:
    return {
        place.lstat().st_ino: os.path.relpath(place, root) for place in (root, *root.rglob("*"))
    }


def led_to(work: Path, tree: dict[str, Any], wanted: list[tuple[str, int]]) -> list[str]:
    """Names from the root of where the paths led, empty for a refusal, after both trees were compared."""
    root, beside = work / "root", work / "a"
    build(root, tree)
    build(beside, tree)
    (work / "b").mkdir()
    found = answers(root, wanted)
    model = Model(read(beside))
    places = list(expected(model, wanted))
    names = {0: "", **inodes(root)}
    assert [names.get(number, "outside") for number in found] == places
    assert read(root) == model.root
    assert read(beside) == tree and not os.listdir(work / "b")
    assert sorted(os.listdir(work)) == ["a", "b", "root"]
    return places


@pytest.fixture
def base() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="paths") as name:
        yield Path(name)


def test_paths_beneath_a_root(base: Path) -> None:
    met: Counter[str] = Counter()

    def judge(example: tuple[dict[str, Any], list[tuple[str, int]]]) -> None:
        _tree, wanted = example
        work = base / "work"
        work.mkdir()
        try:
            for (_, how), place in zip(wanted, led_to(work, *example), strict=True):
                met["refused" if not place else "made" if how & MAKING else "found"] += 1
        finally:
            shutil.rmtree(work)

    before = sorted(os.listdir("/"))
    explore("paths", CASES, judge)
    assert sorted(os.listdir("/")) == before
    print(dict(met))
    assert len(met) == 3 and min(met.values()) > 20, met


def test_the_model_is_not_blind(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong one is found out."""
    monkeypatch.setattr("tests.fuzz.test_paths.MOST_LINKS", 1)
    with pytest.raises(AssertionError):
        led_to(base, {"a": "b", "b": "c", "c": {}}, [("a", 0)])
