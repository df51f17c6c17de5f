"""From a plan to an init that is ready: the spawn, and the talk with it over its socket.

`create`, `run` and `exec` differ in what they plan and in what they write down; what happens between the clone and
the message `ready` is the same and has its home here.
"""

from __future__ import annotations

import fcntl
import posix
import select
from errno import EACCES, EBUSY, ENODEV, EOPNOTSUPP

from pyruntime.errors import InternalError, KernelError, StepError, UsageError
from pyruntime.features import namespaces
from pyruntime.kernel import calls
from pyruntime.kernel.native import lib
from pyruntime.lib import proc
from pyruntime.lib.proc import SIGKILL
from pyruntime.plan import messages, moments
from pyruntime.plan.tape import Tape
from pyruntime.runtime import channel
from pyruntime.runtime.interruption import Held

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyruntime.features.site import Site
    from pyruntime.lib.log import Log
    from pyruntime.plan.step import Step
    from pyruntime.runtime.debugging import Trace
    from pyruntime.runtime.host import Host
    from pyruntime.spec.types import Config

CAP_SYS_ADMIN, CAP_SYS_NICE = lib.CAP_SYS_ADMIN, lib.CAP_SYS_NICE
BEFORE_SPAWN = (moments.CGROUP, moments.SOURCES, moments.SPAWN)
CLONES = (moments.CLONE, moments.LATE_CLONE)
STAGE_ENDS_MS = 1000
"""How long a stage that is to end may go on by itself before it is killed."""


