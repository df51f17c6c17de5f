"""pyruntime/runtime/identity.py: whose process it is where /proc alone does not tell (R-30)."""

from __future__ import annotations

import os
from typing import Any

import pytest

from pyruntime.lib import proc
from pyruntime.runtime import identity, signals, status
from tests.unit.runtime.fakes import FakeContainer

TICK = proc.NANOSECONDS // os.sysconf("SC_CLK_TCK")


@pytest.fixture
def hidden(container: FakeContainer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What hidepid does to everybody's processes but one's own."""
    container.spawn("created")
    before = proc.stat_of
    monkeypatch.setattr(proc, "stat_of", lambda pid: before(pid) if pid == os.getpid() else None)
    monkeypatch.setattr(proc, "is_shown", lambda pid: False)
    monkeypatch.setattr(proc, "exe_of", lambda pid: None)


def inode_of(record: dict[str, Any]) -> int:
    fd = signals.open_process(record)
    try:
        return os.fstat(fd).st_ino
    finally:
        os.close(fd)


def test_a_hidden_process_lives(container: FakeContainer, hidden: None) -> None:
    """Also where its record is of a version that kept no inode."""
    assert status.status(container.record, container.entry) == "created"
    container.record["pidfdInode"] = inode_of(container.record)
    assert status.status(container.record, container.entry) == "created"
    container.end_process()
    assert status.status(container.record, container.entry) == "stopped"


def test_another_hidden_process_is_not_it(container: FakeContainer, hidden: None) -> None:
    if inode_of(container.record) == inode_of({"pid": os.getpid()}):
        pytest.skip("before Linux 6.9 all pidfds share an inode")
    container.record["pidfdInode"] = inode_of({"pid": os.getpid()})
    assert status.status(container.record, container.entry) == "stopped"


def test_of_an_earlier_boot(container: FakeContainer, hidden: None) -> None:
    container.record["bootId"] = "x"
    assert not status.is_alive(container.record)


@pytest.mark.parametrize(("moved", "alive"), [(0, True), (-1, False), (1, False)])
def test_a_start_that_was_hidden_has_bounds(
    container: FakeContainer, monkeypatch: pytest.MonkeyPatch, moved: int, alive: bool
) -> None:
    record = container.spawn("running").record
    started = record["startTime"]
    with monkeypatch.context() as patch:
        patch.setattr(proc, "stat_of", lambda pid: ("S", started - 5))
        identity.estimate(record)
    assert record["startedAfter"] == started - 5 and record["startTime"] >= started
    width = record["startTime"] - record["startedAfter"] + 1
    record["startTime"] += moved * width
    record["startedAfter"] += moved * width
    assert status.is_alive(record) is alive


@pytest.mark.parametrize(
    ("creators", "ours", "shown", "is_it"),
    [
        (0, 1000 * TICK, 5000, True),
        (0, 1000 * TICK + TICK // 2, 5001, True),
        (0, 1000 * TICK, 5002, False),
        (0, 1000 * TICK, 4999, False),
        (1000 * TICK, 0, 3000, True),
        (-TICK // 2, 0, 4000, True),
        (1000 * TICK, 1000 * TICK, 5000, False),
    ],
)
def test_time_namespaces(
    monkeypatch: pytest.MonkeyPatch, creators: int, ours: int, shown: int, is_it: bool
) -> None:
    monkeypatch.setattr(proc, "clock_offset", lambda: ours)
    record = {"startTime": 4000, "clockOffset": creators}
    assert identity.has_started(record, shown) is is_it
