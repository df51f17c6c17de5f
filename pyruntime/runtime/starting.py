"""What happens between `start` and a running program: one byte to the waiting init, and what it reports back.

The init holds both fifos open, close-on-exec. It writes bounded records: `X`, it is about to execute the program;
`E`, something failed. `X` and then the end of the file: the program runs. `X` and `E`: execve failed. `E` first:
a startContainer hook failed. An end without `X`: the init died, for a killed init looks the same as a silent one.
"""

from __future__ import annotations

import errno
import posix
import select

from pyruntime import errors
from pyruntime.lib.files import S_IFIFO, S_IFMT
from pyruntime.plan import messages
from pyruntime.runtime import signals, status
from pyruntime.runtime.store import FIFOS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyruntime.lib.log import Log
    from pyruntime.plan.record import Record
    from pyruntime.runtime.store import Entry

NO_PROCESS = "config.json has no process to start (/process)"


def check(record: Record, now: str) -> None:
    """Only what is `created` can be started."""
    if now == "stopped":
        raise errors.WrongStatus(record["id"], errors.WORDS["start stopped"])
    if now == "running":
        raise errors.WrongStatus(record["id"], errors.WORDS["started"])
    if now != "created":
        raise errors.WrongStatus(record["id"], f"cannot start a container in the {now} state")
    if not record.get("process", True):
        raise errors.WrongStatus(record["id"], NO_PROCESS)


def start(entry: Entry, record: Record, log: Log) -> None:
    """Returns when the program runs and its poststart hooks have run; the caller holds the lock, which is given back
    while hooks run and, with NOTIFY_SOCKET in our environment, while we wait for the program's word.

    Nothing that is written here is needed: a full disk keeps no container from starting.
    """
    init = signals.open_process(record)
    report = start_fd = guard = -1
    proxy = None
    try:
        # After the descriptor: what is found to be the init now is the process behind it.
        check(record, status.status(record, entry))
        config = entry.config_bytes()
        in_hooks = entry.has_hooks("startContainer", config)
        if in_hooks and _is_being_started(entry):
            raise errors.WrongStatus(record["id"], "cannot start a container that is being started")
        if posix.environ.get(b"NOTIFY_SOCKET"):
            from pyruntime.runtime.notify import Proxy

            proxy = Proxy(entry, record["pid"], log)
        # The reader first: what the init reports may not find the fifo without one.
        report = _open_fifo(entry, FIFOS[1], posix.O_RDONLY)
        start_fd = _open_fifo(entry, FIFOS[0], posix.O_WRONLY)
        # The init may end at any moment. With a reader of our own the write does not fail then.
        guard = _open_fifo(entry, FIFOS[0], posix.O_RDONLY)
        if in_hooks:
            from pyruntime.runtime import interlude

            interlude.begin(entry)
        posix.write(start_fd, b"s")
        _follow(report, init, entry, record)
        log.debug(f"process {record['pid']}: the program runs")
        entry.lock()
        _settle(entry, record, log)
        entry.unlock()
        if entry.has_hooks("poststart", config):
            _run_poststart(entry, record)
        if proxy is not None:
            proxy.wait(init)
            if proxy.failure is not None:
                raise proxy.failure
    finally:
        for fd in (guard, start_fd, report, init):
            if fd >= 0:
                posix.close(fd)
        if proxy is not None:
            proxy.close()


def _is_being_started(entry: Entry) -> bool:
    from pyruntime.runtime import interlude

    return interlude.is_on(entry)


def _open_fifo(entry: Entry, name: str, way: int) -> int:
    flags = way | posix.O_NONBLOCK | posix.O_CLOEXEC | posix.O_NOFOLLOW
    try:
        fd = posix.open(name, flags, dir_fd=entry.fd)
    except OSError as error:
        if error.errno == errno.ENXIO:  # nobody reads it: the init is gone
            raise errors.WrongStatus(entry.id, errors.WORDS["start stopped"]) from None
        raise errors.StepError(f"{entry.path}/{name}", errno=error.errno or 0) from error
    if posix.fstat(fd).st_mode & S_IFMT != S_IFIFO:
        posix.close(fd)
        raise errors.StepError(f"{entry.path}/{name}: not a fifo")
    return fd


def _follow(report: int, init: int, entry: Entry, record: Record) -> None:
    """Reads the reports to their end."""
    poll = select.poll()
    poll.register(report, select.POLLIN)
    poll.register(init, select.POLLIN)
    pending, about_to_exec, dead = b"", False, False
    while True:
        if not dead:
            dead = any(fd == init for fd, _ in poll.poll())
        try:
            data = posix.read(report, 4096)
        except BlockingIOError:
            if not dead:
                continue
            data = b""  # the init is gone, yet somebody holds the fifo: its end will never come
        message, pending = _take(pending + data)
        while message is not None:
            if message.type == messages.ERROR:
                raise _failure(entry, message)
            about_to_exec = True
            message, pending = _take(pending)
        if not data:
            break
    if not about_to_exec:
        raise _silent_end(record)


def _take(data: bytes) -> tuple[messages.Message | None, bytes]:
    """The first report and the rest; InternalError for what is no report."""
    try:
        message, rest = messages.take_record(data)
    except ValueError as error:
        raise errors.InternalError(f"the init sent {error}") from None
    if message is not None and message.type not in (messages.ABOUT_TO_EXEC, messages.ERROR):
        raise errors.InternalError(f"the init sent a report of type {message.type}")
    return message, rest


def _failure(entry: Entry, message: messages.Message) -> Exception:
    """The init's report in the words of create's errors; the step's property says what it was."""
    from pyruntime.features.failures import failed_exec, hook_failure

    step, number = message.step, message.number
    what, pointer = entry.steps().get(str(step)) or (f"step {step} of the container init", "")
    config = entry.config()
    if pointer.startswith("/hooks/"):
        _, _, kind, index = pointer.split("/")
        configured: Any = config["hooks"]
        hook = configured[kind][int(index)]
        timeout = float(hook.get("timeout") or 0)
        return hook_failure(kind, int(index), hook["path"], timeout, number, message.text)
    if pointer.startswith("/process/args"):
        return failed_exec(config["process"]["args"][0], number)
    return errors.StepError(what, pointer, errno=number)


def _silent_end(record: Record) -> Exception:
    from pyruntime.runtime.init_failure import out_of_memory, was_oom_killed

    if was_oom_killed(record):
        return out_of_memory("container init was OOM-killed", record)
    return errors.StepError("container init ended before it could execute the program")


def _settle(entry: Entry, record: Record, log: Log) -> None:
    """The program runs: what is written down now only saves the next verbs a look."""
    record["status"] = "running"
    try:
        entry.write_record(record)
        entry.remove_fifos()
    except (errors.StepError, OSError) as error:
        log.debug(f"{entry.path}: {error}")


def _run_poststart(entry: Entry, record: Record) -> None:
    """A failure ends the container and is start's error (runtime.md, Lifecycle 9)."""
    configured = (entry.config().get("hooks") or {}).get("poststart")
    if not configured:
        return
    from pyruntime.runtime import hooks, init_kill

    try:
        hooks.run("poststart", configured, record, "running")
    except BaseException:
        init_kill.end(record)
        raise
