"""Waiting for many descriptors at once, each with what is to be done when it is ready; epoll(7)."""

from __future__ import annotations

import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_S = 86400.0  # epoll counts milliseconds in an int


class Watch:
    """`with` closes what is its own; the descriptors given stay their owners'. `many`: of who knows how many containers."""

    __slots__ = ("_epoll", "_calls")

    def __init__(self, *, many: bool = False) -> None:
        if many:
            from pyruntime.kernel.limits import raise_open_files

            raise_open_files()
        self._epoll = select.epoll()
        self._calls: dict[int, Callable[[], None]] = {}

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self._epoll.close()

    def add(self, fd: int, mask: int, call: Callable[[], None]) -> None:
        self._epoll.register(fd, mask)
        self._calls[fd] = call

    def add_listener(self, fd: int, call: Callable[[], None]) -> None:
        """`call` when nobody reads any more what is written to `fd`; files and the like always have room."""
        try:
            self.add(fd, 0, call)  # errors and hang-ups are told without being asked for
        except PermissionError:
            return

    def drop(self, fd: int) -> None:
        """Before it is closed: the number may be another's at once."""
        del self._calls[fd]
        self._epoll.unregister(fd)

    def wait(self, seconds: float) -> None:
        """One round: returns after the calls that were due, or when the time is over."""
        ready = [(fd, self._calls[fd]) for fd, _ in self._epoll.poll(min(seconds, LONGEST_S))]
        for fd, call in ready:
            if self._calls.get(fd) is call:  # an earlier one of this round may have dropped it
                call()
