"""pyruntime/runtime/starting.py: what the init reports, and what start makes of it (R-27)."""

from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from pyruntime import errors
from pyruntime.lib.log import Log
from pyruntime.plan import messages
from pyruntime.runtime import container as verbs
from pyruntime.runtime import hooks, init_failure, interlude, starting
from tests.unit.runtime.fakes import FakeContainer

EXEC_STEP, HOOK_STEP, OTHER_STEP = 9, 7, 8
STEPS = {
    str(EXEC_STEP): ["exec `/bin/web`", "/process/args/0"],
    str(HOOK_STEP): ["run startContainer hook #0", "/hooks/startContainer/0"],
    str(OTHER_STEP): ["set the umask", "/process/user/umask"],
}
CONFIG: dict[str, Any] = {
    "process": {"args": ["/bin/web"]},
    "hooks": {"startContainer": [{"path": "/bin/hook", "timeout": 2}]},
}
ABOUT = messages.HEADER.pack(ord("X"), 0, EXEC_STEP, 0, 0)


def failed(step: int, number: int, text: bytes = b"") -> bytes:
    return messages.HEADER.pack(ord("E"), 0, step, number, len(text)) + text


def start(container: FakeContainer, config: dict[str, Any] = CONFIG) -> None:
    container.entry.save_steps(STEPS)
    container.entry.save_config(json.dumps(config).encode())
    verbs.find(str(container.root), "web").start(Log())


def status(container: FakeContainer) -> str:
    return verbs.find(str(container.root), "web").status


def test_the_program_runs(container: FakeContainer) -> None:
    start(container.scripted(ABOUT, "exec"))
    assert container.entry.read_record()["status"] == "running"
    assert status(container) == "running"
    assert not {"start.fifo", "report.fifo"} & set(os.listdir(container.root / "web"))
    with pytest.raises(errors.WrongStatus, match=r"^cannot start an already running container$"):
        verbs.find(str(container.root), "web").start(Log())


def test_it_may_have_ended_already(container: FakeContainer) -> None:
    """A program that ends at once was started all the same."""
    start(container.scripted(ABOUT, "exit"))
    container.reap()
    assert status(container) == "stopped"
    with pytest.raises(errors.WrongStatus, match="cannot start a container that has stopped"):
        verbs.find(str(container.root), "web").start(Log())


def test_execve_failed(container: FakeContainer) -> None:
    with pytest.raises(errors.ProgramError, match=r"^exec /bin/web: no such file or directory$"):
        start(container.scripted(ABOUT + failed(EXEC_STEP, errno.ENOENT), "exit"))


@pytest.mark.parametrize(
    ("number", "text", "words"),
    [
        (0x100000 | 3 << 8, b"out\0err\n", "exit status 3, stdout: out, stderr: err"),
        (0x100000 | 9, b"\0", "signal: killed"),
        (errno.ETIME, b"", "hook ran past specified timeout of 2.0s"),
        (errno.ENOENT, b"", "fork/exec /bin/hook: no such file or directory"),
    ],
)
def test_a_start_container_hook_failed(
    container: FakeContainer, number: int, text: bytes, words: str
) -> None:
    with pytest.raises(errors.HookError) as caught:
        start(container.scripted(failed(HOOK_STEP, number, text), "exit"))
    assert caught.value.message == f"error running startContainer hook #0: {words}"
    assert caught.value.pointer == "/hooks/startContainer/0"


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (OTHER_STEP, "set the umask (/process/user/umask): operation not permitted"),
        (5000, "step 5000 of the container init: operation not permitted"),
    ],
)
def test_any_other_step_failed(container: FakeContainer, step: int, words: str) -> None:
    with pytest.raises(errors.StepError) as caught:
        start(container.scripted(failed(step, errno.EPERM), "exit"))
    assert caught.value.message == words


def test_an_end_without_a_word_is_the_inits_death(container: FakeContainer) -> None:
    with pytest.raises(errors.StepError, match="ended before it could execute"):
        start(container.scripted(b"", "exit"))
    container.reap()
    assert status(container) == "stopped"


