"""tree: walking and removing beneath a descriptor. Ordinary directories behave as cgroups do here."""

from __future__ import annotations

import errno
import os
import posix
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyruntime import errors
from pyruntime.cgroup import tree


@pytest.fixture
def top(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, tree.HANDLE)
    yield fd
    os.close(fd)


def names_of_every(fd: int) -> list[str]:
    return [os.path.basename(os.readlink(f"/proc/self/fd/{each}")) for each in tree.every(fd)]


def test_the_mount_is_proved(tmp_path: Path) -> None:
    device = os.stat(tmp_path).st_dev
    os.close(tree.open_mount(str(tmp_path), device))
    with pytest.raises(errors.StepError, match="is not the cgroup file system"):
        tree.open_mount(str(tmp_path), device + 1)


def test_descend_stops_where_nothing_is(tmp_path: Path, top: int) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    for parts, depth in ((["a", "b"], 2), (["a", "x", "y"], 1), (["x"], 0), ([], 0)):
        fd, found = tree.descend(os.dup(top), parts)
        assert found == depth
        assert os.path.samestat(os.fstat(fd), os.stat(tmp_path.joinpath(*parts[:depth])))
        os.close(fd)


def test_a_link_is_no_way_down(tmp_path: Path, top: int) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("a")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(NotADirectoryError):
        tree.descend(os.dup(top), ["link"])
    assert len(os.listdir("/proc/self/fd")) == before


def test_every_is_deepest_first(tmp_path: Path, top: int) -> None:
    (tmp_path / "a/b/c").mkdir(parents=True)
    order = names_of_every(top)
    assert order == ["c", "b", "a", tmp_path.name]


def test_deeper_than_descriptors_reach(tmp_path: Path, top: int) -> None:
    depth = 1500
    fd = os.dup(top)
    for _ in range(depth):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", tree.HANDLE, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    assert sum(1 for _ in tree.every(top)) == depth + 1
    assert not tree.is_leaf(top)
    tree.clear(top)
    assert tree.is_leaf(top)


def test_clear_leaves_what_is_in_use_and_goes_on(tmp_path: Path, top: int) -> None:
    for name in ("a/x", "b/y", "c"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "b/y/busy").write_text("")
    tree.clear(top)
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == [
        "b",
        "b/y",
        "b/y/busy",
    ]


def test_remove(tmp_path: Path, top: int) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    assert not tree.remove(top, "a")
    assert tree.remove(top, "none")
    (tmp_path / "a/b").rmdir()
    assert tree.remove(top, "a")
    assert not (tmp_path / "a").exists()


def test_no_descriptor_is_left_by_a_walk_given_up(tmp_path: Path, top: int) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    before = len(os.listdir("/proc/self/fd"))
    walk = tree.every(top)
    next(walk)
    walk.close()  # type: ignore[attr-defined]
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_is_not_there_needs_no_removing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the kernel says of the try; a file is no group."""
    (tmp_path / "group").mkdir()
    (tmp_path / "file").touch()
    top = os.open(tmp_path, os.O_RDONLY)
    for number in errno.errorcode:

        def refuse(name: str, *, dir_fd: int, number: int = number) -> None:
            raise OSError(number, "")

        monkeypatch.setattr(posix, "rmdir", refuse)
        if number in (errno.EBUSY, errno.ENOTEMPTY):
            assert not tree.remove(top, "nothing")
            continue
        assert tree.remove(top, "nothing") and tree.remove(top, "file")
        if number in (errno.ENOENT, errno.ENODEV):
            continue
        with pytest.raises(OSError):
            tree.remove(top, "group")
    os.close(top)
