"""A container that exists, and what its verbs do. `create` and `run` are in create.py and foreground.py.

`state`, `kill` and `list` take no lock and write nothing: they must answer while a long create or start is under
way, and on a full disk. `start` and `delete` hold the lock. Each verb imports what it alone needs when it runs.
"""

from __future__ import annotations

from pyruntime.errors import (
    WORDS,
    ContainerError,
    NoSuchContainer,
    PyruntimeError,
    StateError,
    WrongStatus,
)
from pyruntime.runtime import status
from pyruntime.runtime.store import Entry, Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.lib.log import Log


class Container:
    """One container, as recorded when this was made."""

    __slots__ = ("entry", "record")

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.record = entry.read_record()

    @property
    def status(self) -> str:
        return status.status(self.record, self.entry)

    def state(self) -> dict[str, Any]:
        """The document `state` prints."""
        return status.document(self.record, self.status)

    def kill(self, word: str, *, everyone: bool) -> None:
        """Sends a signal to the init, or to every process of the container.

        Without a pid namespace of its own the init's end does not take the others along, so SIGKILL goes to all.
        With `everyone` a container that has stopped is no error: engines clean up so.
        """
        from pyruntime.runtime import signals

        record = self.record
        number = signals.parse(word)
        if record["status"] == "creating":
            raise WrongStatus(self.entry.id, WORDS["not running"])
        if everyone:
            if record.get("cgroup"):
                _signal_all(record, number)
                return
            if not status.is_alive(record):
                return
        pidfd = signals.open_init(record)
        if number == signals.KILL and not record["pidNamespace"] and record.get("cgroup"):
            _signal_all(record, number)
            return
        signals.send(pidfd, number, record)
        if number == signals.KILL and record["status"] != "created":
            _thaw(record)

    def start(self, log: Log) -> None:
        """Lets the waiting init execute the program; returns when it runs and its poststart hooks have run."""
        from pyruntime.runtime import starting

        with self.entry:
            self.entry.lock()
            self.record = self.entry.read_record()
            now = self.status
            if now == "stopped":
                raise WrongStatus(self.entry.id, WORDS["start stopped"])
            if now == "running":
                raise WrongStatus(self.entry.id, WORDS["started"])
            if now != "created":
                raise WrongStatus(self.entry.id, f"cannot start a container in the {now} state")
            starting.start(self.entry, self.record, log)


def find(root: str, container_id: str) -> Container:
    """The container of that id, NoSuchContainer, or StateError."""
    return Container(Store(root).open(container_id))


def every(store: Store) -> Iterator[tuple[dict[str, Any], int] | ContainerError]:
    """(state document, owner's uid) of each container; the error instead where one cannot be read."""
    for container_id in store.ids():
        try:
            entry = store.open(container_id)
            try:
                container = Container(entry)
                yield container.state(), container.record["uid"]
            finally:
                entry.close()
        except ContainerError as error:
            yield error


def delete(root: str, container_id: str, log: Log, *, force: bool) -> None:
    """Ends what still runs, if that is allowed, and gives back everything that was made for the container."""
    try:
        entry = Store(root).open(container_id)
        if force:
            # Before waiting for the lock: a create or start under way ends when its init does.
            _end_quietly(entry)
        with entry:
            entry.lock()
            _delete_locked(entry, log, force=force)
    except NoSuchContainer:
        if not force:
            raise


def _delete_locked(entry: Entry, log: Log, *, force: bool) -> None:
    try:
        record = entry.read_record()
    except NoSuchContainer:
        # A create that was killed before its first word: nothing can run yet.
        _release(entry, None, log, force=force)
        entry.remove()
        raise
    except StateError as error:
        if error.foreign or not force:
            raise
        log.warning(f"{error.message}; what its holdings name is released")
        _release(entry, None, log, force=True)
        entry.remove()
        return
    now = status.status(record, entry)
    if now not in ("stopped", "created", "creating") and not force:
        raise WrongStatus(
            entry.id, f"cannot delete container {entry.id} that is not stopped: {now}"
        )
    if now != "stopped":
        end(record)
    config = _config_of(entry, log)
    destroy(entry, record, config, log, force=force)


def _config_of(entry: Entry, log: Log) -> dict[str, Any]:
    """The saved configuration as far as delete needs it: its poststop hooks."""
    try:
        return entry.config() if entry.has_hooks("poststop") else {}
    except FileNotFoundError:
        return {}  # killed before it was saved
    except ValueError as error:
        log.warning(f"{entry.path}/config.json: {error}; no poststop hook is run")
        return {}


def end(record: dict[str, Any]) -> None:
    """SIGKILL, and the wait for the init's end; it may have ended already."""
    from pyruntime.runtime import ending

    ending.end(record)


def _end_quietly(entry: Entry) -> None:
    try:
        record = entry.read_record()
        if record["status"] == "creating" or entry.is_locked_by_another():
            end(record)
    except PyruntimeError:
        pass  # said again, and for good, under the lock


def destroy(
    entry: Entry,
    record: dict[str, Any],
    config: dict[str, Any],
    log: Log | None = None,
    *,
    force: bool = False,
) -> None:
    """Releases the holdings of a container that has ended, forgets it, and runs its poststop hooks."""
    if log is None:
        from pyruntime.lib.log import Log as PlainLog

        log = PlainLog()
    try:
        entry.lock()
    except NoSuchContainer:
        return  # somebody else deleted it
    _release(entry, record, log, force=force)
    entry.remove()
    configured = (config.get("hooks") or {}).get("poststop")
    if configured:
        from pyruntime.runtime import hooks

        # A failure is a warning, and the others still run (runtime.md, Lifecycle 14).
        for failure in hooks.run_all("poststop", configured, record, "stopped"):
            log.warning(failure.message)


def _release(entry: Entry, record: dict[str, Any] | None, log: Log, *, force: bool) -> None:
    from pyruntime.runtime import holdings

    try:
        holdings.release_all(entry)
    except StateError as error:
        if error.foreign or not force:
            raise
        log.warning(error.message)
        if record is not None and record.get("cgroup"):
            from pyruntime.cgroup import driver

            driver.release(record["cgroup"])


def _signal_all(record: dict[str, Any], number: int) -> None:
    from pyruntime.cgroup import driver

    driver.kill_all(record["cgroup"], number)


def _thaw(record: dict[str, Any]) -> None:
    """On v1 SIGKILL reaches a paused process only when it is let run."""
    from pyruntime.cgroup import driver

    if record.get("cgroup") and driver.is_frozen(record["cgroup"]):
        driver.thaw(record["cgroup"])
