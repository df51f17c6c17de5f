"""R-21, R-09: what a path of config.json leads to is what it is said to be, a namespace or a device."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.lib import kernel
from tests.lib.box import Box, refused
from tests.lib.bundle import Bundle
from tests.lib.hostile import Swapping
from tests.lib.namespaces import FILES, SUBORDINATE, Keeper, inode, map_users
from tests.lib.ordinary_user import Person, PersonBox, rootless


def fifo(path: Path) -> str:
    os.mkfifo(path)
    return str(path)


def regular(path: Path) -> str:
    path.write_text("")
    return str(path)


def dangling(path: Path) -> str:
    path.symlink_to("nowhere")
    return str(path)


def unix_socket(path: Path) -> str:
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(path))
    return str(path)


def directory(path: Path) -> str:
    path.mkdir()
    return str(path)


WRONG = {
    "regular": regular,
    "dangling": dangling,
    "socket": unix_socket,
    "directory": directory,
    "device": lambda path: "/dev/zero",
    "ns directory": lambda path: "/proc/self/ns",
    "missing": lambda path: "/proc/self/ns/nothing",
    "relative": lambda path: "ns",
    "file of proc": lambda path: "/proc/self/status",
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("kind", FILES)
def test_a_path_to_no_namespace(where: Path, kind: str, what: str) -> None:
    bundle = Bundle(where / "bundle").namespace(kind, WRONG[what](where / "path"))
    if kind == "user":
        map_users(bundle, SUBORDINATE, bundle.get("linux.namespaces")[-1]["path"])
    refused(bundle)


@pytest.mark.parametrize("kind", FILES)
def test_a_path_to_a_fifo(where: Path, kind: str) -> None:
    refused(Bundle(where / "bundle").namespace(kind, fifo(where / "path")), patience=5)


@pytest.mark.parametrize("kind", FILES)
def test_a_path_to_another_kind(where: Path, kind: str) -> None:
    other = "uts" if kind != "uts" else "ipc"
    with Keeper(other) as keeper:
        bundle = Bundle(where / "bundle").namespace(kind, keeper.path(other))
        if kind == "user":
            map_users(bundle, SUBORDINATE, keeper.path(other))
        refused(bundle)


@pytest.mark.parametrize("kind", FILES)
def test_one_kind_twice(where: Path, kind: str) -> None:
    bundle = Bundle(where / "bundle").namespace(kind)
    if kind == "user":
        map_users(bundle, SUBORDINATE)
    refused(bundle.add("linux.namespaces", {"type": kind}))


@pytest.mark.parametrize("rounds", [10, pytest.param(300, marks=pytest.mark.nightly)])
def test_a_path_that_changes_its_mind(where: Path, rounds: int) -> None:
    """Checked and entered is one descriptor: either it is of the kind, and joined, or the create fails."""
    with Keeper("uts", "ipc") as keeper:
        for kind in ("uts", "ipc"):
            (where / kind).symlink_to(keeper.path(kind))
        bundle = Bundle(where / "bundle").namespace("uts", str(where / "uts"))
        with Swapping(where / "uts", where / "ipc"):
            for _ in range(rounds):
                with Box(bundle) as box:
                    outcome = box.run()
                if outcome.code == 0:
                    assert outcome.facts.namespaces["uts"] == keeper.inode("uts")
                    assert outcome.facts.namespaces["ipc"] not in (
                        keeper.inode("ipc"),
                        inode("ipc"),
                    )
                else:
                    assert outcome.code == 1 and "uts" in outcome.message, str(outcome)


def test_the_runtimes_own_user_namespace(where: Path) -> None:
    """setns(2) refuses to enter the one a process is in; it is never taken for a namespace of the container's."""
    refused(Bundle(where / "bundle").namespace("user", "/proc/self/ns/user"))


# devices by bind are what their names say


@pytest.mark.parametrize("other", ["file", "device"])
def test_a_host_device_that_is_something_else(person: Person, other: str) -> None:
    """An ordinary user's container gets the host's nodes."""
    (person.home / "file").write_text("")
    kernel.mount(
        "/dev/null" if other == "device" else str(person.home / "file"),
        "/dev/zero",
        flags=kernel.MS_BIND,
    )
    try:
        bundle = rootless(person.bundle(), person, person.maps)
        with PersonBox(bundle, person) as box:
            assert box.create(check=False).code == 1
    finally:
        kernel.umount("/dev/zero")
