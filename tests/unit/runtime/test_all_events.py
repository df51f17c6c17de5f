"""events --all on a state root of plain files: what is told, and what cannot keep it from being told."""

from __future__ import annotations

import errno
import fcntl
import os
import posix
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyruntime.cgroup import notifications
from pyruntime.lib import proc
from pyruntime.lib.log import Log
from pyruntime.runtime import all_events
from pyruntime.runtime.poller import Watch
from pyruntime.runtime.record import new_record
from pyruntime.runtime.store import Entry, Store

Told = list[tuple[str, str]]


class Stage:
    """A crowd that is asked for one round at a time."""

    def __init__(self, root: Path, log_fd: int) -> None:
        self.store = Store(str(root), create=True)
        self.events: list[dict[str, Any]] = []
        self.watch = Watch()
        self.crowd = all_events.Crowd(self.store, self.watch, [], self.events.append, Log(log_fd))
        self.children: list[subprocess.Popen[bytes]] = []

    def begin(self) -> None:
        self.crowd.begin()

    def told(self) -> Told:
        """What is told now, {type, id}."""
        for _ in range(4):
            self.watch.wait(0)
        found, self.events[:] = [(event["type"], event["id"]) for event in self.events], []
        return found

    def make(self, name: str, **members: Any) -> Entry:
        entry = self.store.create(name)
        self.write(entry, **members)
        return entry

    def write(self, entry: Entry, **members: Any) -> None:
        record = new_record(entry.id, "/bundle", "/bundle/rootfs", {}, "1.3.0")
        entry.write_record({**record, **members})

    def child(self) -> dict[str, int]:
        process = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE)
        self.children.append(process)
        found = proc.stat_of(process.pid)
        assert found is not None
        return {"pid": process.pid, "startTime": found[1]}

    def end_child(self) -> None:
        self.children[-1].kill()
        posix.waitid(posix.P_PID, self.children[-1].pid, posix.WEXITED | posix.WNOWAIT)

    def close(self) -> None:
        self.crowd.close()
        self.watch.__exit__()
        for process in self.children:
            process.kill()
            process.communicate()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.write_text("")
    return path


@pytest.fixture
def stage(tmp_path: Path, log: Path) -> Iterator[Stage]:
    fd = os.open(log, os.O_WRONLY | os.O_APPEND)
    made = Stage(tmp_path / "state", fd)
    yield made
    made.close()
    os.close(fd)


def test_a_life(stage: Stage) -> None:
    stage.begin()
    entry = stage.make("web")
    assert stage.told() == []
    init = stage.child()
    stage.write(entry, status="created", **init)
    assert stage.told() == [("created", "web")]
    stage.write(entry, status="starting", **init)
    assert stage.told() == []
    stage.write(entry, status="running", **init)
    assert stage.told() == [("started", "web")]
    stage.end_child()
    assert stage.told() == [("exited", "web")]
    entry.remove()
    assert stage.told() == [("deleted", "web")]


def test_all_of_it_between_two_looks(stage: Stage) -> None:
    """The steps that were not seen are told in their order."""
    stage.begin()
    init = stage.child()
    entry = stage.make("web", status="running", **init)
    stage.end_child()
    entry.unlock()
    assert stage.told() == [("created", "web"), ("started", "web"), ("exited", "web")]
    entry.remove()
    stage.make("web")
    assert stage.told() == [("deleted", "web")]


def test_an_end_before_the_start_is_written_down(stage: Stage) -> None:
    """It waits as long as whoever starts it has the lock."""
    stage.begin()
    init = stage.child()
    entry = stage.make("web", status="created", **init)
    assert stage.told() == [("created", "web")]
    stage.write(entry, status="starting", **init)
    stage.end_child()
    assert stage.told() == []
    stage.write(entry, status="running", **init)
    assert stage.told() == [("started", "web"), ("exited", "web")]


