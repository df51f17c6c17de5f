"""What the files of a group announce, read from plain files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyruntime import errors
from pyruntime.cgroup import detect, notifications
from pyruntime.cgroup.group import Cgroup, Group

QUIET = "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n"


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory of the container `web` in each hierarchy, which is one and the same here."""
    device = tmp_path.stat().st_dev
    monkeypatch.setattr(detect, "mounted", lambda: {str(tmp_path): device})
    (tmp_path / "web").mkdir()
    yield tmp_path / "web"


def cgroup(group: Path, mode: str) -> Cgroup:
    names = [""] if mode == "v2" else ["memory", "pids"]
    return Cgroup(mode, [Group(name, str(group.parent), "/web", 1) for name in names])


def test_counters_of_memory(group: Path) -> None:
    (group / "memory.events").write_text(QUIET)
    notice = notifications.out_of_memory(cgroup(group, "v2"))
    assert isinstance(notice, notifications.Counters)
    try:
        assert notice.read() == {}
        (group / "memory.events").write_text(QUIET.replace("max 0", "max 7"))
        found = notice.read()
        assert found is not None and found["max"] == 7
        assert not notifications.is_out_of_memory(notice)
        (group / "memory.events").write_text(QUIET.replace("oom_kill 0", "oom_kill 1"))
        found = notice.read()
        assert found is not None and found["oom_kill"] == 1
        assert notifications.is_out_of_memory(notice)
        assert notice.read() == {}
    finally:
        notice.close()


def test_refused_forks(group: Path) -> None:
    (group / "pids.events").write_text("max 0\n")
    for mode in ("v1", "v2"):
        notice = notifications.processes(cgroup(group, mode))
        assert notice is not None
        (group / "pids.events").write_text(f"max {mode[1]}\n")
        assert notice.read() == {"max": int(mode[1])}
        assert not notifications.is_out_of_memory(notice)
        notice.close()


@pytest.mark.parametrize("mode", ["v1", "v2"])
def test_nothing_there(group: Path, mode: str) -> None:
    """No controller, no group, no such file: nothing will be announced, and that is no failure."""
    trigger = notifications.Trigger("memory", "some", 1000, 2_000_000)
    for there in (True, False):
        if not there:
            group.rmdir()
        for found in (
            notifications.out_of_memory(cgroup(group, mode)),
            notifications.processes(cgroup(group, mode)),
            notifications.pressure(cgroup(group, mode), trigger),
            notifications.out_of_memory(Cgroup(mode, [])),
        ):
            assert found is None
    before = len(os.listdir("/proc/self/fd"))
    notifications.out_of_memory(cgroup(group, mode))
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_trigger_says_what_the_kernel_reads() -> None:
    assert notifications.Trigger("io", "full", 150_000, 1_000_000).line == b"full 150000 1000000\0"


def test_pressure_of_v1(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing would ever be told: refused before anything is."""
    monkeypatch.setattr(detect, "layout", lambda: detect.Layout("v1", []))
    with pytest.raises(errors.UnsupportedError, match="cgroup v2, which is not mounted here"):
        notifications.Trigger("cpu", "some", 100_000, 2_000_000).check()
