"""Resolve-or-create beneath a root: whatever the image's links say, nothing outside it is found or made."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sys import executable

import pytest

from pyruntime.features.idioms import open_beneath
from pyruntime.kernel.native import lib
from pyruntime.plan.step import (
    DIRECTORY,
    MAKE_DIRECTORY,
    MAKE_FILE,
    MAKE_LIKE,
    NO_SYMLINKS,
    Buffer,
    Reg,
    resolve,
    sys,
)
from tests.lib.programs import PROJECT
from tests.lib.tape_runner import HANDED, RAN_OUT, failure, play

ENOENT, EAGAIN, ENOTDIR, ENAMETOOLONG, ELOOP = 2, 11, 20, 36, 40
AT_EMPTY_PATH, STATX_INO, INODE = 0x1000, 0x100, 32


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """The container's root; `outside` beside it must stay empty."""
    outside = tmp_path / "outside"
    outside.mkdir()
    place = tmp_path / "root"
    place.mkdir()
    yield place
    assert not list(outside.iterdir()), "something came out of the root"


def found(root: Path, path: str, how: int = 0, mode: int = 0o755, model: str = "") -> str | int:
    """Where the path led, named from the root, or the errno."""
    out, room = Reg("out"), Buffer(256)
    fds = [os.open(root, os.O_PATH), *os.pipe()]
    if model:
        fds.append(os.open(model, os.O_PATH))
    ops = [
        sys(lib.NR_umask, 0),
        resolve(HANDED, path, out, how, mode, HANDED + 3 if model else -1),
        sys(lib.NR_statx, out, "", AT_EMPTY_PATH, STATX_INO, room),
        sys(lib.NR_write, HANDED + 2, room, 256),
    ]
    try:
        _, message = play(ops, fds=fds)
        if message is not None:
            assert message.step == 1, message
            return message.number
        inode = int.from_bytes(os.read(fds[1], 256)[INODE : INODE + 8], "little")
    finally:
        for fd in fds:
            os.close(fd)
    for place in (root, *sorted(root.parent.rglob("*"))):
        if place.lstat().st_ino == inode:
            return os.path.relpath(place, root)
    return f"inode {inode}"


def made(root: Path) -> list[str]:
    return sorted(str(place.relative_to(root)) for place in root.rglob("*"))


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/", "."),
        ("", "."),
        ("///", "."),
        (".", "."),
        ("/a", "a"),
        ("a/f", "a/f"),
        ("//a//f", "a/f"),
        ("a/", "a"),
        ("../../a", "a"),
        ("/..", "."),
        ("a/../a/./f", "a/f"),
        ("absolute", "a"),
        ("relative/f", "a/f"),
        ("up", "."),
        ("out", ENOENT),
        ("chain", "a/f"),
        ("nowhere", ENOENT),
        ("self", ELOOP),
        ("loop", ELOOP),
        ("a/f/g", ENOTDIR),
        ("a/f/", ENOTDIR),
        ("none", ENOENT),
    ],
)
def test_what_is_there(root: Path, path: str, where: str | int) -> None:
    (root / "a").mkdir()
    (root / "a/f").touch()
    links = {
        "absolute": "/a", "relative": "./a", "up": "../../../..", "out": str(root.parent / "outside"),
        "chain": "chain2", "chain2": "/absolute/f", "nowhere": "missing", "self": "self",
        "loop": "loop2", "loop2": "/loop",
    }  # fmt: skip
    for name, target in links.items():
        (root / name).symlink_to(target)
    before = made(root)
    assert found(root, path) == where
    assert made(root) == before


def test_a_directory_can_be_demanded(root: Path) -> None:
    (root / "f").touch()
    assert found(root, "/f", DIRECTORY) == ENOTDIR
    assert found(root, "/f", DIRECTORY | MAKE_DIRECTORY) == ENOTDIR


def test_magic_links_are_not_followed() -> None:
    with open("/etc/passwd") as file:
        fds = [os.open("/proc/self", os.O_PATH), file.fileno()]
        try:
            assert failure(resolve(HANDED, f"fd/{file.fileno()}", Reg("r")), fds=fds)[1] == ELOOP
        finally:
            os.close(fds[0])


