"""`run`: create and start in one process, over the socket instead of the fifos; wait; tidy up.

The exit status is the program's, 128 + n when signal n ended it.
"""

from __future__ import annotations

import posix

from pyruntime.errors import ProgramError, StepError
from pyruntime.kernel import calls
from pyruntime.lib.proc import SIGKILL
from pyruntime.runtime import hooks, init_failure
from pyruntime.runtime.create import Creation
from pyruntime.runtime.relay import Relay, Signals, find_terminal, relay_rest, resize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.runtime.host import Host
    from pyruntime.runtime.notify import Proxy
    from pyruntime.runtime.request import CreateRequest


def run(request: CreateRequest) -> int:
    """Returns the exit status; 0 at once when detached."""
    if not (request.detach or request.no_subreaper):
        calls.set_subreaper(on=True)
    creation = Creation(request, inline=True)
    terminal = -1
    if creation.site.terminal and not request.detach:
        terminal = find_terminal()
    host = creation.make()
    signals = None if request.detach else Signals()
    proxy = None
    try:
        if creation.site.notify:
            proxy = _notify_proxy(host, request)
        if terminal >= 0:
            resize(terminal, creation.launch.terminal_fd)  # before the program can ask for it
        _start(creation, host)
        if signals is None:
            if proxy is not None:
                _report_ready(proxy, host, request)
            posix.close(host.pidfd)
            host.entry.close()
            return 0
        relay = Relay(
            host.pid, host.pidfd, signals, creation.launch.terminal_fd, terminal, proxy, host.pipes
        )
        status = relay.run()
        if proxy is not None:
            _report_ready(proxy, host, request)
    except BaseException as error:
        if isinstance(error, ProgramError):
            error.said = not request.detach  # by the init, on the stderr it has from us
            relay_rest(
                {
                    **host.pipes,
                    **({1: master} if (master := creation.launch.terminal_fd) >= 0 else {}),
                }
            )
        _end(host)
        _destroy(host, request)
        raise
    finally:
        host.channel.close()
        if signals is not None:
            signals.close()
        if proxy is not None:
            proxy.close()
    if not request.keep:
        _destroy(host, request)
    return init_failure.exit_code(status)


def _notify_proxy(host: Host, request: CreateRequest) -> Proxy | None:
    """As runc: a service manager that is not there is no reason not to run."""
    from pyruntime.runtime.notify import Proxy

    try:
        return Proxy(host.entry, host.pid if request.detach else posix.getpid(), request.log)
    except StepError as error:
        request.log.warning(error.message)
        return None


def _report_ready(proxy: Proxy, host: Host, request: CreateRequest) -> None:
    proxy.wait(host.pidfd)
    if proxy.failure is not None:
        request.log.warning(proxy.failure.message)


def _start(creation: Creation, host: Host) -> None:
    """The word to go, and then what `start` does when the program runs; no lock is held while hooks run."""
    configured = host.spec.get("hooks", {})
    if configured.get("startContainer"):
        from pyruntime.runtime import interlude

        interlude.begin(host.entry)
    creation.launch.let_go()
    host.entry.lock()
    host.record["status"] = "running"
    host.entry.write_record(host.record)
    host.entry.unlock()
    if configured.get("poststart"):
        hooks.run("poststart", configured["poststart"], host.record, "running")


def _end(host: Host) -> None:
    try:
        posix.kill(host.pid, SIGKILL)  # our child and not yet reaped, or gone
        posix.waitpid(host.pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


def _destroy(host: Host, request: CreateRequest) -> None:
    """What delete does; somebody else may have deleted the container meanwhile."""
    from pyruntime.errors import NoSuchContainer
    from pyruntime.runtime.container import destroy

    with host.entry as entry:
        try:
            entry.lock()
        except NoSuchContainer:
            return
        destroy(entry, host.record, host.spec.get("hooks", {}), request.log)
