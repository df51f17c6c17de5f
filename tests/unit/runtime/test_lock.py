"""pyruntime/runtime/store.py: verbs at the same time (R-48), and removal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyruntime import errors
from pyruntime.runtime import interlude
from pyruntime.runtime.store import Store
from tests.unit.runtime.fakes import FakeContainer


def test_a_new_container_is_locked(tmp_path: Path) -> None:
    first = Store(str(tmp_path / "root"), create=True).create("web")
    second = Store(str(tmp_path / "root")).open("web")
    assert first.locked and not first.is_locked_by_another()
    assert second.is_locked_by_another()
    first.unlock()
    assert not second.is_locked_by_another()
    second.lock()
    second.lock()
    assert first.is_locked_by_another()
    second.close()
    assert not first.is_locked_by_another()


def test_the_block_gives_the_lock_back(container: FakeContainer) -> None:
    other = container.store.open("web")
    with container.entry as entry:
        entry.lock()
        assert other.is_locked_by_another()
    assert not other.is_locked_by_another()
    assert container.entry.fd >= 0, "the descriptor stays"


def test_held_for_hooks(container: FakeContainer) -> None:
    """Others get the lock, and see that somebody is under way."""
    other = container.store.open("web")
    assert not interlude.is_on(other), "not there yet"
    container.entry.save_steps({})
    container.entry.lock()
    interlude.begin(container.entry)
    assert interlude.is_on(other) and not other.is_locked_by_another()
    with other:
        other.lock()
    container.entry.lock()
    assert not interlude.is_on(other) and other.is_locked_by_another()
    container.entry.unlock()
    interlude.begin(container.entry)
    container.entry.close()
    assert not interlude.is_on(other)


def test_looking_does_not_take_the_lock(container: FakeContainer) -> None:
    other = container.store.open("web")
    assert not other.is_locked_by_another()
    assert not container.entry.is_locked_by_another()


def test_what_was_deleted_meanwhile_cannot_be_locked(container: FakeContainer) -> None:
    waiting = container.store.open("web")
    container.entry.remove()
    with pytest.raises(errors.NoSuchContainer):
        waiting.lock()


def test_nor_what_was_made_anew(container: FakeContainer) -> None:
    waiting = container.store.open("web")
    container.entry.remove()
    container.store.create("web")
    with pytest.raises(errors.NoSuchContainer):
        waiting.lock()


def test_create_goes_on_when_a_delete_came_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory is there before the lock is held: a delete may take it away."""
    store = Store(str(tmp_path / "root"), create=True)
    real, calls = store.open, []

    def steal(container_id: str) -> object:
        calls.append(container_id)
        entry = real(container_id)
        if len(calls) == 1:
            entry.remove()
        return entry

    monkeypatch.setattr(Store, "open", lambda self, container_id: steal(container_id))
    entry = store.create("web")
    assert calls == ["web", "web"] and entry.locked
    assert os.path.isdir(tmp_path / "root" / "web")


def test_remove_takes_everything(container: FakeContainer) -> None:
    container.write()
    container.entry.note({"kind": "a"})
    for fd in container.entry.make_fifos():
        os.close(fd)
    (container.root / "web" / "deep" / "er").mkdir(parents=True)
    (container.root / "web" / "link").symlink_to("/etc")
    container.entry.remove()
    assert list(container.root.iterdir()) == []
    container.entry.remove()


def test_an_interrupted_delete_is_finished_by_the_next(container: FakeContainer) -> None:
    (container.root / "~interrupted" / "inner").mkdir(parents=True)
    (container.root / "~interrupted" / "state.json").touch()
    assert container.store.ids() == ["web"]
    container.entry.remove()
    assert list(container.root.iterdir()) == []


def test_what_is_not_ours_in_the_root_stays(container: FakeContainer) -> None:
    (container.root / "not an id").mkdir()
    container.entry.remove()
    assert [path.name for path in container.root.iterdir()] == ["not an id"]
