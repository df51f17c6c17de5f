"""The listener of a seccomp filter goes to the agent that asked for it (config-linux.md, Container Process State).

One connection, one message, the descriptor with its first bytes. The agent is the host's; one that takes no
connection or reads nothing is an error after a while, and the container is not made.
"""

from __future__ import annotations

import _socket
import posix
from errno import EAGAIN, EPERM, ETIMEDOUT

from pyruntime.errors import StepError
from pyruntime.kernel import calls
from pyruntime.lib import jsondoor
from pyruntime.runtime import console, hooks, status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyruntime.runtime.host import Host

POINTER = "/linux/seccomp/listenerPath"
DESCRIPTOR = "seccompFd"  # its name in the specification


def hand_over(host: Host, path: str, metadata: str | None) -> None:
    """`path` is the agent's socket, relative to our working directory if it is relative at all."""
    text = jsondoor.dumps(_process_state(host, metadata)).encode("utf-8", "surrogateescape")
    fd = _take(host)
    try:
        _send(path, fd, text)
    finally:
        posix.close(fd)


def _take(host: Host) -> int:
    fd, host.listener = host.listener, -1
    if fd >= 0:
        return fd
    try:
        return calls.pidfd_getfd(host.pidfd, host.said)
    except OSError as error:
        number = error.errno or 0
        hint = None
        if number == EPERM:
            hint = "a process may only be traced: see kernel.yama.ptrace_scope"
        raise StepError(
            "take the listener of the seccomp filter", POINTER, errno=number, hint=hint
        ) from error


def _process_state(host: Host, metadata: str | None) -> dict[str, Any]:
    record = host.record
    now = status.status(record, host.entry) if host.site.exec else "creating"
    state = hooks.state(record, "running" if now == "paused" else now)
    document = {"ociVersion": record["ociVersion"], "fds": [DESCRIPTOR], "pid": host.pid}
    if metadata:
        document["metadata"] = metadata
    return {**document, "state": state}


def _send(path: str, fd: int, text: bytes) -> None:
    rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fd.to_bytes(4, "little"))
    try:
        sock = console.connect(path)
        try:
            sent = sock.sendmsg([text], [rights])
            if sent < len(text):  # an agent that has read all of it may have hung up
                sock.sendall(text[sent:])
        finally:
            sock.close()
    except OSError as error:
        number = error.errno or 0
        if number == EAGAIN:
            number = ETIMEDOUT
        raise StepError(
            f"failed to connect with seccomp agent `{path}`", POINTER, errno=number
        ) from error
