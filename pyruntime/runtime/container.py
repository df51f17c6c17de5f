"""The verbs on a container that exists: state, start, kill, delete, list. One short function each.

Nothing here needs the native module: these verbs start in a few milliseconds because they import little.
"""

from __future__ import annotations

import posix

from pyruntime.errors import WORDS, ContainerError, NoSuchContainer, PyruntimeError, WrongStatus
from pyruntime.runtime.status import is_alive, status_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyruntime.runtime.store import Entry, Store

KILL = 9
PATIENCE_MS = 10_000  # how long a killed init may take to go


def state(store: Store, container_id: str) -> dict[str, Any]:
    """The state document of runtime.md, in runc's shape."""
    with store.open(container_id) as entry:
        return document(entry.read_record())


def document(record: dict[str, Any]) -> dict[str, Any]:
    status = status_of(record)
    return {
        "ociVersion": record["ociVersion"],
        "id": record["id"],
        "pid": 0 if status == "stopped" else record["pid"],
        "status": status,
        "bundle": record["bundle"],
        "rootfs": record["rootfs"],
        "created": record["created"],
        "annotations": record["annotations"],
        "owner": "",
    }


def listing(store: Store, warn: Callable[[str], None] = lambda text: None) -> list[dict[str, Any]]:
    """Every container; one whose state cannot be read is passed over with a word."""
    import pwd

    found = []
    for container_id in store.ids():
        try:
            with store.open(container_id) as entry:
                record = entry.read_record()
        except NoSuchContainer:
            continue  # deleted while we looked, or no directory
        except PyruntimeError as error:
            warn(f"load container {container_id}: {error}")
            continue
        row = document(record)
        try:
            row["owner"] = pwd.getpwuid(record["uid"]).pw_name
        except KeyError:
            row["owner"] = f"#{record['uid']}"
        found.append(row)
    return found


def start(store: Store, container_id: str) -> None:
    """Lets the init execute the program; returns when it runs, poststart hooks included."""
    from pyruntime.runtime import starting

    with store.open(container_id) as entry:
        entry.lock()
        starting.start(entry, entry.read_record())


def kill(store: Store, container_id: str, signal: str, everything: bool) -> None:
    """Sends a signal to the init; with `everything`, or without an own pid namespace on KILL, to all of it."""
    from pyruntime.runtime.signals import number_of

    with store.open(container_id) as entry:
        record = entry.read_record()
    number = number_of(signal)
    status = status_of(record)
    if everything or (number == KILL and not record.get("pidNamespace", True)):
        from pyruntime.cgroup import driver

        if status == "stopped" and not everything:
            raise WrongStatus(container_id, WORDS["not running"])
        if record.get("cgroup"):
            driver.kill_all(record["cgroup"], number)
        if status == "stopped":
            return
    elif status == "stopped":
        raise WrongStatus(container_id, WORDS["not running"])
    if not signal_init(record, number):
        raise WrongStatus(container_id, WORDS["not running"])
    if number == KILL and status == "paused":
        from pyruntime.cgroup import driver

        driver.thaw(record["cgroup"])


def signal_init(record: dict[str, Any], number: int) -> bool:
    """Through a pidfd that is proved to be the init's; False when the init is gone (security: R-30)."""
    import _signal

    pidfd = open_init(record)
    if pidfd < 0:
        return False
    try:
        _signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    finally:
        posix.close(pidfd)
    return True


def open_init(record: dict[str, Any]) -> int:
    """A pidfd of the init, -1 when it is gone: first the descriptor, then the proof."""
    if record["pid"] <= 1:
        return -1
    try:
        pidfd = posix.pidfd_open(record["pid"])
    except ProcessLookupError:
        return -1
    if not is_alive(record):
        posix.close(pidfd)
        return -1
    return pidfd


def delete(store: Store, container_id: str, force: bool,
           warn: Callable[[str], None] = lambda text: None) -> None:
    """Removes a stopped or merely created container; with force any, and an unknown one without complaint."""
    try:
        entry = store.open(container_id)
    except NoSuchContainer:
        if force:
            return
        raise
    with entry:
        try:
            entry.lock()
            record = entry.read_record()
        except NoSuchContainer:
            if force:
                return
            raise
        except ContainerError:
            _delete_garbled(entry, force=force)
            return
        status = status_of(record)
        if status not in ("stopped", "created") and not force:
            raise WrongStatus(container_id, f"cannot delete container {container_id} that is not stopped: {status}")
        if status != "stopped":
            _end_init(record, status)
        destroy(entry, record, None, warn)


def _delete_garbled(entry: Entry, *, force: bool) -> None:
    """A container whose create was killed early, or whose record is lost: the holdings are enough."""
    from pyruntime.runtime import holdings

    holdings.release_all(entry)
    entry.discard()
    if not force:
        raise NoSuchContainer(entry.id)


def _end_init(record: dict[str, Any], status: str) -> None:
    """Kills the init and waits for its end on the pidfd."""
    import _signal
    import select

    pidfd = open_init(record)
    if pidfd < 0:
        return
    try:
        _signal.pidfd_send_signal(pidfd, KILL)
        if status == "paused":
            from pyruntime.cgroup import driver

            driver.thaw(record["cgroup"])
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        if not poll.poll(PATIENCE_MS):
            raise ContainerError(record["id"], f"container {record['id']} does not end, though it was killed")
    except ProcessLookupError:
        pass
    finally:
        posix.close(pidfd)


def destroy(entry: Entry, record: dict[str, Any], spec: dict[str, Any] | None,
            warn: Callable[[str], None] = lambda text: None) -> None:
    """What create made goes, poststop hooks run, the directory goes last. A failing poststop hook only warns."""
    from pyruntime.runtime import holdings

    holdings.release_all(entry)
    # A look at the bytes spares most deletes the parsing of config.json.
    if spec is None and entry.has_hooks("poststop"):
        spec = entry.config()
    configured = ((spec or {}).get("hooks") or {}).get("poststop")
    failures: list[Any] = []
    if configured:
        from pyruntime.runtime import hooks

        failures = hooks.run_all("poststop", configured, record, "stopped")
    entry.discard()
    for failure in failures:
        warn(str(failure))