@pytest.mark.parametrize("path", ["x", "/x/y/z", "x//y/./z/", "../x", "a/../x"])
def test_directories_are_made(root: Path, path: str) -> None:
    where = found(root, path, MAKE_DIRECTORY)
    assert isinstance(where, str) and (root / where).is_dir()
    assert {"x"} <= set(made(root)) <= {"x", "x/y", "x/y/z", "a"}


def test_modes_of_what_is_made(root: Path) -> None:
    """The mode is the last one's; parents get 0755; no umask takes anything away."""
    assert found(root, "/p/q/d", MAKE_DIRECTORY, 0o1777) == "p/q/d"
    assert [oct((root / name).stat().st_mode) for name in ("p", "p/q", "p/q/d")] == [
        "0o40755", "0o40755", "0o41777"]  # fmt: skip
    assert found(root, "/p/f", MAKE_FILE, 0o600) == "p/f"
    assert oct((root / "p/f").stat().st_mode) == "0o100600"


def test_a_file_is_made_with_its_parents(root: Path) -> None:
    assert found(root, "/x/y/file", MAKE_FILE, 0o644) == "x/y/file"
    assert (root / "x/y/file").is_file()


def test_a_file_cannot_end_in_a_slash(root: Path) -> None:
    assert found(root, "/file/", MAKE_FILE) == ENOTDIR


def test_what_is_there_is_not_made_anew(root: Path) -> None:
    (root / "f").write_text("kept")
    (root / "f").chmod(0o400)
    assert found(root, "/f", MAKE_FILE, 0o777) == "f"
    assert (root / "f").read_text() == "kept"
    assert (root / "f").stat().st_mode & 0o777 == 0o400


@pytest.mark.parametrize(
    ("model", "kind"), [("/", 0o040755), ("/etc/passwd", 0o100644), ("/dev/null", 0o100644)]
)
def test_like_its_source(root: Path, model: str, kind: int) -> None:
    assert found(root, "/m", MAKE_LIKE, 0, model) == "m"
    assert (root / "m").stat().st_mode == kind


def test_like_nothing() -> None:
    assert failure(resolve(HANDED, "/m", Reg("r"), MAKE_LIKE, 0, 9999))[1] == 9


@pytest.mark.parametrize("target", ["t", "/t", "../t", "../../t", "./t/", "/../t", "//t"])
@pytest.mark.parametrize("how", [MAKE_DIRECTORY, MAKE_FILE])
def test_the_target_of_a_dangling_link_is_made_inside(root: Path, target: str, how: int) -> None:
    (root / "l").symlink_to(target)
    if how == MAKE_FILE and target.endswith("/"):
        assert found(root, "/l", how) == ENOTDIR
        return
    assert found(root, "/l", how) == "t"
    assert made(root) == ["l", "t"]
    assert (root / "l").is_symlink()


def test_a_dangling_link_out_of_the_root_ends_inside(root: Path) -> None:
    (root / "l").symlink_to(root.parent / "outside" / "x")
    where = found(root, "/l", MAKE_FILE)
    assert isinstance(where, str) and where == str(root.parent / "outside/x").lstrip("/")


def test_dangling_links_on_the_way(root: Path) -> None:
    (root / "one").symlink_to("two")
    (root / "two").symlink_to("/three/four")
    assert found(root, "/one/five/six", MAKE_DIRECTORY) == "three/four/five/six"
    assert made(root) == [
        "one",
        "three",
        "three/four",
        "three/four/five",
        "three/four/five/six",
        "two",
    ]


def test_a_link_in_a_made_directory_counts_from_there(root: Path) -> None:
    (root / "d").mkdir()
    (root / "d/l").symlink_to("near")
    assert found(root, "/d/l/x", MAKE_DIRECTORY) == "d/near/x"


def test_a_link_to_itself_is_an_error(root: Path) -> None:
    (root / "l").symlink_to("l")
    assert found(root, "/l", MAKE_DIRECTORY) == ELOOP
    assert found(root, "/l/x", MAKE_FILE) == ELOOP


def test_a_link_that_grows_is_an_error(root: Path) -> None:
    """l -> m/x, m -> n/../l: an end there must be. EAGAIN when somebody renames meanwhile: the walk is long."""
    (root / "l").symlink_to("m/x")
    (root / "m").symlink_to("n/../l")
    assert found(root, "/l", MAKE_DIRECTORY) in (ELOOP, ENAMETOOLONG, EAGAIN)


