"""pyruntime/runtime/removal.py, ending.py and holdings.py: what delete ends, gives back and refuses."""

from __future__ import annotations

import errno
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from pyruntime import errors
from pyruntime.cgroup import driver, frozen
from pyruntime.lib import files
from pyruntime.lib.log import Log
from pyruntime.runtime import container as verbs
from pyruntime.runtime import holdings, hooks, init_kill, removal
from pyruntime.runtime.store import Entry
from tests.unit.runtime.fakes import FakeContainer

CGROUP = {"mode": "v1", "groups": {}}


@pytest.fixture
def released(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the cgroup driver was given to release."""
    given: list[dict[str, Any]] = []
    monkeypatch.setattr(driver, "release", given.append)
    monkeypatch.setattr(frozen, "is_frozen", lambda kept: False)
    return given


def delete(container: FakeContainer, force: bool = False) -> None:
    removal.delete(str(container.root), "web", Log(), force=force)


def is_gone(container: FakeContainer) -> bool:
    return not list(container.root.iterdir())


def test_a_stopped_container(container: FakeContainer) -> None:
    container.spawn("running")
    container.end_process()
    delete(container)
    assert is_gone(container)


@pytest.mark.parametrize("status", ["created", "starting"])
def test_a_created_container_needs_force(container: FakeContainer, status: str) -> None:
    """runtime.md, Delete: what is not stopped is not deleted."""
    container.spawn(status)
    with pytest.raises(errors.WrongStatus, match="that is not stopped: "):
        delete(container)
    assert container.process is not None and container.process.poll() is None
    delete(container, force=True)
    assert container.reap() == -signal.SIGKILL
    assert is_gone(container)


def test_a_half_made_one_whose_creator_is_gone(container: FakeContainer) -> None:
    """R-49: no --force is needed when nobody makes it any more."""
    delete(container.spawn("creating"))
    assert container.reap() == -signal.SIGKILL
    assert is_gone(container)


def test_a_running_one_is_refused(container: FakeContainer) -> None:
    container.spawn("running")
    with pytest.raises(errors.WrongStatus) as caught:
        delete(container)
    assert caught.value.message == "cannot delete container web that is not stopped: running"
    assert container.process is not None and container.process.poll() is None
    delete(container, force=True)
    assert container.reap() == -signal.SIGKILL
    assert is_gone(container)


def test_an_unknown_one(container: FakeContainer) -> None:
    container.entry.remove()
    with pytest.raises(errors.NoSuchContainer):
        delete(container)
    delete(container, force=True)


def test_what_a_killed_delete_has_left(container: FakeContainer) -> None:
    """Its directory has lost its name: whoever deletes that id again, or another one, buries it."""
    (container.root / "~0123").mkdir()
    (container.root / "~0123" / "state.json").touch()
    (container.root / "~file").touch()
    container.entry.remove()
    (container.root / "~4567").mkdir()
    delete(container, force=True)
    assert [path.name for path in container.root.iterdir()] == ["~file"]


def test_a_bad_id_is_never_fine(container: FakeContainer) -> None:
    with pytest.raises(errors.ContainerError, match="invalid container ID format"):
        removal.delete(str(container.root), "../web", Log(), force=True)


def test_one_killed_before_its_first_word(
    container: FakeContainer, released: list[dict[str, Any]]
) -> None:
    container.entry.note({"kind": "cgroup", **CGROUP})
    with pytest.raises(errors.NoSuchContainer):
        delete(container)
    assert is_gone(container) and len(released) == 1


def test_holdings_are_released(container: FakeContainer, released: list[dict[str, Any]]) -> None:
    container.write(status="created")
    for number in range(3):
        container.entry.note({"kind": "cgroup", "number": number})
    delete(container)
    assert [row["number"] for row in released] == [2, 1, 0]
    assert is_gone(container)


def test_one_that_cannot_be_released_keeps_the_state(
    container: FakeContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are tried, and delete can be called again."""
    tried: list[int] = []

    def release(holding: dict[str, Any]) -> None:
        tried.append(holding["number"])
        if holding["number"] == 1 and len(tried) < 4:
            raise errors.StepError("remove cgroup /x: device or resource busy")

    monkeypatch.setattr(driver, "release", release)
    container.write(status="created")
    for number in range(3):
        container.entry.note({"kind": "cgroup", "number": number})
    with pytest.raises(errors.StepError, match="busy"):
        delete(container)
    assert tried == [2, 1, 0] and container.store.ids() == ["web"]
    delete(container)
    assert is_gone(container)


def test_a_holding_of_a_later_version(
    container: FakeContainer, released: list[dict[str, Any]]
) -> None:
    container.write(status="created")
    container.entry.note({"kind": "keyring"})
    for force in (False, True):
        with pytest.raises(errors.StateError, match=r"`keyring`"):
            delete(container, force=force)
    assert container.store.ids() == ["web"]


def test_garbled_state_needs_force(
    container: FakeContainer, released: list[dict[str, Any]], capfd: pytest.CaptureFixture[str]
) -> None:
    """R-51: then the holdings alone say what there is."""
    (container.root / "web" / "state.json").write_text("{")
    container.entry.note({"kind": "cgroup", **CGROUP})
    with pytest.raises(errors.StateError, match=r"state.json is damaged"):
        delete(container)
    assert released == []
    delete(container, force=True)
    assert is_gone(container) and len(released) == 1
    assert "damaged" in capfd.readouterr().err


@pytest.mark.parametrize(
    "fields",
    [{"status": "x"}, {"format": None}, {"cgroup": 5}, {"annotations": []}],
    ids=str,
)
def test_a_strange_record_still_names_the_init(
    container: FakeContainer, released: list[dict[str, Any]], fields: dict[str, Any]
) -> None:
    container.entry.note({"kind": "cgroup", **CGROUP})
    container.spawn("running").write(**fields)
    with pytest.raises(errors.StateError):
        delete(container)
    assert container.process is not None and container.process.poll() is None
    delete(container, force=True)
    assert container.reap() == -signal.SIGKILL
    assert is_gone(container) and len(released) == 1


@pytest.mark.parametrize("name", ["state.json", "holdings"])
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_what_cannot_be_read_for_want_of_room_is_not_damaged(
    container: FakeContainer,
    released: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    number: int,
) -> None:
    container.write(status="created")
    container.entry.note({"kind": "cgroup", **CGROUP})
    real = files.read_file

    def read(path: str, *words: Any) -> bytes:
        if path == name:
            raise OSError(number, "")
        return real(path, *words)

    with monkeypatch.context() as patch:
        patch.setattr(files, "read_file", read)
        with pytest.raises(errors.StepError, match=f"read .*/{name}"):
            delete(container, force=True)
    assert released == [] and container.store.ids() == ["web"]


def test_garbled_holdings_need_force(
    container: FakeContainer, released: list[dict[str, Any]]
) -> None:
    container.write(status="created", cgroup=CGROUP)
    (container.root / "web" / "holdings").write_text("{\n")
    with pytest.raises(errors.StateError, match="holdings is damaged"):
        delete(container)
    delete(container, force=True)
    assert is_gone(container) and released == [CGROUP]


@pytest.mark.parametrize("data", [None, b"", b'{"torn'])
def test_lost_holdings(
    container: FakeContainer, released: list[dict[str, Any]], data: bytes | None
) -> None:
    """The record names the cgroup, too."""
    container.write(status="created", cgroup=CGROUP)
    if data is not None:
        (container.root / "web" / "holdings").write_bytes(data)
    delete(container)
    assert is_gone(container) and released == [CGROUP]


@pytest.mark.parametrize("record", [{"format": 2, "id": "web"}, {"init_process_pid": 1}])
def test_foreign_state_is_never_destroyed(container: FakeContainer, record: dict[str, Any]) -> None:
    (container.root / "web" / "state.json").write_text(json.dumps(record))
    for force in (False, True):
        with pytest.raises(errors.StateError):
            delete(container, force=force)
    assert container.store.ids() == ["web"]


def test_another_boots_process_is_not_ended(container: FakeContainer) -> None:
    """R-52: the number may be a stranger's."""
    container.spawn("running", bootId="another")
    delete(container)
    assert container.process is not None and container.process.poll() is None
    assert is_gone(container)


def poststop(container: FakeContainer, monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    seen: list[tuple[object, ...]] = []

    def run_all(kind: str, rows: list[Any], record: dict[str, Any], now: str) -> list[Any]:
        seen.append((kind, rows, record["id"], now, is_gone(container)))
        return [errors.HookError("error running poststop hook #0: exit status 3")]

    monkeypatch.setattr(hooks, "run_all", run_all)
    return seen


def test_poststop_hooks_run_last_and_only_warn(
    container: FakeContainer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    seen = poststop(container, monkeypatch)
    container.write(status="running")
    container.entry.save_config(b'{"hooks": {"poststop": [{"path": "/bin/hook"}]}}')
    delete(container)
    assert seen == [("poststop", [{"path": "/bin/hook"}], "web", "stopped", True)]
    said = capfd.readouterr().err
    assert "level=warning" in said and "error running poststop hook #0: exit status 3" in said


@pytest.mark.parametrize("config", [b'{"poststop": ', b"\xff poststop"])
def test_a_garbled_config_does_not_stop_it(
    container: FakeContainer, capfd: pytest.CaptureFixture[str], config: bytes
) -> None:
    container.write(status="running")
    container.entry.save_config(config.replace(b"poststop", b'"poststop"'))
    delete(container)
    assert is_gone(container)
    assert "no poststop hook is run" in capfd.readouterr().err


def test_force_ends_a_create_that_holds_the_lock(
    container: FakeContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its init is ended before the wait for the lock, so that the create ends and gives it back."""
    order: list[str] = []
    real_lock, real_end = Entry.lock, init_kill.end
    other = container.store.open("web")
    other.lock()

    def lock(entry: Entry) -> None:
        order.append("lock")
        other.unlock()
        real_lock(entry)

    def end(record: dict[str, Any]) -> None:
        order.append("end")
        real_end(record)

    monkeypatch.setattr(Entry, "lock", lock)
    monkeypatch.setattr(init_kill, "end", end)
    container.spawn("creating")
    delete(container, force=True)
    assert order[:2] == ["end", "lock"] and is_gone(container)
    other.close()


def test_destroy_of_what_somebody_else_deleted(container: FakeContainer) -> None:
    container.write(status="running")
    delete(container)
    verbs.destroy(container.entry, container.record, {})


def test_an_init_that_does_not_end(
    container: FakeContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(init_kill, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr("pyruntime.runtime.signals.send", lambda *_: None)
    container.spawn("creating")
    with pytest.raises(errors.StepError, match="has not ended"):
        delete(container)
    assert container.store.ids() == ["web"]


def test_a_paused_init_is_thawed(container: FakeContainer, monkeypatch: pytest.MonkeyPatch) -> None:
    thawed: list[object] = []
    monkeypatch.setattr(frozen, "is_frozen", lambda kept: True)
    monkeypatch.setattr(driver, "thaw_all", thawed.append)
    container.spawn("running", cgroup=CGROUP)
    init_kill.end(container.record)
    assert thawed == [CGROUP] and container.reap() == -signal.SIGKILL
    init_kill.end(container.record)


def test_release_all_of_nothing(tmp_path: Path, container: FakeContainer) -> None:
    holdings.release_all(container.entry)


def test_a_unit_of_systemd_is_seen_before_anything_is_done(
    container: FakeContainer, released: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = {"kind": "systemd", "unit": "pt-web.scope", "user": False, "description": "ours"}
    container.spawn("running")
    container.entry.note(unit)
    done: list[Any] = []

    def reach() -> None:
        assert container.process is not None and container.process.poll() is None and not done
        done.append("reached")

    monkeypatch.setattr(driver, "reach_to_release", reach)
    monkeypatch.setattr(driver, "release_unit", lambda holding: done.append(holding["unit"]))
    delete(container, force=True)
    assert done == ["reached", "pt-web.scope"]
    assert is_gone(container)


def test_a_unit_whose_holding_is_lost(
    container: FakeContainer, released: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = {"unit": "pt-web.scope", "user": False, "description": "ours"}
    container.spawn("running", cgroup={**CGROUP, "systemd": unit})
    container.end_process()
    stopped: list[Any] = []
    monkeypatch.setattr(driver, "release_unit", stopped.append)
    delete(container)
    assert stopped == [unit] and len(released) == 1


def test_others_do_not_ask_for_systemd(
    container: FakeContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "reach_to_release", lambda: pytest.fail("asked"))
    container.spawn("running")
    container.entry.note({"kind": "cgroup", "mode": "v1", "groups": {}})
    container.end_process()
    delete(container)
