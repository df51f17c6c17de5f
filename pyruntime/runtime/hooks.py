"""Hooks of the runtime's side: prestart, createRuntime, poststart, poststop (config.md, POSIX-platform Hooks).

A hook gets the state as JSON on stdin, exactly its own env (the runtime's where config.json gives none, as runc), the
bundle as working directory, and descriptors 0 to 2. Its output is kept, bounded, for the error message; its timeout
kills its whole process group. Python never forks: posix_spawn.
"""

from __future__ import annotations

import _signal
import posix
import select
import time

from pyruntime.errors import HookError, strerror
from pyruntime.features.failures import ended
from pyruntime.lib import jsondoor
from pyruntime.runtime.interruption import Held

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyruntime.plan.record import Record
    from pyruntime.spec.types import Hook

OUTPUT_LIMIT = 4096  # bytes of each stream that are kept
ROUNDS_AFTER_EXIT = 64
LONGEST_POLL_MS = 1_000_000_000  # poll(2) takes an int; a timeout of config.json may be longer
DEFAULTS = (_signal.SIGPIPE, _signal.SIGXFSZ, _signal.SIGCHLD)


def state(record: Record, status: str) -> dict[str, Any]:
    """The state hooks and agents are given (runtime.md, State)."""
    return {
        "ociVersion": record["ociVersion"],
        "id": record["id"],
        "status": status,
        "pid": record["pid"] if status != "stopped" else 0,
        "bundle": record["bundle"],
        "annotations": record.get("annotations") or {},
    }


def state_json(record: Record, status: str) -> str:
    return jsondoor.dumps(state(record, status))


def run(kind: str, hooks: list[Hook], record: Record, status: str) -> None:
    """Runs the hooks of one kind in order; the first that fails raises HookError."""
    state = state_json(record, status).encode("utf-8", "surrogateescape")
    for index, hook in enumerate(hooks):
        _run_one(
            hook,
            state,
            record["bundle"],
            f"error running {kind} hook #{index}: ",
            f"/hooks/{kind}/{index}",
        )


def run_all(kind: str, hooks: list[Hook], record: Record, status: str) -> list[HookError]:
    """Every hook even if others fail; the failures, which are warnings (runtime.md, Lifecycle, poststop)."""
    state = state_json(record, status).encode("utf-8", "surrogateescape")
    failures = []
    for index, hook in enumerate(hooks):
        try:
            _run_one(
                hook,
                state,
                record["bundle"],
                f"error running {kind} hook #{index}: ",
                f"/hooks/{kind}/{index}",
            )
        except HookError as error:
            failures.append(error)
    return failures


def _run_one(hook: Hook, state: bytes, bundle: str, head: str, pointer: str) -> None:
    # A caller that ignores SIGCHLD must not make the hook's end vanish.
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    stdin, stdout, stderr = _Pipe(), _Pipe(), _Pipe()
    timeout = hook.get("timeout")
    pid = pidfd = -1
    try:
        with Held():
            pid = _spawn(hook, bundle, stdin, stdout, stderr)
            pidfd = posix.pidfd_open(pid)
        in_time = _serve(pidfd, state, stdin, stdout, stderr, timeout)
        if not in_time:
            _kill_group(pid)
        status = posix.waitpid(pid, 0)[1]
    except BaseException as error:
        if pid < 0 and isinstance(error, OSError):
            number = error.errno or 0
            raise HookError(
                f"{head}fork/exec {hook['path']}: {strerror(number)}", pointer, errno=number
            ) from error
        _end(pid)
        raise
    finally:
        if pidfd >= 0:
            posix.close(pidfd)
        for pipe in (stdin, stdout, stderr):
            pipe.close()
    if not in_time:
        raise HookError(
            f"{head}hook ran past specified timeout of {float(timeout or 0):.1f}s", pointer
        )
    if status:
        words = ended(status, bytes(stdout.kept), bytes(stderr.kept))
        raise HookError(f"{head}{words}", pointer)


