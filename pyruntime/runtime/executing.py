"""`exec`: one more process in a container, with the same walls as its first (R-20).

The container's init is opened as a pidfd first and proved to be the recorded one then (R-30); everything is joined
through that descriptor, whatever becomes of the number. No lock is taken: nothing of the container's state changes,
and a process may join while a long `start` or another `exec` is under way.
"""

from __future__ import annotations

import _signal
import errno
import posix

from pyruntime import errors, features
from pyruntime.cgroup import driver
from pyruntime.features import namespaces, stdio
from pyruntime.features.site import Site
from pyruntime.lib import proc
from pyruntime.runtime import container, exec_process, init_failure, signals, status
from pyruntime.runtime.host import Host
from pyruntime.runtime.launch import Launch, check_preserved, look_around

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyruntime.plan.record import Record
    from pyruntime.runtime.exec_process import ExecRequest
    from pyruntime.runtime.store import Entry
    from pyruntime.spec.types import Config

ATTEMPTS = 3


def execute(request: ExecRequest) -> int:
    """The exit status of the process, 128 + n after signal n; 0 at once when detached."""
    # A caller that ignores SIGCHLD would make the process's end vanish unseen.
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    # Before a descriptor of ours can be taken for one.
    request.gaps = check_preserved(request.preserve_fds)
    entry = container.find(request.root, request.container_id).entry
    record = entry.read_record()
    init = signals.open_process(record)
    try:
        _check(record, entry, request)
        config = exec_process.config_for(request, entry.config())
        execution = _started(request, entry, record, config, init)
    except errors.StepError as error:
        from pyruntime.runtime import identity

        if init >= 0 and (identity.has_ended(init) or proc.is_ending(record["pid"])):
            # Whatever failed, failed for this: namespaces without their init take nobody in, and put others out.
            raise errors.WrongStatus(record["id"], errors.WORDS["exec stopped"]) from error
        raise
    finally:
        if init >= 0:
            posix.close(init)
    return execution.finish()


def _check(record: Record, entry: Entry, request: ExecRequest) -> None:
    """Running, or created: its program waits, others need not."""
    now = status.status(record, entry)
    if now == "stopped":
        raise errors.WrongStatus(record["id"], errors.WORDS["exec stopped"])
    if now == "paused" and not request.ignore_paused:
        raise errors.WrongStatus(record["id"], errors.WORDS["exec paused"])
    if now == "creating":
        raise errors.WrongStatus(record["id"], "cannot exec in a container in the creating state")


def _shared_with_another(pid: int) -> list[str]:
    """The container's namespaces that differ from ours, whatever its config says: those it did not ask for are its
    creator's, and the caller of `exec` may live in others. Two kinds are skipped: without a mount namespace the
    container is entered by its root directory, and a user namespace that is not in the config was created by the payload."""
    found = []
    for kind in namespaces.FLAGS.keys() - {"mount", "user"}:
        name = namespaces.FILES.get(kind, kind)
        try:
            theirs = posix.stat(f"/proc/{pid}/ns/{name}")
            if theirs.st_ino != posix.stat(f"/proc/self/ns/{name}").st_ino:
                found.append(kind)
        except OSError:
            continue  # gone, as the join will tell; or closed to an ordinary user, who then gets what the config says
    return found


def _started(
    request: ExecRequest, entry: Entry, record: Record, config: Config, init: int
) -> Execution:
    """The payload of a v2 group may make subgroups between our look and the clone: then look again. A first process
    whose main thread has ended is joined by another one of its threads; a container that has reached its limit of
    processes is joined after the clone."""
    member = Member(record["pid"], init)
    try:
        for attempt in range(1, ATTEMPTS + 1):
            execution = Execution(request, entry, record, config, member)
            try:
                execution.start()
            except BaseException as error:
                execution.abandon()
                if attempt == ATTEMPTS or not isinstance(error, errors.StepError):
                    raise
                if error.errno == errno.EAGAIN:
                    init_failure.name_limit(error, record["cgroup"])
                if error.errno != errno.EBUSY and not member.is_late_for(error, record):
                    raise
            else:
                return execution
    finally:
        member.close()
    raise AssertionError("the last attempt returns or raises")


