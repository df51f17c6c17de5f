"""Between a foreground container and us: signals forwarded, the terminal's bytes and size carried, the end awaited."""

from __future__ import annotations

import _signal
import posix
import select

from pyruntime.errors import KernelError, StepError, strerror
from pyruntime.kernel import calls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyruntime.runtime.notify import Proxy

# Not ours to pass on: children and urgent data are the runtime's own business, the size has its own way.
KEPT = (_signal.SIGCHLD, _signal.SIGURG, _signal.SIGWINCH)
UNCATCHABLE = (_signal.SIGKILL, _signal.SIGSTOP)
BLOCK = 65536  # bytes


class Signals:
    """Every signal becomes a byte on a pipe; `fd` is its reading end."""

    __slots__ = ("fd", "_writer")

    def __init__(self) -> None:
        self.fd, self._writer = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        _signal.set_wakeup_fd(self._writer)
        for number in range(1, 65):
            if number in UNCATCHABLE or number in (32, 33):  # glibc keeps two for itself
                continue
            try:
                _signal.signal(number, _ignore)
            except (OSError, ValueError):
                continue  # not a signal of this machine
        # What the caller has blocked is the container's all the same; its init starts with nothing blocked.
        _signal.pthread_sigmask(_signal.SIG_SETMASK, [])

    def arrived(self) -> bytes:
        try:
            return posix.read(self.fd, 512)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        """Default again, so that our own end is an ordinary one."""
        _signal.set_wakeup_fd(-1)
        posix.close(self.fd)
        posix.close(self._writer)
        self.fd = -1


def _ignore(number: int, frame: Any) -> None:
    pass


def find_terminal() -> int:
    """The caller's terminal: any of stdin, stdout, stderr, or the controlling one (as runc looks for it)."""
    for fd in (0, 1, 2):
        if posix.isatty(fd):
            return posix.dup(fd)
    try:
        return posix.open("/dev/tty", posix.O_RDWR | posix.O_NOCTTY | posix.O_CLOEXEC)
    except OSError as error:
        number = error.errno or 0
        raise StepError(
            f"open /dev/tty: {strerror(number)}", "/process/terminal", errno=number
        ) from error


def resize(terminal: int, master: int) -> None:
    """The container's terminal gets the size of ours."""
    try:
        calls.copy_window_size(terminal, master)
    except KernelError:
        pass  # a terminal without a size, such as a serial line


class Relay:
    """Runs until the init, our child `pid`, has ended; then its wait status is known."""

    def __init__(
        self,
        pid: int,
        pidfd: int,
        signals: Signals,
        master: int = -1,
        terminal: int = -1,
        proxy: Proxy | None = None,
    ) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.signals = signals
        self.master = master
        self.terminal = terminal
        self.proxy = proxy
        self.stdin_open = master >= 0
        self.status: int | None = None
        self.raw = calls.RawTerminal(terminal) if terminal >= 0 else None

    def run(self) -> int:
        """The wait status."""
        try:
            self._reap()
            while self.status is None:
                self._round()
            while self.master >= 0 and self._copy_output():
                pass
        finally:
            if self.raw is not None:
                self.raw.restore()
        return self.status

    def _round(self) -> None:
        poll = select.poll()
        poll.register(self.signals.fd, select.POLLIN)
        poll.register(self.pidfd, select.POLLIN)
        if self.master >= 0:
            poll.register(self.master, select.POLLIN)
        if self.stdin_open:
            poll.register(0, select.POLLIN)
        for fd in self.proxy.fds() if self.proxy else ():
            poll.register(fd, select.POLLIN)
        ready = {fd for fd, _ in poll.poll()}
        if self.proxy:
            self.proxy.serve(ready)
        if self.signals.fd in ready:
            for number in self.signals.arrived():
                self._handle(number)
        if self.pidfd in ready:
            self._reap()
        if self.master in ready:
            self._copy_output()
        if self.stdin_open and 0 in ready:
            self._copy_input()

    def _handle(self, number: int) -> None:
        if number == _signal.SIGCHLD:
            self._reap()
        elif number == _signal.SIGWINCH and self.master >= 0:
            resize(self.terminal, self.master)
        elif number not in KEPT and self.status is None:
            try:
                _signal.pidfd_send_signal(self.pidfd, number)
            except ProcessLookupError:
                pass  # it ended a moment ago; the next round sees it

    def _reap(self) -> None:
        """The init, and orphans of the container that have become ours."""
        while True:
            try:
                pid, status = posix.waitpid(-1, posix.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.pid:
                self.status = status

    def _copy_output(self) -> bool:
        """From the container to our stdout; False at its end."""
        try:
            data = posix.read(self.master, BLOCK)
        except OSError:
            data = b""  # EIO: the last holder of the pty has closed it
        if not data:
            posix.close(self.master)
            self.master = -1
            self.stdin_open = False
            return False
        write_all(1, data)
        return True

    def _copy_input(self) -> None:
        try:
            data = posix.read(0, BLOCK)
        except OSError:
            data = b""
        if data:
            write_all(self.master, data)
        else:
            self.stdin_open = False


def write_all(fd: int, data: bytes) -> None:
    """A reader that went away ends nothing."""
    while data:
        try:
            data = data[posix.write(fd, data) :]
        except OSError:
            return
