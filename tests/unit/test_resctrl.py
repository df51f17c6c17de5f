"""pyruntime/resctrl.py where no fake stands in: finding the mount, and one write(2) for a value."""

from __future__ import annotations

import os
import posix
from pathlib import Path

import pytest

from pyruntime import resctrl
from pyruntime.lib import mountinfo

ROOT = b"23 1 0:22 / / rw - ext4 /dev/root rw\n"


def mounts(monkeypatch: pytest.MonkeyPatch, *places: tuple[Path, int]) -> None:
    rows = [
        b"%d 23 %d:%d / %s rw shared:1 - resctrl resctrl rw\n"
        % (number, os.major(device), os.minor(device), str(place).encode())
        for number, (place, device) in enumerate(places, 30)
    ]
    monkeypatch.setattr(mountinfo, "read_file", lambda path, limit: ROOT + b"".join(rows))


def test_none(monkeypatch: pytest.MonkeyPatch) -> None:
    mounts(monkeypatch)
    assert resctrl.find() is None


def test_anywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The place is whatever the administrator chose."""
    mounts(monkeypatch, (tmp_path, tmp_path.stat().st_dev))
    groups = resctrl.find()
    assert groups is not None
    with groups:
        assert os.readlink(f"/proc/self/fd/{groups.fd}") == str(tmp_path)


def test_one_that_is_hidden_or_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    mounts(monkeypatch, (tmp_path, device + 1), (tmp_path / "gone", device))
    assert resctrl.find() is None


def test_part_of_one_is_not_the_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    row = b"30 23 0:50 /gold /srv rw - resctrl resctrl rw\n"
    monkeypatch.setattr(mountinfo, "read_file", lambda path, limit: ROOT + row)
    assert mountinfo.find(b"resctrl") == []


def test_a_value_is_one_write(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    written = []
    monkeypatch.setattr(posix, "write", lambda fd, data: written.append(bytes(data)))
    (tmp_path / "schemata").touch()
    fd = os.open(tmp_path, os.O_RDONLY)
    resctrl.write_file(fd, "schemata", "L3:0=f;1=f\n")
    os.close(fd)
    assert written == [b"L3:0=f;1=f\n"]


def test_a_link_in_the_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "tasks").symlink_to("/dev/null")
    fd = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(OSError, match="symbolic link"):
        resctrl.write_file(fd, "tasks", "1")
    os.close(fd)