def test_a_start_that_fails(stage: Stage) -> None:
    """Nothing more is written; the directory is closed."""
    stage.begin()
    init = stage.child()
    entry = stage.make("web", status="starting", **init)
    stage.told()
    stage.end_child()
    assert stage.told() == []
    entry.close()
    assert stage.told() == [("exited", "web")]


def test_deleted_before_its_end_was_read(stage: Stage) -> None:
    stage.begin()
    entry = stage.make("web", status="running", **stage.child())
    assert stage.told() == [("created", "web"), ("started", "web")]
    entry.remove()
    stage.end_child()
    assert sorted(stage.told()) == [("deleted", "web"), ("exited", "web")]


def test_a_descriptor_beyond_those_of_select(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few hundred containers are more than a thousand descriptors."""

    def open_high(record: dict[str, Any]) -> int:
        low = posix.pidfd_open(record["pid"])
        try:
            return fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, 1024)
        finally:
            posix.close(low)

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setattr(all_events.signals, "open_process", open_high)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        stage.begin()
        entry = stage.make("web", status="running", **stage.child())
        assert stage.told() == [("created", "web"), ("started", "web")]
        entry.remove()
        stage.end_child()
        assert sorted(stage.told()) == [("deleted", "web"), ("exited", "web")]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_no_descriptor_left(stage: Stage, log: Path) -> None:
    """Who cannot be looked at is named."""
    stage.begin()
    stage.make("web", status="created", **stage.child()).close()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open("/", os.O_PATH)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        assert stage.told() == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "state of `web`: too many open files: nothing is told of it" in log.read_text()


def test_lost_news(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue of inotify overflows: what is true then is told."""
    stage.begin()
    gone = stage.make("gone", status="created", **stage.child())
    stays = stage.make("stays", status="created", **stage.child())
    stage.told()
    inotify = stage.crowd.inotify
    gone.remove()
    stage.write(stays, status="running", **stage.child())
    stage.make("new", status="created", **stage.child())
    while inotify.read():
        pass
    monkeypatch.setattr(
        inotify.__class__, "read", lambda _: [(-1, all_events.lib.IN_Q_OVERFLOW, "")]
    )
    stage.crowd._read_inotify()
    assert sorted(stage.told()) == [("created", "new"), ("deleted", "gone"), ("started", "stays")]


DAMAGED = {"mode": "v1", "groups": {"memory": ["/nowhere", "/../above", 1]}}


def refused(*_: object) -> None:
    raise OSError(errno.EACCES, os.strerror(errno.EACCES), "memory.oom_control")


@pytest.mark.parametrize(
    ("groups", "notice", "said"),
    [
        (DAMAGED, notifications.out_of_memory, "record of the container's cgroups is damaged"),
        ({"mode": "v2", "groups": {}}, refused, "ermission denied"),
    ],
    ids=["damaged", "refused"],
)
def test_groups_that_cannot_be_listened_to(
    stage: Stage,
    log: Path,
    monkeypatch: pytest.MonkeyPatch,
    groups: dict[str, Any],
    notice: Callable[..., Any],
    said: str,
) -> None:
    monkeypatch.setattr(notifications, "out_of_memory", notice)
    stage.begin()
    stage.make("web", status="running", cgroup=groups, **stage.child())
    assert stage.told() == [("created", "web"), ("started", "web")]
    assert "listen to container web" in log.read_text() and said in log.read_text()
    stage.end_child()
    assert stage.told() == [("exited", "web")]


def test_a_pid_that_is_somebody_elses_now(stage: Stage) -> None:
    """The container's own has ended, how is not known."""
    stage.begin()
    init = stage.child()
    init["startTime"] -= 1
    entry = stage.make("web", status="running", **init)
    entry.unlock()
    stage.watch.wait(0)
    assert stage.events[-1]["data"] == {"pid": init["pid"], "code": None, "signal": None}
    assert stage.told()[-1] == ("exited", "web")
    stage.end_child()
    assert stage.told() == []
