"""A resctrl file system of ordinary files, for machines without the hardware.

The tree has the files of the kernel's documentation (filesystems/resctrl.rst). What only the kernel can do (filling a
new group, removing one with what is in it, reading `tasks` as a list) is done by the fake in the place of resctrl's
three functions that touch it; everything else is the real code on real files.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pyruntime import resctrl
from pyruntime.lib import mountinfo

SCHEMATA = "    L3:0=fffff;1=fffff\n    MB:0=100;1=100\n"


class FakeResctrl:
    """`written` are the values in the order of their write(2), `refuse` the next value that fails with its errno."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.written: list[tuple[str, str]] = []
        self.refuse: dict[str, int] = {}
        self.mounted = True
        root.mkdir()
        self.fill(root)
        for name, text in (("last_cmd_status", "ok\n"), ("MB/bandwidth_gran", "10\n")):
            (root / "info" / name).parent.mkdir(parents=True, exist_ok=True)
            (root / "info" / name).write_text(text)
        patch.setattr(mountinfo, "find", self.find)
        patch.setattr(resctrl, "make_directory", self.make_directory)
        patch.setattr(resctrl, "remove_directory", self.remove_directory)
        patch.setattr(resctrl, "write_file", self.write_file)

    def find(self, kind: bytes) -> list[tuple[str, int]]:
        assert kind == b"resctrl"
        return [(str(self.root), self.root.stat().st_dev)] if self.mounted else []

    def fill(self, group: Path, *, monitor: bool = False) -> None:
        (group / "tasks").write_text("")
        if not monitor:
            (group / "schemata").write_text(SCHEMATA)
            (group / "mon_groups").mkdir()

    def group(self, name: str, schemata: str = SCHEMATA) -> Path:
        """One that somebody made before."""
        path = self.root / name
        path.mkdir()
        self.fill(path)
        (path / "schemata").write_text(schemata)
        return path

    def make_directory(self, name: str, dir_fd: int) -> None:
        self._may(name)
        os.mkdir(name, dir_fd=dir_fd)
        above = Path(os.readlink(f"/proc/self/fd/{dir_fd}"))
        self.fill(above / name, monitor=above.name == "mon_groups")

    def remove_directory(self, name: str, dir_fd: int) -> None:
        self._may(name)
        group = Path(os.readlink(f"/proc/self/fd/{dir_fd}")) / name
        # The kernel removes what is in a group with it, and this must never remove anything else.
        assert "/" not in name and name not in (".", ".."), name
        assert group.is_relative_to(self.root), group
        shutil.rmtree(group)

    def write_file(self, dir_fd: int, name: str, value: str) -> None:
        self._may(value)
        path = Path(os.readlink(f"/proc/self/fd/{dir_fd}")) / name
        assert path.is_file()
        self.written.append((str(path.relative_to(self.root)), value))
        if name == "tasks":
            path.write_text(path.read_text() + value + "\n")

    def _may(self, value: str) -> None:
        number = self.refuse.pop(value, 0)
        if number:
            raise OSError(number, os.strerror(number))

    @property
    def groups(self) -> list[str]:
        return sorted(
            str(path.parent.relative_to(self.root))
            for path in self.root.rglob("tasks")
            if path.parent != self.root
        )
