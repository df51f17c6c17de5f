"""While hooks of a create or start run, the container's lock is free: a hook may call the runtime for its container,
and `update` and `delete --force` do not wait for a slow hook.

Whoever runs them holds steps.json instead, until the lock is taken back: so a second `start` and a plain `delete`
see that somebody is under way, and after a SIGKILL that nobody is. What is found when the lock is back may be
another container, or none.
"""

from __future__ import annotations

import fcntl
import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.runtime.store import Entry

_READ = posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_CLOEXEC


def begin(entry: Entry) -> None:
    """Gives the lock back; entry.lock() ends it."""
    entry.held_fd = posix.open("steps.json", _READ, dir_fd=entry.fd)
    fcntl.flock(entry.held_fd, fcntl.LOCK_EX)
    entry.unlock()


def is_on(entry: Entry) -> bool:
    """Whether some other process is in one."""
    try:
        fd = posix.open("steps.json", _READ, dir_fd=entry.fd)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        posix.close(fd)
    return False