class _Pipe:
    """Two ends; `kept` is the tail of what was read."""

    __slots__ = ("read", "write", "kept")

    def __init__(self) -> None:
        self.read, self.write = posix.pipe2(posix.O_CLOEXEC)
        self.kept = bytearray()

    def close_read(self) -> None:
        if self.read >= 0:
            posix.close(self.read)
            self.read = -1

    def close_write(self) -> None:
        if self.write >= 0:
            posix.close(self.write)
            self.write = -1

    def close(self) -> None:
        self.close_read()
        self.close_write()

    def drain(self) -> bool:
        """Reads once; False when there was nothing."""
        try:
            data = posix.read(self.read, 4096)
        except BlockingIOError:
            return False
        if not data:
            self.close_read()
            return False
        self.kept += data
        del self.kept[:-OUTPUT_LIMIT]
        return True


def _spawn(hook: Hook, bundle: str, stdin: _Pipe, stdout: _Pipe, stderr: _Pipe) -> int:
    env: Any = posix.environ
    if hook.get("env") is not None:
        env = dict(entry.partition("=")[::2] for entry in hook["env"])
    actions = [
        (posix.POSIX_SPAWN_DUP2, stdin.read, 0),
        (posix.POSIX_SPAWN_DUP2, stdout.write, 1),
        (posix.POSIX_SPAWN_DUP2, stderr.write, 2),
    ]
    before = posix.open(".", posix.O_PATH | posix.O_CLOEXEC) if _has_directory() else -1
    posix.chdir(bundle)
    try:
        pid = posix.posix_spawn(
            hook["path"],
            hook.get("args") or [hook["path"]],
            env,
            file_actions=actions,
            setpgroup=0,
            setsigmask=(),
            setsigdef=DEFAULTS,
        )
    finally:
        if before >= 0:
            posix.fchdir(before)
            posix.close(before)
    stdin.close_read()
    stdout.close_write()
    stderr.close_write()
    for fd in (stdin.write, stdout.read, stderr.read):
        posix.set_blocking(fd, False)
    return pid


def _has_directory() -> bool:
    """The working directory may have vanished; then there is none to return to."""
    try:
        posix.getcwd()
    except OSError:
        return False
    return True


def _serve(
    pidfd: int, state: bytes, stdin: _Pipe, stdout: _Pipe, stderr: _Pipe, timeout: float | None
) -> bool:
    """Feeds and drains until the hook has exited; False when its time is over. A daemon that keeps the pipes does
    not hold us."""
    end = time.monotonic() + timeout if timeout else None
    rounds = 0
    while True:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        if stdin.write >= 0:
            poll.register(stdin.write, select.POLLOUT)
        for pipe in (stdout, stderr):
            if pipe.read >= 0:
                poll.register(pipe.read, select.POLLIN)
        rest = None if end is None else max(0.0, end - time.monotonic()) * 1000
        ready = {fd for fd, _ in poll.poll(rest if rest is None else min(rest, LONGEST_POLL_MS))}
        if stdin.write in ready:
            state = _feed(stdin, state)
        busy = False
        for pipe in (stdout, stderr):
            if pipe.read in ready:
                busy |= pipe.drain()
        if pidfd in ready:
            rounds += 1
            if not busy or rounds > ROUNDS_AFTER_EXIT:
                return True
        if end is not None and time.monotonic() >= end and pidfd not in ready:
            return False


def _feed(stdin: _Pipe, state: bytes) -> bytes:
    try:
        state = state[posix.write(stdin.write, state) :]
    except BlockingIOError:
        return state
    except OSError:
        state = b""  # a hook need not read its input
    if not state:
        stdin.close_write()
    return state


def _end(pid: int) -> None:
    """A hook that was interrupted does not go on behind our back."""
    if pid < 0:
        return
    _kill_group(pid)
    try:
        posix.waitpid(pid, 0)
    except ChildProcessError:
        pass  # it had ended


def _kill_group(pid: int) -> None:
    for target in (-pid, pid):
        try:
            posix.kill(target, _signal.SIGKILL)
        except OSError:
            pass  # the group may not exist yet, or no longer
