"""Bytes carried between the caller's stdio and a container's, never waiting on either end.

The caller's descriptors are shared with others, so their flags stay as they are: a pipe or terminal is opened once more for
a description of our own, a socket is asked not to wait by each call, and a file never waits.
"""

from __future__ import annotations

import posix

from pyruntime.lib.files import S_IFMT, S_IFREG, S_IFSOCK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BLOCK = 65536  # bytes
PIPE_BUF = 4096  # bytes: what a pipe that poll(2) calls writable takes without waiting


class Sink:
    """Where bytes go; `fd` is what to poll for room."""

    __slots__ = ("fd", "_socket", "_own", "_most")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._socket: Any = None
        self._own, self._most = False, BLOCK
        kind = posix.fstat(fd).st_mode & S_IFMT
        if kind == S_IFSOCK:
            import _socket

            self._socket = _socket.socket(fileno=posix.dup(fd))
        elif kind != S_IFREG:
            try:
                flags = posix.O_WRONLY | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC
                self.fd, self._own = posix.open(f"/proc/self/fd/{fd}", flags), True
            except OSError:
                self._most = PIPE_BUF  # not ours to open, or no /proc

    def write(self, data: bytes) -> int:
        """How much was taken; OSError when nobody will take more."""
        try:
            if self._socket is not None:
                import _socket

                return int(self._socket.send(data, _socket.MSG_DONTWAIT | _socket.MSG_NOSIGNAL))
            return posix.write(self.fd, data[: self._most])
        except BlockingIOError:
            return 0

    def close(self) -> None:
        """Ours; the caller's stays open."""
        if self._own:
            posix.close(self.fd)
            self._own = False
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class End(Sink):
    """An end of our own, a pipe's or a pty's master: it need not wait, and is closed with us."""

    __slots__ = ()

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._socket: Any = None
        self._own, self._most = True, BLOCK
        posix.set_blocking(fd, False)


class Stream:
    """From a descriptor to a sink, with what the sink has no room for yet."""

    __slots__ = ("source", "sink", "ended", "broken", "_held")

    def __init__(self, source: int, sink: Sink) -> None:
        self.source = source
        self.sink = sink
        self.ended = False  # nothing more will come
        self.broken = False  # nothing more will be taken; the source is emptied all the same
        self._held = b""

    @property
    def is_full(self) -> bool:
        return len(self._held) >= BLOCK

    @property
    def holds(self) -> bool:
        """Whether something waits for room."""
        return bool(self._held)

    def take(self) -> int:
        """Reads once what there is; how much. A source without bytes for the moment says 0, one at its end is `ended`."""
        try:
            data = posix.read(self.source, BLOCK - len(self._held))
        except BlockingIOError:
            return 0
        except OSError:
            data = b""  # EIO: the last holder of a pty has closed it
        if not data:
            self.ended = True
        elif not self.broken:
            self._held += data
        return len(data)

    def give(self) -> None:
        """Writes once what there is room for."""
        try:
            self._held = self._held[self.sink.write(self._held) :]
        except OSError:
            self._held, self.broken = b"", True
