"""Terminals as an engine sees them: the receiving end of --console-socket, and a pty of our own for `run -t`."""

from __future__ import annotations

import array
import fcntl
import os
import pty
import select
import socket
import struct
import termios
import time
from pathlib import Path
from types import TracebackType

from tests.lib.patience import deadline as scaled_deadline


class Terminal:
    """A pty master with the text that came out of it."""

    def __init__(self, master: int) -> None:
        self.fd = master
        self.data = bytearray()
        os.set_blocking(master, False)

    def read_until(self, text: str, patience: float = 20.0) -> str:
        """Reads until the text appears or the terminal hangs up; returns everything so far."""
        deadline = scaled_deadline(patience)
        while text not in self.text:
            if not select.select([self.fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise AssertionError(f"{text!r} did not appear on the terminal, but: {self.text!r}")
            try:
                got = os.read(self.fd, 1 << 16)
            except OSError:
                break
            if not got:
                break
            self.data += got
        assert text in self.text, f"the terminal hung up before {text!r}: {self.text!r}"
        return self.text

    @property
    def text(self) -> str:
        return self.data.decode(errors="replace").replace("\r\n", "\n")

    def write(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    @property
    def size(self) -> tuple[int, int]:
        rows, columns, _, _ = struct.unpack(
            "HHHH", fcntl.ioctl(self.fd, termios.TIOCGWINSZ, bytes(8))
        )
        return rows, columns

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class ConsoleSocket:
    """Listens where --console-socket points to and takes the one descriptor that arrives."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(str(path))
        self.socket.listen(1)
        self.socket.settimeout(20)
        self.terminals: list[Terminal] = []
        self.name = ""

    def accept(self) -> Terminal:
        peer, _ = self.socket.accept()
        with peer:
            peer.settimeout(20)
            data, control, flags, _ = peer.recvmsg(4096, socket.CMSG_SPACE(4 * 8))
        assert not flags & socket.MSG_CTRUNC
        fds = array.array("i")
        for _, kind, payload in control:
            assert kind == socket.SCM_RIGHTS
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
        assert len(fds) == 1, f"exactly one descriptor is sent, not {len(fds)}"
        self.name = data.decode()
        self.terminals.append(Terminal(fds[0]))
        return self.terminals[-1]

    def __enter__(self) -> ConsoleSocket:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for terminal in self.terminals:
            terminal.close()
        self.socket.close()
        self.path.unlink()


class OwnTerminal(Terminal):
    """A pty whose slave is handed to the runtime as its stdio, as a user's shell would."""

    def __init__(self, rows: int = 24, columns: int = 80) -> None:
        master, self.slave = pty.openpty()
        super().__init__(master)
        self.resize(rows, columns)

    def __enter__(self) -> OwnTerminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self.slave)
        self.close()