def test_forty_links_are_enough(root: Path) -> None:
    for number in range(60):
        (root / f"l{number}").symlink_to(f"l{number + 1}")
    assert found(root, "/l25", MAKE_DIRECTORY) == "l60"
    (root / "l60").rmdir()
    assert found(root, "/l0", MAKE_DIRECTORY) == ELOOP


@pytest.mark.parametrize("path", ["/l", "/l/x", "/d/l", "/dangling", "/dangling/x"])
@pytest.mark.parametrize("how", [0, MAKE_DIRECTORY, MAKE_FILE])
def test_no_links_at_all(root: Path, path: str, how: int) -> None:
    (root / "d").mkdir()
    (root / "l").symlink_to("d")
    (root / "d/l").symlink_to("/d")
    (root / "dangling").symlink_to("gone")
    before = made(root)
    assert found(root, path, how | NO_SYMLINKS) == ELOOP
    assert made(root) == before


def test_long_names(root: Path) -> None:
    assert found(root, "x" * 255, MAKE_DIRECTORY) == "x" * 255
    assert found(root, "x" * 256, MAKE_DIRECTORY) == ENAMETOOLONG
    assert found(root, "x/" * 2048, MAKE_DIRECTORY) == ENAMETOOLONG
    assert found(root, "d/" + "y" * 256, MAKE_DIRECTORY) == ENAMETOOLONG


def test_a_link_that_makes_the_path_too_long(root: Path) -> None:
    (root / "l").symlink_to("y/" * 2000)
    assert found(root, "/l/" + "z/" * 100, MAKE_DIRECTORY) == ENAMETOOLONG


def test_a_deep_path_takes_bounded_time(tmp_path: Path) -> None:
    """An image may name a working directory of 4095 bytes."""
    fd = os.open(tmp_path, os.O_PATH)
    start = time.monotonic()
    try:
        code, message = play([resolve(HANDED, "d/" * 1000, Reg("r"), MAKE_DIRECTORY)], fds=[fd])
    finally:
        os.close(fd)
        # Deeper than Python's own removal goes.
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)
    assert (code, message) == (RAN_OUT, None)
    assert time.monotonic() - start < 5


@contextmanager
def renames(root: Path) -> Iterator[None]:
    """Any rename or mount on the machine makes the kernel answer EAGAIN to a path with `..` that is confined."""
    for name in ("a/b", "c/d"):
        (root / name).mkdir(parents=True)
    restless = f"""
from tests.lib.kernel import exchange
exchange({str(root / "a")!r}, {str(root / "c")!r})
print(flush=True)
while True:
    exchange({str(root / "a")!r}, {str(root / "c")!r})
"""
    mover = subprocess.Popen([executable, "-c", restless], cwd=PROJECT, stdout=subprocess.PIPE)
    assert mover.stdout is not None and mover.stdout.readline() == b"\n"
    try:
        yield
    finally:
        mover.kill()
        mover.wait()
        mover.stdout.close()


def test_renames_meanwhile_delay_it_for_a_bounded_time(root: Path) -> None:
    fd = os.open(root, os.O_PATH)
    path = "a/../c/../" * 20 + "a/../new"
    # EAGAIN after many attempts is an answer, too.
    each = resolve(HANDED, path, Reg("r"), MAKE_DIRECTORY, ok=(EAGAIN, ENOENT))
    with renames(root):
        code, message = play([each] * 300, fds=[fd], patience=30)
    os.close(fd)
    assert (code, message) == (RAN_OUT, None)
    assert set(os.listdir(root)) <= {"a", "c", "new"}


def test_renames_meanwhile_fail_no_call_of_the_tape(root: Path) -> None:
    """Of twenty thousand a few hundred get EAGAIN, and are made again by the init."""
    fd = os.open(root, os.O_PATH)
    out = Reg("r")
    each = [
        open_beneath(HANDED, "..", lib.O_PATH, lib.RESOLVE_IN_ROOT, out),
        sys(lib.NR_close, out),
    ]
    with renames(root):
        code, message = play(each * 20_000, fds=[fd], patience=30)
    os.close(fd)
    assert (code, message) == (RAN_OUT, None)
