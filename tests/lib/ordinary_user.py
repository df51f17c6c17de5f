"""An ordinary user that this machine does not have, and a place where that user may keep bundles.

The user exists in the private mount namespace of the tests alone: files bound over /etc/passwd, /etc/group,
/etc/subuid and /etc/subgid. Nothing of it reaches the machine, and all of it goes with the block.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lib import kernel
from tests.lib.box import Box, Stream
from tests.lib.bundle import Bundle
from tests.lib.namespaces import SUBORDINATE, Map, map_users

PLACE = Path("/mnt")
"""A directory every Linux has, covered with a tmpfs while a place is needed: pytest's own directories are root's alone."""


def own(top: Path, uid: int) -> None:
    """chown -R, links themselves and not what they lead to."""
    os.lchown(top, uid, uid)
    for directory, names, files in os.walk(top):
        for name in names + files:
            os.lchown(os.path.join(directory, name), uid, uid)


@contextmanager
def place() -> Iterator[Path]:
    """A directory that everybody may look into."""
    kernel.mount("tmpfs", str(PLACE), "tmpfs", 0, "mode=755")
    try:
        yield PLACE
    finally:
        kernel.umount(str(PLACE))


@dataclass(frozen=True)
class Person:
    uid: int = 54321
    name: str = "rover"
    first: int = 200000
    count: int = 65536

    @property
    def maps(self) -> tuple[Map, ...]:
        """Root inside is the user, everybody else a subordinate id: what podman and `spec --rootless` users write."""
        return (Map(0, self.uid, 1), Map(1, self.first, self.count))

    @property
    def single(self) -> tuple[Map, ...]:
        return (Map(0, self.uid, 1),)

    @property
    def home(self) -> Path:
        return PLACE / self.name

    @property
    def env(self) -> dict[str, str]:
        return {
            "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(self.home),
            "USER": self.name,
            "XDG_RUNTIME_DIR": str(self.home / "run"),
        }

    def become(self) -> None:
        """For preexec_fn: everything after it is that user's."""
        os.setgroups([])
        os.setresgid(self.uid, self.uid, self.uid)
        os.setresuid(self.uid, self.uid, self.uid)

    def bundle(self, name: str = "bundle") -> Bundle:
        """A bundle in the user's home; `give` it away when its files are made."""
        return Bundle(self.home / name)

    def give(self, bundle: Bundle) -> Bundle:
        own(bundle.directory, self.uid)
        return bundle


class PersonBox(Box):
    """A Box whose every call is that user's, the last `delete --force` too."""

    def __init__(self, bundle: Bundle, person: Person, **options: Any) -> None:
        super().__init__(bundle, **{"env": person.env, **options})
        self.person = person
        own(self.scratch, person.uid)

    def spawn(self, *words: str) -> tuple[subprocess.Popen[bytes], Stream, Stream]:
        self.prepare = self.person.become
        return super().spawn(*words)


@contextmanager
def known(person: Person, *, ranges: bool = True) -> Iterator[Person]:
    """The user is in the files of /etc, with ranges of subordinate ids or without, and has a home in the place."""
    uid, name = person.uid, person.name
    line = f"{name}:{person.first}:{person.count}\n" if ranges else ""
    texts = {
        "passwd": f"{name}:x:{uid}:{uid}::{person.home}:/bin/sh\n",
        "group": f"{name}:x:{uid}:\n",
        "subuid": line,
        "subgid": line,
    }
    bound: list[str] = []
    with place():
        (person.home / "run").mkdir(parents=True)
        (person.home / "run").chmod(0o700)
        own(person.home, uid)
        files = PLACE / "etc"
        files.mkdir()
        try:
            for file, text in texts.items():
                target = Path("/etc") / file
                before = target.read_text() if file in ("passwd", "group") else ""
                (files / file).write_text(before + text)
                kernel.mount(str(files / file), str(target), flags=kernel.MS_BIND)
                bound.append(str(target))
            yield person
        finally:
            for target_name in bound:
                kernel.umount(target_name)


def rootless(bundle: Bundle, person: Person, maps: tuple[Map, ...]) -> Bundle:
    """With a new user namespace, without a place for cgroups, and the user's own."""
    return person.give(map_users(bundle, maps).set("linux.cgroupsPath", None))


@pytest.fixture
def where(stage: None) -> Iterator[Path]:
    with place() as path:
        yield path


@pytest.fixture
def mapped(where: Path) -> Bundle:
    """A bundle of root's with a user namespace that owns the files."""
    bundle = map_users(Bundle(where / "bundle"), SUBORDINATE)
    own(bundle.rootfs, SUBORDINATE[0].host)
    return bundle


@pytest.fixture
def person(stage: None) -> Iterator[Person]:
    with known(Person()) as someone:
        yield someone
