"""`start`: the word to the waiting init, and what it reports until the program runs (docs/design.md, Start).

The init holds both fifos. We open the report before we speak; `X` and then the end of the file means that the program
runs, `X` and an error that execve failed, an error alone that a hook failed, an end without `X` that the init died.
"""

from __future__ import annotations

import posix
import select

from _struct import Struct

from pyruntime.errors import PyruntimeError, StepError, WrongStatus
from pyruntime.runtime.container import open_init
from pyruntime.runtime.status import status_of
from pyruntime.runtime.store import REPORT, START

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyruntime.runtime.store import Entry

HEADER = Struct("<BBHiI")
ERROR, ABOUT_TO_EXEC = ord("E"), ord("X")
LIMIT = 4096


def start(entry: Entry, record: dict[str, Any]) -> None:
    """`entry` is locked. Failures kill the container: what stays is stopped, for delete."""
    status = status_of(record)
    if status == "stopped":
        raise WrongStatus(record["id"], "cannot start a container that has stopped")
    if status != "created":
        raise WrongStatus(record["id"], "cannot start an already running container")
    pidfd = open_init(record)
    if pidfd < 0:
        raise WrongStatus(record["id"], "cannot start a container that has stopped")
    try:
        report = posix.open(REPORT, posix.O_RDONLY | posix.O_NONBLOCK | posix.O_NOFOLLOW | posix.O_CLOEXEC,
                            dir_fd=entry.fd)
        try:
            record["status"] = "starting"
            entry.write_record(record)
            _speak(entry, record)
            _listen(entry, record, report, pidfd)
        finally:
            posix.close(report)
    finally:
        posix.close(pidfd)
    record["status"] = "running"
    entry.write_record(record)
    entry.remove_fifos()
    if entry.has_hooks("poststart"):
        _run_poststart(entry, record)


def _speak(entry: Entry, record: dict[str, Any]) -> None:
    try:
        fd = posix.open(START, posix.O_WRONLY | posix.O_NONBLOCK | posix.O_NOFOLLOW | posix.O_CLOEXEC,
                        dir_fd=entry.fd)
    except OSError as error:
        if error.errno != 6:  # ENXIO: nobody waits at the other end
            raise
        raise _died(record) from None
    try:
        posix.write(fd, b"s")
    finally:
        posix.close(fd)


def _listen(entry: Entry, record: dict[str, Any], report: int, pidfd: int) -> None:
    """Returns when the program runs; raises what went wrong."""
    poll = select.poll()
    poll.register(report, select.POLLIN)
    poll.register(pidfd, select.POLLIN)
    data, about = b"", False
    while True:
        events = dict(poll.poll())
        ended = bool(events.get(report, 0) & select.POLLHUP) or pidfd in events
        data += _read(report)
        while len(data) >= HEADER.size:
            kind, _, step, number, length = HEADER.unpack_from(data)
            if len(data) < HEADER.size + length:
                break
            text, data = data[HEADER.size:HEADER.size + length], data[HEADER.size + length:]
            if kind == ERROR:
                raise _failure(entry, step, number, text)
            about |= kind == ABOUT_TO_EXEC
        if ended:
            if about:
                return
            raise _died(record)


def _read(fd: int) -> bytes:
    data = b""
    while len(data) < LIMIT:
        try:
            more = posix.read(fd, LIMIT)
        except BlockingIOError:
            break
        if not more:
            break
        data += more
    return data


def _failure(entry: Entry, step: int, number: int, text: bytes) -> Exception:
    """The step's property names what failed: a startContainer hook or the program."""
    from pyruntime.features.failures import failed_exec, hook_failure

    pointer = str(entry.steps().get(str(step), ""))
    config = entry.config()
    if pointer.startswith("/hooks/"):
        _, _, kind, index = pointer.split("/")
        hook = config["hooks"][kind][int(index)]
        return hook_failure(kind, int(index), hook["path"], float(hook.get("timeout") or 0), number, text)
    return failed_exec(config["process"]["args"][0], number)


def _died(record: dict[str, Any]) -> Exception:
    from pyruntime.runtime.ends import was_oom_killed

    if was_oom_killed(record):
        return StepError("container init was OOM-killed (memory limit too low?)", "/linux/resources/memory/limit",
                         "container")
    return StepError("the container's init died before the program could run", "", "container")


def _run_poststart(entry: Entry, record: dict[str, Any]) -> None:
    """A failing poststart hook ends the container (runtime.md, Lifecycle, step 9)."""
    from pyruntime.runtime import hooks
    from pyruntime.runtime.container import KILL, signal_init

    try:
        hooks.run("poststart", entry.config()["hooks"]["poststart"], record, "running")
    except PyruntimeError:
        signal_init(record, KILL)
        raise
