"""pyruntime/runtime/status.py: the status is told from facts (R-30, R-52)."""

from __future__ import annotations

from typing import Any

import pytest

from pyruntime.cgroup import frozen
from pyruntime.runtime import status
from tests.unit.runtime.fakes import FakeContainer


def now(container: FakeContainer) -> str:
    return status.status(container.record, container.entry)


@pytest.mark.parametrize("recorded", ["creating", "created", "running"])
def test_a_live_init_is_what_the_record_says(container: FakeContainer, recorded: str) -> None:
    assert now(container.spawn(recorded)) == recorded


@pytest.mark.parametrize("recorded", ["creating", "created", "starting", "running"])
def test_a_dead_init_is_stopped(container: FakeContainer, recorded: str) -> None:
    container.spawn(recorded)
    assert container.process is not None
    container.process.kill()
    container.reap()
    assert now(container) == "stopped"


@pytest.mark.parametrize(
    "fields",
    [{"startTime": 1}, {"bootId": "00000000-0000-0000-0000-000000000000"}, {"pid": 0}],
    ids=["another process", "another boot", "none"],
)
def test_another_process_is_not_the_init(container: FakeContainer, fields: dict[str, Any]) -> None:
    container.spawn("running").write(**fields)
    assert now(container) == "stopped"


def test_starting_is_decided_by_the_program(container: FakeContainer) -> None:
    """A start that was killed leaves its record behind, whatever became of the init."""
    assert now(container.spawn("starting")) == "created"
    container.record["initExe"] = [1, 2]
    assert now(container) == "running"


def test_an_init_that_may_not_be_looked_at_is_still_waiting(
    container: FakeContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(pid: int) -> None:
        raise PermissionError(13, "")

    container.spawn("starting")
    monkeypatch.setattr(status.proc, "exe_of", refuse)
    assert now(container) == "created"


def test_creating_without_an_init_is_decided_by_the_lock(container: FakeContainer) -> None:
    container.write(status="creating")
    assert now(container) == "stopped"
    other = container.store.open("web")
    other.lock()
    assert now(container) == "creating"
    other.close()
    container.entry.lock()
    assert now(container) == "stopped", "we hold the lock, so nobody creates"


def test_paused(container: FakeContainer, monkeypatch: pytest.MonkeyPatch) -> None:
    paused = {"mode": "v1", "groups": {}}
    monkeypatch.setattr(frozen, "is_frozen", lambda kept: kept is paused)
    assert now(container.spawn("running", cgroup=paused)) == "paused"
    container.record["status"] = "created"
    assert now(container) == "paused"
    container.record["status"] = "creating"
    assert now(container) == "creating"
    container.record.update(status="running", cgroup={"mode": "v1", "groups": {}})
    assert now(container) == "running"


def test_the_document_is_runcs(container: FakeContainer) -> None:
    """Fields and order as from runc 1.1; annotations are sorted, and absent where there are none."""
    container.spawn("running")
    expected = {
        "ociVersion": "1.3.0",
        "id": "web",
        "pid": container.record["pid"],
        "status": "running",
        "bundle": "/bundle",
        "rootfs": "/bundle/rootfs",
        "created": "2026-01-02T03:04:05.000000006Z",
        "owner": "",
    }
    found = status.document(container.record, "running")
    assert found == expected and list(found) == list(expected)
    container.record["annotations"] = {"b": "1", "a": "2"}
    found = status.document(container.record, "stopped")
    assert found["pid"] == 0
    assert list(found)[-2:] == ["annotations", "owner"] and list(found["annotations"]) == ["a", "b"]