def test_the_out_of_memory_killer_is_named(
    container: FakeContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(init_failure, "was_oom_killed", lambda record: True)
    with pytest.raises(errors.StepError, match="OOM-killed"):
        start(container.scripted(b"", "exit"))


def test_half_a_report_is_no_report(container: FakeContainer) -> None:
    with pytest.raises(errors.StepError, match="ended before it could execute"):
        start(container.scripted(ABOUT[:-1], "exit"))


@pytest.mark.parametrize(
    "report",
    [
        messages.HEADER.pack(ord("Z"), 0, 0, 0, 0),
        messages.HEADER.pack(ord("E"), 0, 0, 0, 1025),
        messages.HEADER.pack(ord("E"), 0, 0, 0, (1 << 32) - 1),
    ],
)
def test_what_no_init_sends(container: FakeContainer, report: bytes) -> None:
    with pytest.raises(errors.InternalError):
        start(container.scripted(report, "exit"))


def test_a_dead_init_does_not_hang_it(container: FakeContainer) -> None:
    """Somebody else holds the fifos open, so that their end never comes."""
    container.scripted(ABOUT, "exit")
    holders = [os.open(container.root / "web" / name, os.O_RDWR) for name in starting.FIFOS]
    start(container)
    for fd in holders:
        os.close(fd)


def test_a_start_that_was_killed_can_be_made_again(container: FakeContainer) -> None:
    container.scripted(ABOUT, "exec").write(status="starting")
    assert status(container) == "created"
    start(container)
    assert status(container) == "running"


def test_only_one_start_at_a_time(container: FakeContainer) -> None:
    """Also while the first one has given the lock back for startContainer hooks."""
    container.scripted(ABOUT, "exec")
    container.entry.save_steps(STEPS)
    container.entry.save_config(json.dumps(CONFIG).encode())
    other = container.store.open("web")
    other.lock()
    interlude.begin(other)
    with pytest.raises(errors.WrongStatus, match="that is being started"):
        verbs.find(str(container.root), "web").start(Log())
    other.close()
    verbs.find(str(container.root), "web").start(Log())
    assert status(container) == "running"


def plant_nothing(container: FakeContainer) -> None:
    (container.root / "web" / "start.fifo").unlink()


def plant_file(container: FakeContainer) -> None:
    plant_nothing(container)
    (container.root / "web" / "start.fifo").touch()


def plant_link(container: FakeContainer) -> None:
    path = container.root / "web" / "start.fifo"
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


@pytest.mark.parametrize("plant", [plant_nothing, plant_file, plant_link])
def test_what_stands_in_the_place_of_the_fifo(
    container: FakeContainer, plant: Callable[[FakeContainer], None]
) -> None:
    plant(container.scripted(ABOUT, "exec"))
    with pytest.raises(errors.StepError, match=r"start.fifo: "):
        start(container)
    assert container.entry.read_record()["status"] == "created"


def test_nobody_at_the_other_end(container: FakeContainer) -> None:
    """The init has just ended: its process is still to be seen, its descriptors are closed."""
    for fd in container.entry.make_fifos():
        os.close(fd)
    with pytest.raises(errors.WrongStatus, match="cannot start a container that has stopped"):
        start(container.spawn("created"))


def test_an_init_that_ends_between_open_and_write(
    container: FakeContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody reads any more."""
    container.scripted(ABOUT, "exec")
    real, opened = starting._open_fifo, []

    def open_fifo(entry: Any, name: str, way: int) -> int:
        opened.append(real(entry, name, way))
        if len(opened) == 3:
            container.end_process()
        return opened[-1]

    monkeypatch.setattr(starting, "_open_fifo", open_fifo)
    with pytest.raises(errors.StepError, match="ended before it could execute"):
        start(container)


@pytest.mark.parametrize(
    ("now", "words"),
    [
        ("stopped", "cannot start a container that has stopped"),
        ("running", "cannot start an already running container"),
        ("paused", "cannot start a container in the paused state"),
        ("creating", "cannot start a container in the creating state"),
    ],
)
def test_only_what_is_created_can_be_started(
    container: FakeContainer, now: str, words: str
) -> None:
    with pytest.raises(errors.WrongStatus) as caught:
        starting.check(container.record, now)
    assert caught.value.message == words


def with_poststart() -> dict[str, Any]:
    return {**CONFIG, "hooks": {"poststart": [{"path": "/bin/hook"}]}}


def test_poststart_hooks(container: FakeContainer, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[object, ...]] = []
    monkeypatch.setattr(
        hooks, "run", lambda kind, rows, record, now: seen.append((kind, rows, record["id"], now))
    )
    start(container.scripted(ABOUT, "exec"), with_poststart())
    assert seen == [("poststart", [{"path": "/bin/hook"}], "web", "running")]


def test_a_failing_poststart_hook_ends_the_container(
    container: FakeContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise errors.HookError("error running poststart hook #0: exit status 3")

    monkeypatch.setattr(hooks, "run", fail)
    with pytest.raises(errors.HookError):
        start(container.scripted(ABOUT, "exec"), with_poststart())
    assert container.reap() == -signal.SIGKILL
    assert status(container) == "stopped"


def test_a_full_disk_does_not_undo_a_start(
    container: FakeContainer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """R-50: the program runs, and the status is told from facts."""
    container.scripted(ABOUT, "exec")

    def write(entry: Any, record: dict[str, Any]) -> None:
        raise errors.StepError("no space left on device")

    monkeypatch.setattr(type(container.entry), "write_record", write)
    start(container)
    assert container.entry.read_record()["status"] == "created"
    assert status(container) == "running"
    assert capfd.readouterr().err == ""
