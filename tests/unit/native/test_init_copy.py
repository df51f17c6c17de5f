"""The built-in COPY, of tmpcopyup: what comes along, what is left out, and that nothing of the tree is followed."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from pyruntime.plan.step import COPY, builtin
from tests.lib.tape_runner import HANDED, RAN_OUT, Message, play

ELOOP, ENOTDIR = 40, 20


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    return tmp_path / "source"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


def copy(source: Path, target: Path, *, owner: bool = False) -> Message | None:
    """None: it went well."""
    fds = [os.open(source, os.O_PATH), os.open(target, os.O_PATH)]
    try:
        code, message = play([builtin(COPY, HANDED, HANDED + 1, int(owner))], fds=fds)
    finally:
        for fd in fds:
            os.close(fd)
    assert message is not None or code == RAN_OUT
    return message


def tree(top: Path) -> dict[str, Any]:
    """Everything below, with what must be the same on both sides."""
    found: dict[str, Any] = {}
    for place in sorted(top.rglob("*")):
        facts = place.lstat()
        content: Any = None
        if place.is_symlink():
            content = os.readlink(place)
        elif place.is_file():
            content = place.read_bytes()
        found[str(place.relative_to(top))] = (
            stat.filemode(facts.st_mode), facts.st_uid, facts.st_gid, facts.st_mtime_ns, content,
        )  # fmt: skip
    return found


def test_all_kinds(source: Path, target: Path) -> None:
    (source / "file").write_text("text")
    (source / "file").chmod(0o4751)
    (source / "empty").write_text("")
    (source / "big").write_bytes(os.urandom(3 << 20))
    (source / "deep/er").mkdir(parents=True)
    (source / "deep/er/file").write_text("below")
    (source / "deep").chmod(0o1750)
    (source / "link").symlink_to("file")
    (source / "dangling").symlink_to("/not/there")
    for place in source.rglob("*"):
        os.utime(place, ns=(1_000_000_007, 2_000_000_013), follow_symlinks=False)
    assert copy(source, target) is None
    assert tree(target) == tree(source)


def test_many_names(source: Path, target: Path) -> None:
    """More than one block of the directory, and names that begin with dots."""
    for number in range(300):
        (source / f"{'x' * (number % 200)}{number}").write_text(str(number))
    for name in (".a", "...", "..b"):
        (source / name).write_text(name)
    assert copy(source, target) is None
    assert tree(target) == tree(source)


def test_devices_sockets_and_fifos_are_left_out(source: Path, target: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(source / "socket"))
    (source / "file").write_text("")
    os.mkfifo(source / "fifo")
    if os.geteuid() == 0:
        os.mknod(source / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    assert copy(source, target) is None
    assert list(tree(target)) == ["file"]


def test_holes_stay_holes(source: Path, target: Path) -> None:
    with open(source / "sparse", "wb") as file:
        file.seek(1 << 20)
        file.write(b"data")
        file.truncate(1 << 34)
    assert copy(source, target) is None
    facts = (target / "sparse").stat()
    assert facts.st_size == 1 << 34 and facts.st_blocks < 4096
    with open(target / "sparse", "rb") as file:
        file.seek((1 << 20) - 1)
        assert file.read(6) == b"\0data\0"


def test_extended_attributes(source: Path, target: Path) -> None:
    (source / "file").write_text("")
    (source / "directory").mkdir()
    for place in (source, source / "file", source / "directory"):
        try:
            os.setxattr(place, "user.one", place.name.encode())
            os.setxattr(place, "user.empty", b"")
        except OSError as problem:
            pytest.skip(f"no such attributes where the tests keep their files: {problem}")
    assert copy(source, target) is None
    for name, value in (("", b"source"), ("file", b"file"), ("directory", b"directory")):
        assert os.getxattr(target / name, "user.one") == value
        assert os.getxattr(target / name, "user.empty") == b""


@pytest.mark.parametrize("owner", [True, False])
def test_owners(source: Path, target: Path, owner: bool) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    (source / "file").write_text("")
    os.chown(source / "file", 5, 6)
    os.chown(source, 7, 8)
    assert copy(source, target, owner=owner) is None
    facts = target.stat()
    assert ((target / "file").stat().st_uid, (target / "file").stat().st_gid) == (5, 6)
    assert (facts.st_uid, facts.st_gid) == ((7, 8) if owner else (0, 0))


def test_a_set_id_file_of_nobody_knows_whom(source: Path, target: Path) -> None:
    """65534 is how an owner looks that a user namespace does not know."""
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    (source / "file").write_text("")
    os.chown(source / "file", 65534, 0)
    (source / "file").chmod(0o6755)
    assert copy(source, target) is None
    assert stat.S_IMODE((target / "file").stat().st_mode) == 0o755


def test_too_deep(source: Path, target: Path) -> None:
    os.makedirs(source / ("d/" * 254))
    assert copy(source, target) is None
    os.makedirs(source / ("d/" * 256))
    for name in list(target.iterdir()):
        name.rename(target.parent / "aside")
    message = copy(source, target)
    assert message is not None and message.number == ELOOP


def test_what_cannot_be_copied_is_named(source: Path, target: Path) -> None:
    (source / "inner").mkdir()
    (source / "inner/there").write_text("")
    (target / "inner").mkdir()
    message = copy(source, target)
    assert message is not None and (message.number, message.text) == (17, b"inner")


def test_a_file_is_no_directory(source: Path, target: Path) -> None:
    (source / "file").write_text("")
    message = copy(source / "file", target)
    assert message is not None and (message.number, message.text) == (ENOTDIR, b"")
