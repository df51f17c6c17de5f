"""The program's word that it is ready, passed on to the host's service manager (sd_notify(3), runc's notify_socket.go).

Whoever starts the program listens for it: `start` and `run --detach` until the word was passed on or the container
has ended, `run` as long as it waits anyhow. Nobody else: a later word finds no listener, and no process stays behind.

What comes from inside is only ever compared. READY=1 goes on, in our words; the main process is told by us (the
init, or ourselves when we stay in front of it); a BARRIER=1 of ours proves that the manager has read both before we
end. No other word, no descriptor and no datagram of more than BYTES goes anywhere (security: R-46).
"""

from __future__ import annotations

import _socket
import errno
import posix
import select
import time

from pyruntime.errors import StepError
from pyruntime.features.container_paths import NOTIFY_SOCKET, NOTIFY_STATE
from pyruntime.lib import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.lib.log import Log
    from pyruntime.runtime.store import Entry

BYTES = 4096
AT_ONCE = (
    1024  # datagrams read before anything else gets its turn; more than a socket's queue holds
)
BARRIER_SECONDS = 30
PATH_LIMIT = 107  # bytes of sun_path
DATAGRAM = _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC


class Proxy:
    """Between the socket in the container's state and the one of our environment's NOTIFY_SOCKET."""

    __slots__ = ("_host", "_inside", "_main_pid", "_log", "_barrier", "_deadline", "failure")

    def __init__(self, entry: Entry, main_pid: int, log: Log) -> None:
        """StepError if nobody listens on the host, or if create was not asked for a notify socket."""
        self._log = log
        self._main_pid = main_pid
        self._barrier = -1
        self._deadline = 0.0  # 0: the word has not come
        self.failure: StepError | None = None  # the host's socket did not take the word
        self._host = _connect(posix.environ[b"NOTIFY_SOCKET"])
        try:
            self._inside = _listen(entry)
        except BaseException:
            self._host.close()
            raise

    def fds(self) -> list[int]:
        """What to poll for reading."""
        return [self._inside.fileno()] + ([self._barrier] if self._barrier >= 0 else [])

    def serve(self, ready: set[int]) -> None:
        """Reads what is there."""
        if self._inside.fileno() in ready:
            self._drain()
        if self._barrier in ready:
            self._end_barrier()

    def wait(self, init: int) -> None:
        """Until the service manager has read the word, or the init (a pidfd) has ended without one."""
        while not self._deadline or self._barrier >= 0:
            poll = select.poll()
            for fd in (*self.fds(), *(() if self._deadline else (init,))):
                poll.register(fd, select.POLLIN)
            left = max(0.0, self._deadline - time.monotonic()) if self._deadline else None
            ready = {fd for fd, _ in poll.poll(None if left is None else int(left * 1000) + 1)}
            self.serve(ready)
            if left == 0.0:
                self._log.warning(f"Timeout after waiting {BARRIER_SECONDS}s for barrier. Ignored.")
                return
            if init in ready:
                self._drain()  # its last words
                if not self._deadline:
                    return

    def close(self) -> None:
        self._end_barrier()
        self._inside.close()
        self._host.close()

    def _drain(self) -> None:
        for _ in range(AT_ONCE):
            if not self._receive():
                return

    def _receive(self) -> bool:
        """One datagram, a byte more than may be: one that was cut shows by its length. Descriptors that came along
        were never taken, which also ends the program's own wait for a barrier."""
        try:
            data = self._inside.recv(BYTES + 1, _socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        if not self._deadline and len(data) <= BYTES and b"READY=1" in data.split(b"\n"):
            self._tell()
        return True

    def _tell(self) -> None:
        self._deadline = time.monotonic() + BARRIER_SECONDS
        reading, writing = posix.pipe2(posix.O_CLOEXEC)
        self._barrier = reading
        try:
            self._host.send(b"READY=1\n")
            self._host.send(b"MAINPID=%d\n" % self._main_pid)
            rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, writing.to_bytes(4, "little"))
            self._host.sendmsg([b"BARRIER=1"], [rights])
        except OSError as error:
            self.failure = _failed(posix.environ[b"NOTIFY_SOCKET"], error)
            self._end_barrier()
        finally:
            posix.close(writing)

    def _end_barrier(self) -> None:
        if self._barrier >= 0:
            posix.close(self._barrier)
            self._barrier = -1


def _connect(address: bytes) -> _socket.socket:
    """A path or, after an `@`, an abstract name."""
    sock = _socket.socket(_socket.AF_UNIX, DATAGRAM)
    try:
        if address[:1] not in (b"/", b"@") or len(address) > PATH_LIMIT:
            raise OSError(errno.EINVAL, "not a name of a socket")
        sock.settimeout(BARRIER_SECONDS)  # for a manager that reads nothing
        sock.connect(b"\0" + address[1:] if address[:1] == b"@" else address)
    except OSError as error:
        sock.close()
        raise _failed(address, error) from error
    return sock


def _failed(address: bytes, error: OSError) -> StepError:
    name = address.decode("utf-8", "backslashreplace")
    number = error.errno or errno.ETIMEDOUT
    return StepError(f"tell the service manager at NOTIFY_SOCKET `{name}`", errno=number)


def _listen(entry: Entry) -> _socket.socket:
    """The container's end, open to every user in it. What an earlier start left there is replaced."""
    try:
        flags = posix.O_PATH | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
        directory = posix.open(NOTIFY_STATE, flags, dir_fd=entry.fd)
    except OSError as error:
        number = error.errno or 0
        raise StepError(
            f"{entry.path}/{NOTIFY_STATE}",
            errno=number,
            hint="create had no NOTIFY_SOCKET in its environment; start needs none then",
        ) from error
    sock = _socket.socket(_socket.AF_UNIX, DATAGRAM)
    umask = posix.umask(0)
    try:
        files.remove_file(directory, NOTIFY_SOCKET)
        sock.bind(f"/proc/self/fd/{directory}/{NOTIFY_SOCKET}")
    except OSError as error:
        sock.close()
        number = error.errno or 0
        raise StepError(
            f"bind {entry.path}/{NOTIFY_STATE}/{NOTIFY_SOCKET}", errno=number
        ) from error
    finally:
        posix.umask(umask)
        posix.close(directory)
    return sock
