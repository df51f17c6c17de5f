"""inotify: what is told of the names in a directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyruntime.errors import KernelError
from pyruntime.kernel.inotify import Inotify
from pyruntime.kernel.native import lib


def test_names(tmp_path: Path) -> None:
    inotify = Inotify()
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        number = inotify.add(fd, lib.IN_CREATE | lib.IN_MOVED_FROM | lib.IN_MOVED_TO)
        assert inotify.read() == []
        (tmp_path / "a").mkdir()
        (tmp_path / "a").rename(tmp_path / "n\u00e4me")
        told = [
            (mask & (lib.IN_CREATE | lib.IN_MOVED_FROM | lib.IN_MOVED_TO), name)
            for _, mask, name in inotify.read()
        ]
        assert told == [
            (lib.IN_CREATE, "a"),
            (lib.IN_MOVED_FROM, "a"),
            (lib.IN_MOVED_TO, "n\u00e4me"),
        ]
        # The same directory again: the same watch, another mask.
        assert inotify.add(fd, lib.IN_DELETE) == number
        (tmp_path / "n\u00e4me").rmdir()
        assert [(watch, name) for watch, _, name in inotify.read()] == [(number, "n\u00e4me")]
        assert not os.get_inheritable(inotify.fd)
    finally:
        os.close(fd)
        inotify.close()


def test_only_directories(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    inotify = Inotify()
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    try:
        with pytest.raises(KernelError, match="inotify_add_watch: not a directory"):
            inotify.add(fd, lib.IN_CREATE)
    finally:
        os.close(fd)
        inotify.close()
