"""What a service manager is to a runtime: a datagram socket that takes words and answers barriers (sd_notify(3))."""

from __future__ import annotations

import array
import select
import socket

from tests.lib.patience import scaled

PATH = "/usr/bin:/bin"
READY = b"READY=1\n"
BARRIER = b"BARRIER=1"


class Manager:
    """A service manager's socket, which takes datagrams and answers barriers."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address[0] == "@" else address)
        self.socket.settimeout(scaled(10))
        self.env = {"PATH": PATH, "NOTIFY_SOCKET": address}

    def close(self) -> None:
        self.socket.close()

    def receive(self) -> tuple[bytes, list[int]]:
        data, control, _flags, _ = self.socket.recvmsg(1 << 16, socket.CMSG_SPACE(64))
        fds = array.array("i")
        for _, _, payload in control:
            fds.frombytes(payload)
        return data, list(fds)

    def expect_ready(self, main_pid: int) -> None:
        """READY, then who is the main process."""
        assert self.receive() == (READY, [])
        assert self.receive() == (b"MAINPID=%d\n" % main_pid, [])

    def expect_barrier(self) -> int:
        """The descriptor that holds the sender until it is closed."""
        data, fds = self.receive()
        assert data == BARRIER and len(fds) == 1
        return fds[0]

    def heard_nothing(self) -> bool:
        return not select.select([self.socket], [], [], 0)[0]
