"""pyruntime/cgroup/pause.py: waiting until a group stands still, on directories that play the kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pyruntime import errors
from pyruntime.cgroup import group, knob, pause
from pyruntime.cgroup.group import Cgroup, Group


class Played:
    """A v1 freezer whose state follows what is written, after some rounds; -1: never."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rounds: int) -> None:
        self.left = rounds
        self.asked: list[str] = []
        self.file = tmp_path / "freezer.state"
        self.file.write_text("THAWED")
        monkeypatch.setattr(knob, "write", self.write)
        monkeypatch.setattr(Group, "open", lambda held: open_directory(tmp_path))
        self.cgroup = Cgroup("v1", [Group("freezer", str(tmp_path), "/x", 1)])

    def write(self, dir_fd: int, name: str, value: str) -> None:
        assert name == "freezer.state"
        self.asked.append(value)
        if value == "FROZEN":
            self.left -= 1
            value = "FROZEN" if self.left == 0 else "FREEZING"
        self.file.write_text(value)


def open_directory(path: Path) -> int:
    import os

    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def test_it_is_asked_again_until_all_stand_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = Played(tmp_path, monkeypatch, 3)
    pause.stand_still(played.cgroup)
    assert played.asked == ["FROZEN"] * 3


def test_now_and_then_they_are_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that forks all the time can keep a freezer from closing for ever."""
    monkeypatch.setattr(pause, "ROUND_MS", 0)
    played = Played(tmp_path, monkeypatch, pause.ROUNDS_TO_A_THAW + 5)
    pause.stand_still(played.cgroup)
    assert played.asked.count("THAWED") == 1


def test_what_never_stands_still_runs_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pause, "PATIENCE_S", 0.02)
    played = Played(tmp_path, monkeypatch, -1)
    with pytest.raises(errors.StepError, match="not every process has stopped"):
        pause.stand_still(played.cgroup)
    assert played.asked[-1] == "THAWED"


def test_no_freezer_is_said() -> None:
    cgroup: Any = Cgroup("v1", [Group("memory", "/sys/fs/cgroup/memory", "/x", 1)])
    with pytest.raises(errors.UnsupportedError, match="no freezer cgroup"):
        pause.stand_still(cgroup)


def test_groups_that_are_gone_stand_still() -> None:
    kept = {"mode": "v1", "groups": {"freezer": ["/sys/fs/cgroup/freezer", "/no-such-group-x", 1]}}
    pause.stand_still(group.from_record(kept))
