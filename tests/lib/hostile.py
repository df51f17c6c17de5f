"""Hostile root file systems from a description: a dict is a directory, a str is a file with that text, and the
rest are the small classes below.

    build(rootfs, {"dev": Link("/outside"), "etc": {"passwd": Fifo()}, "null": Node("c", 1, 3)})

What was at a name before is replaced, so that a description can be laid over a Bundle's root. `link_forms` is
the list of ways to lead a path out of a root that every test about resolution goes through.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeAlias, Union

from tests.lib import programs


@dataclass(frozen=True)
class Link:
    target: str


@dataclass(frozen=True)
class Fifo:
    mode: int = 0o666


@dataclass(frozen=True)
class Node:
    """A device node: kind is "c" or "b"."""

    kind: str
    major: int
    minor: int
    mode: int = 0o666


@dataclass(frozen=True)
class File:
    """A file with a mode, or one that only claims a size (sparse)."""

    text: str = ""
    mode: int = 0o644
    size: int | None = None


Tree: TypeAlias = Mapping[str, Union[str, Link, Fifo, Node, File, "Tree"]]


def clear(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()


def build(directory: Path, tree: Tree) -> Path:
    """Makes the described things below `directory`; directories that exist are added to."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, entry in tree.items():
        path = directory / name
        if isinstance(entry, Mapping):
            if not path.is_dir() or path.is_symlink():
                clear(path)
            build(path, entry)
            continue
        clear(path)
        make(path, entry)
    return directory


def make(path: Path, entry: str | Link | Fifo | Node | File) -> None:
    if isinstance(entry, Link):
        path.symlink_to(entry.target)
    elif isinstance(entry, Fifo):
        os.mkfifo(path)
        path.chmod(entry.mode)
    elif isinstance(entry, Node):
        kind = stat.S_IFBLK if entry.kind == "b" else stat.S_IFCHR
        os.mknod(path, kind, os.makedev(entry.major, entry.minor))
        path.chmod(entry.mode)
    else:
        described = File(entry) if isinstance(entry, str) else entry
        path.write_text(described.text)
        if described.size is not None:
            os.truncate(path, described.size)
        path.chmod(described.mode)


def link_forms(name: str, outside: Path) -> Iterator[tuple[str, Tree]]:
    """(label, tree): `name` at the top of a root leads to `outside`, a directory of the host, in every way."""
    climb = "/".join([".."] * 40) + str(outside)
    yield "absolute", {name: Link(str(outside))}
    yield "relative", {name: Link(climb)}
    yield "chained", {name: Link("hop1"), "hop1": Link("hop2"), "hop2": Link(str(outside))}
    yield "chained-up", {name: Link("sub/hop"), "sub": {"hop": Link(climb)}}
    yield "proc-root", {name: Link(f"/proc/1/root{outside}")}
    yield "proc-cwd", {name: Link("/proc/self/cwd/../../../.." + str(outside))}
    yield "dangling", {name: Link(f"{outside}/not-there")}
    yield "self", {name: Link(name)}
    yield "loop", {name: Link("other"), "other": Link(name)}
    # From <tmp>/bundle/rootfs that is outside as well, and never the machine's own root: a runtime with the
    # hole would litter it.
    yield "dot-dot", {name: Link(f"../../{outside.name}")}


FORMS = [label for label, _ in link_forms("x", Path("/x"))]


def link_form(label: str, name: str, outside: Path) -> Tree:
    return dict(link_forms(name, outside))[label]


class Swapping:
    """Two names that change places all the time, for the length of the block."""

    def __init__(self, one: Path, other: Path) -> None:
        self.words = [str(programs.inside()), "swap", str(one), str(other)]

    def __enter__(self) -> Swapping:
        self.process = subprocess.Popen(self.words)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
