"""The way a filter's listener takes to its agent."""

from __future__ import annotations

import socket

import pytest

from pyruntime.runtime import console, seccomp_agent


def test_an_agent_that_hangs_up_after_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """One send that took all of it is the only one: a second, even an empty one, could find nobody."""
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(console, "connect", lambda path: HangingUp(ours, theirs))
    seccomp_agent._send("/agent", theirs.fileno(), b"state")
    assert ours.fileno() == -1


class HangingUp:
    """A socket whose other end is closed as soon as it has been sent to."""

    def __init__(self, ours: socket.socket, theirs: socket.socket) -> None:
        self.ours, self.theirs = ours, theirs

    def sendmsg(self, *words: object) -> int:
        sent = self.ours.sendmsg(*words)  # type: ignore[arg-type]
        self.theirs.close()
        return sent

    def sendall(self, data: bytes) -> None:
        self.ours.sendall(data)

    def close(self) -> None:
        self.ours.close()
