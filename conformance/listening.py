"""The agent's side of SCMP_ACT_NOTIFY: the socket of listenerPath, and answers to notifications."""

from __future__ import annotations

import array
import fcntl
import json
import os
import select
import socket
import struct
from pathlib import Path
from types import TracebackType
from typing import Any

from conformance.claims import Failed
from tests.lib.patience import scaled

RECEIVE, SEND = 0xC0502100, 0xC0182101
"""SECCOMP_IOCTL_NOTIF_RECV and _SEND: struct seccomp_notif is 80 bytes, seccomp_notif_resp 24."""
WAIT_S = 15.0


class Agent:
    """Listens; `accept` takes the one message of the one connection."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(str(path))
        self.socket.listen(4)
        self.socket.settimeout(scaled(WAIT_S))
        self.fds: list[int] = []
        self.messages: list[bytes] = []

    def accept(self) -> dict[str, Any]:
        """The container process state; what came with the first part is in `fds`."""
        try:
            peer, _ = self.socket.accept()
        except TimeoutError as problem:
            raise Failed("nobody connected to listenerPath") from problem
        with peer:
            peer.settimeout(scaled(WAIT_S))
            data = bytearray()
            while True:
                part, control, _, _ = peer.recvmsg(1 << 16, socket.CMSG_SPACE(64))
                fds = array.array("i")
                for _, kind, payload in control:
                    if kind == socket.SCM_RIGHTS:
                        fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
                if fds and data:
                    raise Failed("descriptors came with another part than the first")
                self.fds += fds
                if not part:
                    break
                data += part
        document: dict[str, Any] = json.loads(data)
        return document

    def waiting(self) -> bool:
        """Whether somebody else has connected."""
        return bool(select.select([self.socket], [], [], 0)[0])

    def answer(self, number: int) -> int:
        """Takes one notification and answers it with that errno; the system call it was about."""
        fd = self.fds[0]
        if not select.select([fd], [], [], scaled(WAIT_S))[0]:
            raise Failed("no notification came")
        notification = bytearray(80)
        fcntl.ioctl(fd, RECEIVE, notification)
        identity, _, _, call = struct.unpack_from("QIIi", notification)
        fcntl.ioctl(fd, SEND, struct.pack("QqiI", identity, 0, -number, 0))
        found: int = call
        return found

    def __enter__(self) -> Agent:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for fd in self.fds:
            os.close(fd)
        self.socket.close()
