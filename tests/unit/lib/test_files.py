"""pyruntime/lib/files.py: bounded reading, writing in one piece, links, umasks."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyruntime.lib import files


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@pytest.mark.parametrize("size", [0, 1, 9, 10, 70_000])
def test_read(tmp_path: Path, directory: int, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "file").write_bytes(data)
    assert files.read_file(str(tmp_path / "file"), size + 1) == data
    assert files.read_file("file", size, directory) == data


@pytest.mark.parametrize(("size", "limit"), [(1, 0), (11, 10), (70_000, 69_999), (200_000, 70_000)])
def test_one_byte_too_many(tmp_path: Path, size: int, limit: int) -> None:
    (tmp_path / "file").write_bytes(b"x" * size)
    with pytest.raises(OSError) as caught:
        files.read_file(str(tmp_path / "file"), limit)
    assert caught.value.errno == errno.EFBIG


def test_an_endless_file_ends_at_the_limit() -> None:
    with pytest.raises(OSError):
        files.read_file("/dev/zero", 1 << 17)


def test_files_of_proc_have_no_size() -> None:
    assert files.read_file("/proc/self/stat").startswith(str(os.getpid()).encode())


def test_a_link_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(OSError) as caught:
        files.read_file(str(tmp_path / "link"))
    assert caught.value.errno == errno.ELOOP


def test_a_fifo_without_writer_is_empty_and_does_not_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert files.read_file(str(tmp_path / "fifo")) == b""


@pytest.mark.parametrize("mask", [0, 0o077, 0o777])
def test_the_umask_does_not_decide_the_mode(tmp_path: Path, directory: int, mask: int) -> None:
    before = os.umask(mask)
    try:
        files.write_atomic(directory, "atomic", b"1")
        files.write_new(directory, "new", b"2", 0o644)
        files.append(directory, "log", b"3")
        files.append(directory, "log", b"4")
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"atomic": 0o600, "new": 0o644, "log": 0o600}
    assert (tmp_path / "log").read_bytes() == b"34"


def test_write_atomic_replaces_a_link(tmp_path: Path, directory: int) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "file").symlink_to("victim")
    files.write_atomic(directory, "file", b"mine")
    assert (tmp_path / "victim").read_text() == "precious"
    assert not (tmp_path / "file").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"mine"


@pytest.mark.parametrize("writer", [files.write_new, files.append])
def test_nothing_is_written_through_a_link(
    tmp_path: Path, directory: int, writer: Callable[[int, str, bytes], None]
) -> None:
    (tmp_path / "file").symlink_to("victim")
    with pytest.raises(OSError):
        writer(directory, "file", b"mine")
    assert not (tmp_path / "victim").exists()


def test_write_new_refuses_what_is_there(tmp_path: Path, directory: int) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(FileExistsError):
        files.write_new(directory, "file", b"new")
    assert (tmp_path / "file").read_text() == "old"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, directory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-50: a full disk must not leave half a state file."""

    def full(fd: int, data: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "file").write_text("old")
    with monkeypatch.context() as patch:
        patch.setattr("posix.write", full)
        with pytest.raises(OSError):
            files.write_atomic(directory, "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_short_writes_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    got = bytearray()

    def three(fd: int, data: memoryview) -> int:
        got.extend(data[:3])
        return min(3, len(data))

    with monkeypatch.context() as patch:
        patch.setattr("posix.write", three)
        files.write_all(0, b"0123456789")
    assert got == b"0123456789"


def test_clear_directory_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "precious").touch()
    inner = tmp_path / "inside" / "deep" / "deeper"
    inner.mkdir(parents=True)
    (inner / "file").touch()
    (inner / "link").symlink_to(tmp_path / "outside")
    os.mkfifo(inner / "fifo")
    fd = os.open(tmp_path / "inside", os.O_RDONLY)
    files.clear_directory(fd)
    os.close(fd)
    assert list((tmp_path / "inside").iterdir()) == []
    assert (tmp_path / "outside" / "precious").exists()


def test_remove_file_twice(tmp_path: Path, directory: int) -> None:
    (tmp_path / "file").touch()
    files.remove_file(directory, "file")
    files.remove_file(directory, "file")
    assert not (tmp_path / "file").exists()