class Launch:
    """One process on its way into a container. `identified` is called once, when it is known who it is: the init
    itself, or the clone it ended in; the process waits meanwhile."""

    def __init__(
        self,
        host: Host,
        steps: list[Step],
        identified: Callable[[], None],
        *,
        console_socket: str = "",
        pidfd_socket: str = "",
        log: Log | None = None,
    ) -> None:
        self.host = host
        self.log = log if log is not None and log.debugging else None
        self.steps = steps
        self.init_steps = [step for step in steps if step.ops]
        self.trace: Trace | None = None
        if self.log is not None:
            from pyruntime.runtime import debugging

            self.init_steps = debugging.traced(self.init_steps, host.site)
            self.trace = debugging.Trace(self.log)
        self.identified = identified
        self.console_socket = console_socket
        self.pidfd_socket = pidfd_socket
        self.terminal_fd = -1  # the pty's master, where no socket takes it
        self.tape: Tape
        # A stage that ends without telling of its clone must not be waited for: the clone holds the socket.
        self.stage_fd = -1

    def make_ready(self, make_fifos: Callable[[], tuple[int, int]] | None = None) -> None:
        """Everything up to the message `ready`; the fifos are (start, report), and the socket serves for both
        without them."""
        host, site = self.host, self.host.site
        self.tape = Tape(self.init_steps)
        calls.close_on_exec_from(3 + site.preserve_fds)
        if site.open_files is not None:
            self._raise_open_files(*site.open_files)
        self._run_host_steps(BEFORE_SPAWN)
        try:
            self._hand_over(make_fifos)
        except OSError as error:
            number = error.errno or 0
            raise StepError("prepare the container init", errno=number) from error
        self._spawn()
        for undo in host.spawned:
            undo()
        if self.stage_fd < 0:
            self._identify()
        self._converse()

    def _raise_open_files(self, soft: int, hard: int) -> None:
        """For the set-up; the init gives the caller's limit to the program, and we take it back ourselves."""
        from pyruntime.kernel import limits

        limits.set_open_files(hard, hard)
        self.host.after_spawn(lambda: limits.set_open_files(soft, hard))

    def _run_host_step(self, step: Step) -> None:
        if self.log is None:
            _run_host_step(step, self.host)
            return
        from pyruntime.runtime import debugging

        with debugging.Timed(self.log, step):
            _run_host_step(step, self.host)

    def _identify(self) -> None:
        self.identified()
        self._run_host_steps((moments.IDENTITY,))
        if self.pidfd_socket:
            from pyruntime.runtime.console import send_descriptor

            send_descriptor(self.pidfd_socket, self.host.pidfd, b"pidfd", "pidfd socket")

    def _run_host_steps(self, when: tuple[int, ...]) -> None:
        for step in self.steps:
            if step.moment in when and step.run is not None:
                self._run_host_step(step)

    def _hand_over(self, make_fifos: Callable[[], tuple[int, int]] | None) -> None:
        """What every init is given, closed by close_handed()."""
        host = self.host
        host.channel = channel.Channel()
        host.push(host.channel.close)
        first = host.site.first_fd
        theirs = host.channel.theirs
        host.give(first + 1, theirs)
        start, report = make_fifos() if make_fifos is not None else (theirs, theirs)
        host.give(first + 2, start)
        host.give(first + 3, report)
        host.give(first, calls.sealed_memfd("pyruntime-tape", self.tape.bytes))

    def _spawn(self) -> None:
        host, site = self.host, self.host.site
        first = site.first_fd
        init_fd = calls.init_image()
        facts = posix.fstat(init_fd)
        host.init_exe = [facts.st_dev, facts.st_ino]
        flags = namespaces.clone_flags(site)
        try:
            with Held():
                host.pid, host.pidfd = calls.spawn(
                    flags, host.cgroup_fd, init_fd, host.ordered_fds(), first
                )
                if any(step.moment in CLONES for step in self.init_steps):
                    self.stage_fd = host.pidfd
                host.push(self._kill)
        except KernelError as error:
            raise _not_spawned(error, into_cgroup=host.cgroup_fd >= 0) from error
        finally:
            posix.close(init_fd)
        host.close_handed()

    def _converse(self) -> None:
        """Serves the init until it is ready; its error, or its end, becomes ours."""
        host = self.host
        while True:
            message = self._next_message()
            if message is None:
                raise self.unexpected_end()
            if message.type == messages.READY:
                if self.trace is not None:
                    self.trace.end(self.init_steps, host.pid)
                return
            if message.type == messages.SYNC:
                host.said = message.number
                self._run_host_step(self.init_steps[message.step])
                self._let_go_on()
            elif message.type == messages.TRACE and self.trace is not None:
                self.trace.tell(self.init_steps[message.step], host.pid)
                self._let_go_on()
            elif message.type == messages.CLONED:
                self._identify()
                self._let_go_on()
            elif message.type == messages.TERMINAL:
                self._take_terminal(message)
            elif message.type == messages.LENT:
                self._borrow(message.fds[0])
            elif message.type == messages.LISTENER:
                host.keep_listener(message.fds[0])
            elif message.type == messages.ERROR:
                raise channel.failure(message, self.init_steps, host.site.container_id)
            else:
                raise InternalError(f"the init sent a message of type {message.type}")

    def _next_message(self) -> messages.Message | None:
        """None when the init is gone. A signal that ends us must not lose the number of a clone, of which nobody else
        knows: none is let in between its arrival and its taking over."""
        line: channel.Channel = self.host.channel
        if self.stage_fd < 0:
            return line.receive()
        if not line.await_message(self.stage_fd):
            return None
        with Held():
            message = line.receive()
            if message is not None and message.type == messages.CLONED:
                self._adopt(message.number)
            return message

    def _adopt(self, pid: int) -> None:
        """The stage's clone takes its place. Only a child of ours is believed to be it."""
        host = self.host
        if self.stage_fd < 0:
            raise InternalError("the init told of a clone nobody asked for")
        try:
            pidfd = posix.pidfd_open(pid)
            posix.waitid(posix.P_PIDFD, pidfd, posix.WEXITED | posix.WNOHANG | posix.WNOWAIT)
        except (ProcessLookupError, ChildProcessError):
            raise InternalError(f"the init's clone {pid} is not a child of ours") from None
        except OSError as error:
            _end(pid)
            number = error.errno or 0
            raise StepError("open the container's process", errno=number) from error
        posix.waitpid(host.pid, 0)
        posix.close(host.pidfd)
        host.pid, host.pidfd = pid, pidfd
        self.stage_fd = -1

    def _let_go_on(self) -> None:
        """An init that ended meanwhile may have said why: the next message, or the end of them, tells."""
        try:
            self.host.channel.go()
        except (BrokenPipeError, ConnectionResetError):
            pass

    def _take_terminal(self, message: messages.Message) -> None:
        name = message.text.rstrip(b"\0")
        if self.console_socket:
            from pyruntime.runtime.console import send_master

            try:
                send_master(self.console_socket, message.fds[0], name)
            finally:
                posix.close(message.fds[0])
        else:
            self.terminal_fd = message.fds[0]
            calls.write_plain_newlines(self.terminal_fd)  # the caller's terminal makes \r\n of them

    def _borrow(self, fd: int) -> None:
        """Open until the creation has ended: it keeps alive what it belongs to."""
        self.host.lent = fd
        self.host.at_end(lambda: posix.close(fd))

    def unexpected_end(self) -> Exception:
        """The init is gone without a word: why."""
        from pyruntime.runtime.init_failure import describe_end

        host = self.host
        return describe_end(host.pid, host.record, joining=host.site.exec)

    def _kill(self) -> None:
        """And waited for: a pid namespace does not end before the last process that was in it is. A stage killed between
        its clone and the message about it would leave us a child we know nothing of, so it may end by itself first."""
        host = self.host
        if self.stage_fd >= 0:
            host.channel.hang_up()
            poll = select.poll()
            poll.register(host.pidfd, select.POLLIN)
            poll.poll(STAGE_ENDS_MS)
        _end(host.pid)
        posix.close(host.pidfd)
        if self.stage_fd >= 0:
            self._end_clone()

    def _end_clone(self) -> None:
        """The stage may have got as far as its clone, and told of it, before it was ended."""
        for message in self.host.channel.rest():
            for fd in message.fds:
                posix.close(fd)
            if message.type == messages.CLONED:
                _end(message.number)

    def let_go(self) -> None:
        """From `ready` to the running program, over the socket. execve closes it: its end without an error means
        that the program runs."""
        self._let_go_on()
        message = self.host.channel.receive()
        if message is None:
            raise self.unexpected_end()
        if message.type == messages.ABOUT_TO_EXEC:
            message = self.host.channel.receive()
            if message is None:
                if self.log is not None:
                    self.log.debug(f"process {self.host.pid}: the program runs")
                return
        if message.type != messages.ERROR:
            raise InternalError(f"the init sent a message of type {message.type}")
        raise channel.failure(message, self.init_steps, self.host.site.container_id)

    def close_terminal(self) -> None:
        if self.terminal_fd >= 0:
            posix.close(self.terminal_fd)
            self.terminal_fd = -1


