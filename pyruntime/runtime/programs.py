"""Running a program of the host for its answer: no shell, no environment but what is given, no input, bounded output,
and an end that comes (security: R-39, R-53, R-55). Python never forks: posix_spawn."""

from __future__ import annotations

import _signal
import posix
import select
import time


def answer(
    words: list[str],
    environment: dict[str, str],
    *,
    limit_bytes: int,
    patience_s: float,
    stderr_too: bool = False,
) -> tuple[int, bytes]:
    """(wait status, what it said on stdout). What is above the limit is read and dropped; a program that has
    not ended in time is killed, and its answer is that. OSError where it cannot be executed."""
    # A caller that ignores SIGCHLD must not make its end vanish.
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    reading, writing = posix.pipe2(posix.O_CLOEXEC)
    try:
        actions = [
            (posix.POSIX_SPAWN_OPEN, 0, "/dev/null", posix.O_RDONLY, 0),
            (posix.POSIX_SPAWN_DUP2, writing, 1),
            *([(posix.POSIX_SPAWN_DUP2, writing, 2)] if stderr_too else []),
        ]
        try:
            child = posix.posix_spawn(
                words[0],
                words,
                environment,
                file_actions=actions,
                setsigmask=(),
                setsigdef=(_signal.SIGPIPE, _signal.SIGXFSZ, _signal.SIGCHLD),
            )
        finally:
            posix.close(writing)
        output = _read_until_end(reading, limit_bytes, patience_s)
        if output is None:
            posix.kill(child, _signal.SIGKILL)  # not yet waited for: the number is nobody else's
            output = b"it has not ended after %d s" % patience_s
        return posix.waitpid(child, 0)[1], output
    finally:
        posix.close(reading)


def _read_until_end(fd: int, limit_bytes: int, patience_s: float) -> bytes | None:
    """What was said until nobody could say more; None if that does not come."""
    deadline, output = time.monotonic() + patience_s, bytearray()
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    while (left := deadline - time.monotonic()) > 0 and poll.poll(int(left * 1000)):
        data = posix.read(fd, 65536)
        if not data:
            return bytes(output)
        output += data[: limit_bytes - len(output)]
    return None
