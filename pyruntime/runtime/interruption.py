"""Signals that end a program, while it makes a container: what was made is undone first, then the signal does its work.

signal(7): the default of these is to terminate. One that the caller ignores, as nohup does, stays ignored.
"""

from __future__ import annotations

import _signal
import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ENDING = (_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """Raised wherever the program is when the first such signal comes; `number` says which."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.number = number


class Guard:
    """In the block, the first signal raises Interrupted; later ones wait for what that undoes."""

    __slots__ = ("_before", "_came")

    def __init__(self) -> None:
        self._before: list[tuple[int, Any]] = []
        self._came = False

    def __enter__(self) -> None:
        for number in ENDING:
            before = _signal.getsignal(number)
            if before != _signal.SIG_IGN:
                self._before.append((number, before))
                _signal.signal(number, self._arrived)

    def __exit__(self, *_: object) -> None:
        for number, before in self._before:
            _signal.signal(number, before)

    def _arrived(self, number: int, frame: Any) -> None:
        if not self._came:
            self._came = True
            raise Interrupted(number)


class Held:
    """In the block no such signal arrives: what is made and the note of how to undo it are one step."""

    __slots__ = ("_before",)

    def __enter__(self) -> None:
        self._before = _signal.pthread_sigmask(_signal.SIG_BLOCK, ENDING)

    def __exit__(self, *_: object) -> None:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, self._before)


def end_by(number: int) -> None:
    """Ends this process as if the signal had met it unprepared: a shell and an engine see which it was."""
    _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [number])
    posix.kill(posix.getpid(), number)
