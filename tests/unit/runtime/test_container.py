"""pyruntime/runtime/container.py: state, kill and the listing."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from pyruntime import errors
from pyruntime.cgroup import driver, frozen
from pyruntime.runtime import container as verbs
from pyruntime.runtime.store import Store
from tests.unit.runtime.fakes import FakeContainer

CGROUP = {"mode": "v1", "groups": {}}


@pytest.fixture
def cgroup(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """Calls of the cgroup driver, instead of what they do."""
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(driver, "kill_all", lambda kept, number: calls.append(("kill", number)))
    monkeypatch.setattr(driver, "thaw_all", lambda kept: calls.append(("thaw",)))
    monkeypatch.setattr(frozen, "is_frozen", lambda kept: True)
    return calls


def kill(container: FakeContainer, word: str, everyone: bool = False) -> None:
    verbs.find(str(container.root), "web").kill(word, everyone=everyone)


def test_find(container: FakeContainer) -> None:
    container.spawn("running")
    assert verbs.find(str(container.root), "web").state()["pid"] == container.record["pid"]
    with pytest.raises(errors.NoSuchContainer):
        verbs.find(str(container.root), "other")


def test_kill_reaches_the_init(container: FakeContainer) -> None:
    container.spawn("created")
    kill(container, "USR1")
    assert container.reap() == -signal.SIGUSR1


@pytest.mark.parametrize("status", ["created", "running", "starting"])
def test_kill_of_a_stopped_container(container: FakeContainer, status: str) -> None:
    container.spawn(status)
    container.end_process()
    with pytest.raises(errors.WrongStatus, match=r"^container not running$"):
        kill(container, "KILL")


def test_kill_of_one_that_is_being_made(container: FakeContainer) -> None:
    container.spawn("creating")
    with pytest.raises(errors.WrongStatus, match="container not running"):
        kill(container, "KILL")
    assert container.process is not None and container.process.poll() is None


def test_the_signal_is_judged_before_the_status(container: FakeContainer) -> None:
    container.write(status="running")
    with pytest.raises(errors.PyruntimeError, match='unknown signal "BOGUS"'):
        kill(container, "BOGUS")


def test_everyone_of_a_stopped_container_is_no_error(
    container: FakeContainer, cgroup: list[tuple[object, ...]]
) -> None:
    container.write(status="running")
    kill(container, "9", everyone=True)
    assert cgroup == []
    container.write(cgroup=CGROUP)
    kill(container, "9", everyone=True)
    assert cgroup == [("kill", 9)]


def test_everyone_goes_through_the_cgroup(
    container: FakeContainer, cgroup: list[tuple[object, ...]]
) -> None:
    container.spawn("running", cgroup=CGROUP)
    kill(container, "USR1", everyone=True)
    assert cgroup == [("kill", 10)]
    assert container.process is not None and container.process.poll() is None


def test_everyone_without_a_cgroup_is_the_init(container: FakeContainer) -> None:
    container.spawn("running")
    kill(container, "TERM", everyone=True)
    assert container.reap() == -signal.SIGTERM


def test_kill_in_a_shared_pid_namespace_is_for_all(
    container: FakeContainer, cgroup: list[tuple[object, ...]]
) -> None:
    container.spawn("running", cgroup=CGROUP, pidNamespace=False)
    kill(container, "KILL")
    assert cgroup[0] == ("kill", 9)
    assert container.process is not None and container.process.poll() is None
    kill(container, "TERM")
    assert container.reap() == -signal.SIGTERM


def test_a_paused_container_is_thawed_after_sigkill(
    container: FakeContainer, cgroup: list[tuple[object, ...]]
) -> None:
    """On v1 the signal waits until the process may run."""
    container.spawn("running", cgroup=CGROUP)
    kill(container, "TERM")
    assert cgroup == []
    container.reap()
    container.spawn("running")
    kill(container, "KILL")
    assert cgroup == [("thaw",)]
    assert container.reap() == -signal.SIGKILL


def listed(root: Path) -> list[Any]:
    return list(verbs.every(Store(str(root))))


def test_every_container(container: FakeContainer) -> None:
    container.spawn("running")
    other = FakeContainer(container.root, "db").write(status="created")
    (container.root / "half").mkdir(mode=0o700)
    (container.root / "broken").mkdir(mode=0o700)
    (container.root / "broken" / "state.json").write_text("{")
    found = listed(container.root)
    assert [row[0]["id"] for row in found if isinstance(row, tuple)] == ["db", "web"]
    assert [row[0]["status"] for row in found if isinstance(row, tuple)] == ["stopped", "running"]
    broken = [row for row in found if not isinstance(row, tuple)]
    assert [error.container_id for error in broken] == ["broken", "half"]
    other.end()


def test_every_of_nothing(tmp_path: Path) -> None:
    assert listed(tmp_path / "missing") == []
