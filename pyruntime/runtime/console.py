"""Terminals: handing the master to --console-socket, and relaying it ourselves for `run -t`."""

from __future__ import annotations

import _socket
import posix
from _struct import Struct

from pyruntime.errors import StepError

SOCKET_PATH_LIMIT = 107  # bytes of sun_path
POINTER = "/process/terminal"
SECONDS = 10
TIMEVAL = Struct("<qq")


def send_master(path: str, master: int, name: bytes) -> None:
    """The pty's master, with its name as data."""
    send_descriptor(path, master, name or b"/dev/ptmx", "console socket", POINTER)


def send_descriptor(path: str, fd: int, text: bytes, what: str, pointer: str = "") -> None:
    """One SCM_RIGHTS message to a listening socket."""
    try:
        sock = connect(path)
        try:
            rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fd.to_bytes(4, "little"))
            sock.sendmsg([text], [rights])
        finally:
            sock.close()
    except OSError as error:
        number = error.errno or 0
        raise StepError(f"send to the {what} `{path}`", pointer, errno=number) from error


def connect(path: str) -> _socket.socket:
    """A stream to a listening socket; a long path goes through its directory's descriptor. Who neither accepts nor
    reads makes us wait for a while and not for ever: EAGAIN (security: R-55)."""
    directory = -1
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        # connect(2) to a full queue waits for this timeout alone; one that does not block would fail at once.
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDTIMEO, TIMEVAL.pack(SECONDS, 0))
        target = path
        if len(path.encode("utf-8", "surrogateescape")) > SOCKET_PATH_LIMIT:
            parent, _, base = path.rpartition("/")
            flags = posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC
            directory = posix.open(parent or ".", flags)
            target = f"/proc/self/fd/{directory}/{base}"
        sock.connect(target)
    except BaseException:
        sock.close()
        raise
    finally:
        if directory >= 0:
            posix.close(directory)
    return sock
