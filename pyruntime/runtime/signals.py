"""Signals by name and number, as `kill` takes them, and sending one to exactly the process that is meant."""

from __future__ import annotations

import _signal
import posix

from pyruntime import errors
from pyruntime.lib import proc
from pyruntime.runtime.status import is_alive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.plan.record import Record

LAST = 64
# No real-time names, as in runc: their numbers depend on the C library of whoever counts.
NAMES = (
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL",
    "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1",
    "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
)  # fmt: skip


def parse(word: str) -> int:
    """A number of plain digits, or a name with or without SIG, in any case."""
    if word.isascii() and word.isdigit() and len(word) <= 3 and int(word) <= LAST:
        return int(word)
    name = word.upper().removeprefix("SIG") if word.isascii() else ""
    if name in NAMES:
        return int(getattr(_signal, f"SIG{name}"))
    raise errors.PyruntimeError(f'unknown signal "{word}"')


def open_init(record: Record) -> int:
    """A pidfd of the container's init, ours to close; WrongStatus if it has ended.

    First the descriptor, then the proof: from then on the number cannot become somebody else's (R-30).
    """
    fd = open_process(record)
    if fd >= 0:
        if is_alive(record):
            return fd
        posix.close(fd)
    raise not_running(record)


def open_process(record: Record) -> int:
    """A pidfd of whoever has the init's number now, -1 for nobody; it is the caller's to prove who that is."""
    return proc.open_pidfd(record["pid"]) if record["pid"] else -1


def send(pidfd: int, number: int, record: Record) -> None:
    """To the process behind a descriptor of open_init; WrongStatus if it has ended meanwhile."""
    try:
        _signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        raise not_running(record) from None


def not_running(record: Record) -> errors.WrongStatus:
    """The refusal engines take for `already ended`."""
    return errors.WrongStatus(record["id"], errors.WORDS["not running"])
