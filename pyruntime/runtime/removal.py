"""`delete`: ends what still runs, if that is allowed, and gives back everything that was made for a container.

The same way is taken after a SIGKILL of any verb: the record and the holdings say what there may be.
"""

from __future__ import annotations

from pyruntime import errors
from pyruntime.lib import files, jsondoor
from pyruntime.runtime import holdings, init_kill, status
from pyruntime.runtime.store import MAX_RECORD_BYTES, Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.lib.log import Log
    from pyruntime.plan.record import Record
    from pyruntime.runtime.store import Entry
    from pyruntime.spec.types import Hooks


def delete(root: str, container_id: str, log: Log, *, force: bool) -> None:
    """Ends what still runs, if that is allowed, and gives back everything that was made for the container."""
    store = Store(root)
    try:
        entry = store.open(container_id)
        holdings.reach(entry)
        if force:
            # Before waiting for the lock: a create or start under way ends when its init does.
            _end_quietly(entry)
        with entry:
            entry.lock()
            _delete_locked(entry, log, force=force)
    except errors.NoSuchContainer:
        store.sweep()  # a delete that was killed may have left what is no container any more
        if not force:
            raise


def _delete_locked(entry: Entry, log: Log, *, force: bool) -> None:
    try:
        record = entry.read_record()
    except errors.NoSuchContainer:
        # A create that was killed before its first word: nothing can run yet.
        _release(entry, None, log, force=force)
        entry.remove()
        raise
    except errors.StateError as error:
        if error.foreign or not force:
            raise
        log.warning(f"{error.message}; what its holdings name is released")
        _end_named(entry)
        _release(entry, None, log, force=True)
        entry.remove()
        return
    now = status.status(record, entry)
    # A create that was killed takes its init along in a moment; one that is under way runs hooks.
    is_over = now == "stopped" or (now == "creating" and not _is_in_hooks(entry))
    if not is_over and not force:
        raise errors.WrongStatus(
            entry.id, f"cannot delete container {entry.id} that is not stopped: {now}"
        )
    if now != "stopped":
        init_kill.end(record)
    configured = _hooks_of(entry, log)
    destroy(entry, record, configured, log, force=force)


def _end_named(entry: Entry) -> None:
    """The init of a record that is damaged elsewhere but still tells which process that is."""
    try:
        record = jsondoor.loads(files.read_file("state.json", MAX_RECORD_BYTES, entry.fd))
    except (OSError, jsondoor.JsonError):
        return
    if not isinstance(record, dict) or record.get("id") != entry.id:
        return
    pid, start = record.get("pid"), record.get("startTime")
    if type(pid) is int and 1 < pid < 1 << 22 and type(start) is int and "bootId" in record:
        known = {"id": entry.id, "pid": pid, "startTime": start, "bootId": record["bootId"]}
        init_kill.end(known)  # type: ignore[arg-type]  # what is left of the record names the process


def _is_in_hooks(entry: Entry) -> bool:
    from pyruntime.runtime import interlude

    return interlude.is_on(entry)


def _hooks_of(entry: Entry, log: Log) -> Hooks:
    """The saved configuration as far as delete needs it: its poststop hooks."""
    try:
        return entry.config().get("hooks", {}) if entry.has_hooks("poststop") else {}
    except FileNotFoundError:
        return {}  # killed before it was saved
    except errors.StateError as error:
        log.warning(f"{error}; no poststop hook is run")
        return {}


def _end_quietly(entry: Entry) -> None:
    try:
        record = entry.read_record()
        if record["status"] == "creating" or entry.is_locked_by_another():
            init_kill.end(record)
    except errors.PyruntimeError:
        pass  # said again, and for good, under the lock


def destroy(
    entry: Entry,
    record: Record,
    configured: Hooks,
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
    except errors.NoSuchContainer:
        return  # somebody else deleted it
    _release(entry, record, log, force=force)
    entry.remove()
    entry.unlock()
    if configured.get("poststop"):
        from pyruntime.runtime import hooks

        # A failure is a warning, and the others still run (runtime.md, Lifecycle 14).
        for failure in hooks.run_all("poststop", configured["poststop"], record, "stopped"):
            log.warning(failure.message)


def _release(entry: Entry, record: Record | None, log: Log, *, force: bool) -> None:
    kinds: set[str] = set()
    try:
        created = record is not None and record["status"] != "creating"
        kinds = holdings.release_all(entry, created=created)
    except errors.StateError as error:
        if error.foreign or not force:
            raise
        log.warning(error.message)
    if record is not None and record.get("cgroup") and "cgroup" not in kinds:
        # Its line is lost; the record knows the groups as well.
        from pyruntime.cgroup import driver

        driver.release(record["cgroup"])
        if record["cgroup"].get("systemd"):
            driver.release_unit(record["cgroup"]["systemd"])
