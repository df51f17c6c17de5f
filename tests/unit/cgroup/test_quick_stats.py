"""pyruntime/cgroup/quick_stats.py on ordinary files that play a group."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyruntime.cgroup import detect, quick_stats
from pyruntime.cgroup.group import Cgroup, Group


def test_a_host_of_many_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line is counted, however many there are."""
    lines = [f"253:{number} rbytes=10 wbytes=20 rios=1 wios=2\n" for number in range(1000)]
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "io.stat").write_text("".join(lines))
    monkeypatch.setattr(detect, "mounted", lambda: {str(tmp_path): os.stat(tmp_path).st_dev})
    with quick_stats.Mounts() as mounts:
        seen = quick_stats.Glance(Cgroup("v2", [Group("", str(tmp_path), "/web", 1)]), mounts)
        assert seen.read() == {"io": (10000, 20000)}