class Member:
    """Whom `exec` follows into the container: its init, borrowed, or a thread of that."""

    __slots__ = ("pid", "pidfd", "late", "_init")

    def __init__(self, pid: int, init: int) -> None:
        self.pid = pid
        self.pidfd = init
        self.late = False
        self._init = init

    def is_late_for(self, error: errors.StepError, record: Record) -> bool:
        """Whether there is another way in after that failure."""
        if error.errno == errno.EAGAIN:
            before, self.late = self.late, bool(record.get("cgroup"))
            return self.late and not before
        return self.take_thread()

    def take_thread(self) -> bool:
        """Whether there is one to be taken, and had not been."""
        from pyruntime.runtime import identity

        thread = identity.living_thread(self.pid)
        if not thread or identity.has_ended(self._init):
            return False
        try:
            self.pidfd = identity.open_thread(thread)
        except OSError:
            return False
        self.pid = thread
        return True

    def close(self) -> None:
        if self.pidfd != self._init:
            posix.close(self.pidfd)


class Execution:
    """One process on its way into a container, and until its end where it is waited for."""

    def __init__(
        self,
        request: ExecRequest,
        entry: Entry,
        record: Record,
        config: Config,
        member: Member,
    ) -> None:
        self.request = request
        self.terminal = -1  # the caller's
        self.signals: Any = None
        self.site = site = Site(
            record["bundle"],
            record["id"],
            record["rootfs"],
            preserve_fds=request.preserve_fds,
            joining=True,
        )
        look_around(site, config)
        site.inline, site.gaps = True, request.gaps
        site.terminal = bool(config["process"].get("terminal"))
        site.new_keyring = record.get("keyring", True)
        self.host = host = Host(site, entry, config, record)
        host.container_pid, host.container_pidfd = member.pid, member.pidfd
        host.join_fd, host.task_fds = driver.join(
            record["cgroup"], member.pid, driver.sub_paths(request.cgroups), late=member.late
        )
        self.member = member
        site.join_count = len(host.task_fds)
        for kind in _shared_with_another(member.pid):
            site.joined[kind] = ""
        if not (request.detach or site.terminal):
            site.piped = stdio.to_be_piped(config)
        self.launch: Launch

    def start(self) -> None:
        """Returns when the program runs, and its pid is where the caller looks for it."""
        request, host = self.request, self.host
        if self.site.terminal and not request.detach:
            from pyruntime.runtime.relay import find_terminal

            self.terminal = find_terminal()
        steps = features.plan_exec(host.spec, self.site)
        for text in self.site.warnings:
            request.log.warning(text)
        for text in self.site.notices:
            request.log.debug(text)
        self.launch = Launch(
            host,
            steps,
            self._identified,
            console_socket=request.console_socket,
            pidfd_socket=request.pidfd_socket,
            log=request.log,
        )
        self.launch.make_ready()
        if not request.detach:
            from pyruntime.runtime import relay

            self.signals = relay.Signals()
            if self.terminal >= 0:
                relay.resize(self.terminal, self.launch.terminal_fd)
        self.launch.let_go()
        if request.pid_file:
            from pyruntime.runtime.pidfile import write_pid_file

            write_pid_file(request.pid_file, host.pid, host)

    def _identified(self) -> None:
        member, host = self.member, self.host
        if member.late:
            paths = driver.sub_paths(self.request.cgroups)
            driver.enter(host.record["cgroup"], member.pid, paths, host.pid)

    def finish(self) -> int:
        """Waits for the end, unless detached."""
        host = self.host
        host.keep()
        host.channel.close()
        if self.signals is None:
            posix.close(host.pidfd)
            return 0
        from pyruntime.runtime.relay import Relay

        try:
            ended = Relay(
                host.pid,
                host.pidfd,
                self.signals,
                self.launch.terminal_fd,
                self.terminal,
                pipes=host.pipes,
            ).run()
        finally:
            self.signals.close()
        return init_failure.exit_code(ended)

    def abandon(self) -> None:
        """Nothing of a failed one stays: no process, no pid file, no descriptor."""
        host = self.host
        host.close_handed()
        host.roll_back()
        if hasattr(self, "launch"):
            self.launch.close_terminal()
        if self.terminal >= 0:
            posix.close(self.terminal)
        if self.signals is not None:
            self.signals.close()