def check_preserved(count: int) -> tuple[int, ...]:
    """The numbers among 3 to count+2 that our caller has nothing open under: they stay free in the container. What we
    opened ourselves is close-on-exec (R-31). UsageError for more than there can be."""
    if not count:
        return ()
    from pyruntime.kernel import limits

    if 3 + count >= limits.open_files()[0]:
        raise UsageError(f"--preserve-fds {count} goes beyond the limit of open files")
    gaps = []
    for fd in range(3, 3 + count):
        try:
            free = bool(fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC)
        except OSError:
            free = True
        if free:
            gaps.append(fd)
    return tuple(gaps)


def look_around(site: Site, spec: Config, *, as_root: bool = False) -> None:
    """Fills in what the plan must know of this process and this host; with `as_root` we pretend to be root of it."""
    if not as_root:
        site.capabilities = calls.permitted_capabilities()
        site.privileged = bool(site.capabilities >> CAP_SYS_ADMIN & 1)
        site.unprivileged_user = posix.geteuid() != 0
        site.in_user_namespace = proc.in_user_namespace()
        site.may_nice = bool(site.capabilities >> CAP_SYS_NICE & 1) and not site.in_user_namespace
    site.last_capability = proc.last_capability()
    site.machine = posix.uname().machine
    process = spec.get("process", {})
    if (
        process.get("apparmorProfile")
        or process.get("selinuxLabel")
        or spec.get("linux", {}).get("mountLabel")
    ):
        from pyruntime.runtime import security_modules

        security_modules.look(site)


def _not_spawned(error: KernelError, *, into_cgroup: bool) -> StepError:
    """clone(2): these four are about the cgroup to be born in."""
    number, pointer, hint = error.errno or 0, "/linux/namespaces", None
    if into_cgroup and number in (EACCES, EBUSY, ENODEV, EOPNOTSUPP):
        pointer = "/linux/cgroupsPath"
    if into_cgroup and number == EACCES:
        hint = (
            "a process joins a cgroup only from within the subtree that was delegated: "
            "see `systemd-run --user --scope`"
        )
    return StepError("unable to start container process", pointer, errno=number, hint=hint)


def _end(pid: int) -> None:
    """A child of ours that nobody waited for; no other process is hit."""
    try:
        posix.waitid(posix.P_PID, pid, posix.WEXITED | posix.WNOHANG | posix.WNOWAIT)
        posix.kill(pid, SIGKILL)
        posix.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


def _run_host_step(step: Step, host: Host) -> None:
    if step.run is None:
        raise InternalError(f"the init waits at `{step.text}`, and nobody knows for what")
    try:
        step.run(host)
    except OSError as error:
        number = error.errno or 0
        raise StepError(step.text, step.pointer, errno=number) from error
