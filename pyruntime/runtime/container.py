"""A container that exists, and what its verbs do. `create` and `run` are in create.py and foreground.py.

`state`, `kill` and `list` take no lock and write nothing: they must answer while a long create or start is under
way, and on a full disk. `start` and `delete` (removal.py) hold the lock, but not while hooks run. Each verb imports what it alone needs when
it runs.
"""

from __future__ import annotations

import posix

from pyruntime import errors
from pyruntime.lib.proc import SIGKILL
from pyruntime.runtime import status
from pyruntime.runtime.store import Entry, Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.lib.log import Log
    from pyruntime.plan.record import Record
    from pyruntime.spec.types import Hooks


class Container:
    """One container, as recorded when it is first asked for."""

    __slots__ = ("entry", "_record")

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self._record: Record | None = None

    @property
    def record(self) -> Record:
        if self._record is None:
            self._record = self.entry.read_record()
        return self._record

    @property
    def status(self) -> str:
        return status.status(self.record, self.entry)

    def state(self) -> dict[str, Any]:
        """The document `state` prints."""
        return status.document(self.record, self.status)

    def kill(self, word: str, *, everyone: bool) -> None:
        """Sends a signal to the init, or to every process of the container.

        Without a pid namespace of its own the init's end does not take the others along, so SIGKILL goes to all, also
        when they are all that is left.
        With `everyone` a container that has stopped is no error: engines clean up so.
        """
        from pyruntime.runtime import signals

        record = self.record
        number = signals.parse(word)
        if record["status"] == "creating":
            raise signals.not_running(record)
        if everyone:
            if record.get("cgroup"):
                _signal_all(record, number)
                return
            if not status.is_alive(record):
                return
        to_all = number == SIGKILL and not record["pidNamespace"] and bool(record.get("cgroup"))
        try:
            init = signals.open_init(record)
        except errors.WrongStatus:
            if not to_all or not _driver().pids(record["cgroup"]):
                raise
            _signal_all(record, number)
            return
        try:
            if to_all:
                _signal_all(record, number)
            else:
                signals.send(init, number, record)
        finally:
            posix.close(init)
        if number == SIGKILL:
            _thaw(record)

    def pause(self) -> None:
        """Returns when every process of the container stands still. Nothing is recorded: the freezer knows."""
        if self.status not in ("created", "running"):
            raise errors.WrongStatus(self.record["id"], errors.WORDS["not running"])
        _driver().freeze(self._groups("paused"))

    def resume(self) -> None:
        """Lets a paused container run on."""
        if self.status != "paused":
            raise errors.WrongStatus(self.record["id"], errors.WORDS["not paused"])
        _driver().thaw(self._groups("resumed"))

    def processes(self) -> list[int]:
        """Host pids of all processes of the container; none of one that has stopped."""
        if self.status == "stopped":
            return []
        return sorted(_driver().pids(self._groups("listed")))

    def _groups(self, what: str) -> dict[str, Any]:
        groups: dict[str, Any] | None = self.record.get("cgroup")
        if groups is None:
            raise errors.UnsupportedError(
                f"a container without a cgroup of its own cannot be {what}"
            )
        return groups

    def start(self, log: Log) -> None:
        """Lets the waiting init execute the program; returns when it runs and its poststart hooks have run."""
        from pyruntime.runtime import starting

        with self.entry:
            self.entry.lock()
            # Read only now: the lock may have been waited for.
            starting.start(self.entry, self.entry.read_record(), log)


def find(root: str, container_id: str) -> Container:
    """The container of that id, or NoSuchContainer; StateError may follow when its record is read."""
    return Container(Store(root).open(container_id))


def every(store: Store) -> Iterator[tuple[dict[str, Any], int] | errors.ContainerError]:
    """(state document, owner's uid) of each container; the error instead where one cannot be read."""
    for container_id in store.ids():
        try:
            entry = store.open(container_id)
            try:
                container = Container(entry)
                yield container.state(), container.record["uid"]
            finally:
                entry.close()
        except errors.ContainerError as error:
            yield error


def destroy(entry: Entry, record: Record, configured: Hooks, log: Log | None = None) -> None:
    """Releases the holdings of a container that has ended, forgets it, and runs its poststop hooks."""
    from pyruntime.runtime import removal

    removal.destroy(entry, record, configured, log)


def _driver() -> Any:
    from pyruntime.cgroup import driver

    return driver


def _signal_all(record: Record, number: int) -> None:
    _driver().kill_all(record["cgroup"], number)


def _thaw(record: Record) -> None:
    """On v1 SIGKILL reaches a frozen process only when it is let run."""
    if status.holds_back(record):
        _driver().thaw_all(record["cgroup"])
