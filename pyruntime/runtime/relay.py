"""Between a foreground container and us: signals forwarded, the terminal's bytes and size carried, the end awaited."""

from __future__ import annotations

import _signal
import posix
import select
from errno import EIO

from pyruntime.errors import KernelError, StepError
from pyruntime.kernel import calls
from pyruntime.runtime.interruption import ENDING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyruntime.runtime.notify import Proxy
    from pyruntime.runtime.streams import Stream

# Not ours to pass on: children and urgent data are the runtime's own business, the size has its own way.
KEPT = (_signal.SIGCHLD, _signal.SIGURG, _signal.SIGWINCH)
UNCATCHABLE = (_signal.SIGKILL, _signal.SIGSTOP)
# What the kernel sends a background job that uses its terminal: it stops, as any job does. And what a write of ours that
# fails would raise: ignored from the start (native/launcher).
DEFAULT = (_signal.SIGTTIN, _signal.SIGTTOU, _signal.SIGPIPE, _signal.SIGXFSZ)
AT_THE_END = 1 << 18  # bytes: more than a pty or a pipe holds
_IN = select.POLLIN | select.POLLHUP | select.POLLERR
_OUT = select.POLLOUT | select.POLLHUP | select.POLLERR


class Signals:
    """Every signal becomes a byte on a pipe; `fd` is its reading end."""

    __slots__ = ("fd", "_writer")

    def __init__(self) -> None:
        self.fd, self._writer = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        _signal.set_wakeup_fd(self._writer)
        for number in range(1, 65):
            if number in (*UNCATCHABLE, *DEFAULT, 32, 33):  # glibc keeps two for itself
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
        raise StepError("open /dev/tty", "/process/terminal", errno=number) from error


def is_foreground(terminal: int) -> bool:
    """Whether our job may set the terminal's mode; tcgetpgrp(3). One that does not control us lets everybody."""
    try:
        return posix.tcgetpgrp(terminal) == posix.getpgrp()
    except OSError:
        return True


def resize(terminal: int, master: int) -> None:
    """The container's terminal gets the size of ours."""
    try:
        calls.copy_window_size(terminal, master)
    except KernelError:
        pass  # a terminal without a size, such as a serial line


def relay_rest(sources: dict[int, int]) -> None:
    """What is there already goes to the descriptor it is for: the little an init says before it ends."""
    for number, fd in sources.items():
        if number == 0:
            continue
        posix.set_blocking(fd, False)
        try:
            posix.write(number, posix.read(fd, 4096))
        except OSError:
            continue


class Relay:
    """Runs until the init, our child `pid`, has ended and what it wrote is out; then its wait status is known.

    `master` is a pty's, whose other side is the container's terminal; `pipes` are ours by the number that the container
    knows the other end by. `terminal` is the caller's, raw meanwhile.
    """

    def __init__(
        self,
        pid: int,
        pidfd: int,
        signals: Signals,
        master: int = -1,
        terminal: int = -1,
        proxy: Proxy | None = None,
        pipes: dict[int, int] | None = None,
    ) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.signals = signals
        self.master = master
        self.terminal = terminal
        self.proxy = proxy
        self.status: int | None = None
        self.given_up = False
        self.inward: Stream | None = None
        self.outward: list[Stream] = []
        self.ends: list[Any] = []
        self._connect(pipes or {})
        self.mode = _made_raw(terminal) if terminal >= 0 else None

    def _connect(self, pipes: dict[int, int]) -> None:
        if self.master < 0 and not pipes:
            return
        from pyruntime.runtime.streams import End, Sink, Stream

        if self.master >= 0:
            end, sink = End(self.master), Sink(1)
            self.inward, self.outward = Stream(0, end), [Stream(self.master, sink)]
            self.ends = [end, sink]
        for number, fd in pipes.items():
            end = End(fd)
            self.ends.append(end)
            if number == 0:
                self.inward = Stream(0, end)
            else:
                self.ends.append(Sink(number))
                self.outward.append(Stream(fd, self.ends[-1]))

    def run(self) -> int:
        """The wait status."""
        try:
            self._reap()
            while self.status is None:
                self._round(self.inward, self.outward)
            self._finish()
        finally:
            if self.mode is not None and is_foreground(self.terminal):
                self.mode.restore()
            for end in self.ends:
                end.close()
        return self.status

    def _finish(self) -> None:
        """What was written before the end is still to be read, whoever else has the terminal open and writes on; the
        caller may be slow to take it. A signal that ends programs ends the wait."""
        left = AT_THE_END
        for stream in self.outward:
            while left > 0 and not stream.ended and not self.given_up:
                while stream.is_full and not self.given_up:
                    self._round(None, [stream], reading=False)
                got = stream.take()
                left -= got
                if not got:
                    break
            while stream.holds and not self.given_up:
                self._round(None, [stream], reading=False)

    def _round(self, inward: Stream | None, outward: list[Stream], *, reading: bool = True) -> None:
        wanted: dict[int, int] = {self.signals.fd: select.POLLIN}
        if self.status is None:
            wanted[self.pidfd] = select.POLLIN
        streams = [*outward, inward] if inward is not None else outward
        for stream in streams:
            if reading and not (stream.ended or stream.is_full):
                wanted[stream.source] = wanted.get(stream.source, 0) | select.POLLIN
            if stream.holds:
                wanted[stream.sink.fd] = wanted.get(stream.sink.fd, 0) | select.POLLOUT
        for fd in self.proxy.fds() if self.proxy else ():
            wanted[fd] = select.POLLIN
        poll = select.poll()
        for fd, events in wanted.items():
            poll.register(fd, events)
        ready = dict(poll.poll())
        if self.proxy:
            self.proxy.serve(set(ready))
        if self.signals.fd in ready:
            for number in self.signals.arrived():
                self._handle(number)
        if self.pidfd in ready and self.status is None:
            self._reap()
        for stream in streams:
            if reading and not (stream.ended or stream.is_full) and _is(ready, stream.source, _IN):
                stream.take()
            if stream.holds and _is(ready, stream.sink.fd, _OUT):
                stream.give()
        if inward is not None and inward.ended and not inward.holds:
            self._end_input(inward)

    def _end_input(self, inward: Stream) -> None:
        """A pipe says so; a terminal has no end of input but what is typed."""
        self.inward = None
        if self.master < 0:
            inward.sink.close()

    def _handle(self, number: int) -> None:
        if number == _signal.SIGCHLD:
            self._reap()
        elif number == _signal.SIGWINCH and self.master >= 0:
            resize(self.terminal, self.master)
        elif number not in KEPT and self.status is None:
            if number == _signal.SIGCONT and self.mode is not None:
                # The shell that continues us has set its own mode and perhaps another size meanwhile.
                self.mode.again()
                resize(self.terminal, self.master)
            try:
                _signal.pidfd_send_signal(self.pidfd, number)
            except ProcessLookupError:
                pass  # it ended a moment ago; the next round sees it
        elif number in ENDING:
            self.given_up = True

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


def _made_raw(terminal: int) -> calls.RawTerminal | None:
    try:
        return calls.RawTerminal(terminal)
    except KernelError as error:
        if (
            error.errno == EIO
        ):  # an orphaned background job: the terminal is none of its business any more
            return None
        raise


def _is(ready: dict[int, int], fd: int, events: int) -> bool:
    return bool(ready.get(fd, 0) & events)
