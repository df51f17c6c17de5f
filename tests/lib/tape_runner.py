"""Plays a small tape on the real init, without a container around it.

    with Stagehand([sys(lib.NR_getpid, out=r), …]) as stage:
        assert stage.end() == 112

The tape and the socket get the numbers the init expects, further descriptors those after the report's; no
namespaces, no change of the test process. What the init says arrives as messages; nothing here waits without a
bound.
"""

from __future__ import annotations

import fcntl
import os
import select
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from pyruntime.plan.step import Step
from pyruntime.plan.tape import Tape
from tests.lib import programs
from tests.lib.patience import scaled

SOURCE = programs.PROJECT / "native/init"
FIRST = 200
SOCKET, START, REPORT, HANDED = FIRST + 1, FIRST + 2, FIRST + 3, FIRST + 4
PATIENCE = scaled(5.0)

# How the init ends, said by native/init: not started by us, refused, no exec, the host is gone.
STRANGER, FAILED, RAN_OUT, ABANDONED = 110, 111, 112, 113


def command() -> list[str]:
    """The words of $INIT_COMMAND, for an init of another build or machine; else this tree's."""
    return shlex.split(os.environ.get("INIT_COMMAND", "")) or [init()]


def init() -> str:
    """The init of this tree, made if its sources are newer; a guest has the tree as built, and no make."""
    if not os.environ.get("GUEST"):
        subprocess.run(["make", "-s", "-C", str(SOURCE)], check=True)
    return str(SOURCE / "init")


def sealed(data: bytes) -> int:
    """A tape as the host hands it over: nobody can change it any more."""
    fd = os.memfd_create("tape", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


@dataclass(frozen=True)
class Message:
    type: str
    step: int
    number: int
    text: bytes


class Ended(Exception):
    """The init has closed its end."""


class Stagehand:
    """One init and the host's end of its socket, its start and its report."""

    def __init__(
        self,
        ops: Sequence[Any] | bytes,
        *,
        fds: Sequence[int] = (),
        program: str | None = None,
        argv: Sequence[str] = ("init", str(FIRST)),
    ) -> None:
        self.made: Tape | None = None
        if isinstance(ops, bytes):
            data = ops
        else:
            steps: list[Any] = [[op] for op in ops]
            self.made = Tape([Step(0, "", "step", each) for each in steps])
            data = self.made.bytes
        self.bytes = data
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.starter, start = socket.socketpair()
        self.report, report = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        tape = sealed(data)
        handed = [tape, theirs.fileno(), start.fileno(), report.fileno(), *fds]
        assert max(handed) < FIRST, "the test process has too many descriptors"
        actions = [(os.POSIX_SPAWN_DUP2, fd, FIRST + n) for n, fd in enumerate(handed)]
        try:
            words = [program] if program else command()
            arguments = [*words, *argv[1:]] if words[1:] else list(argv)
            self.pid = os.posix_spawn(words[0], arguments, {}, file_actions=actions)
        finally:
            os.close(tape)
            for end in (theirs, start, report):
                end.close()
        self.pidfd = os.pidfd_open(self.pid)
        self.code: int | None = None

    def __enter__(self) -> Stagehand:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.code is None:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            self._reap(PATIENCE)
        os.close(self.pidfd)
        for end in (self.socket, self.starter, self.report):
            end.close()

    def hear(self, end: socket.socket | None = None, patience: float = PATIENCE) -> Message:
        """The next message; Ended when there will be none."""
        end = end or self.socket
        end.settimeout(patience)
        try:
            packet = end.recv(1 << 17)
        except ConnectionResetError:
            packet = b""
        if not packet:
            raise Ended
        length = int.from_bytes(packet[8:12], "little")
        assert len(packet) == 12 + length, packet
        number = int.from_bytes(packet[4:8], "little", signed=True)
        return Message(chr(packet[0]), int.from_bytes(packet[2:4], "little"), number, packet[12:])

    def say(self, kind: str, slot: int = 0, value: bytes = b"", length: int | None = None) -> None:
        size = len(value) if length is None else length
        head = bytes((ord(kind), 0)) + slot.to_bytes(2, "little") + bytes(4)
        self.socket.send(head + size.to_bytes(4, "little") + value)

    def hang_up(self) -> None:
        """No more words from the host; what the init says still arrives."""
        for end in (self.socket, self.starter, self.report):
            end.shutdown(socket.SHUT_WR)

    def is_running(self, patience: float = 0.0) -> bool:
        return not select.select([self.pidfd], [], [], patience)[0]

    def end(self, patience: float = PATIENCE) -> int:
        """The exit status; a signal that ended it is negative. The init must end by itself."""
        if self.code is None:
            assert not self.is_running(patience), f"the init hangs in {self.whereabouts()}"
            self._reap(0)
        assert self.code is not None
        return self.code

    def whereabouts(self) -> str:
        """The system call it is in; on its way into another program it is nobody's to look into."""
        try:
            return Path(f"/proc/{self.pid}/syscall").read_text().strip()
        except PermissionError:
            return "unknown"

    def until_it_catches(self, number: int) -> None:
        """Returns when the init has a handler for that signal."""
        deadline = time.monotonic() + PATIENCE
        while not self._caught() >> number - 1 & 1:
            assert time.monotonic() < deadline and self.is_running()

    def _caught(self) -> int:
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(text.partition("SigCgt:")[2].split()[0], 16)

    def _reap(self, patience: float) -> None:
        deadline = time.monotonic() + patience
        while self.is_running(max(0.0, deadline - time.monotonic())):
            assert time.monotonic() < deadline, f"{self.pid} cannot be killed"
        found = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        assert found is not None
        exited = found.si_code == os.CLD_EXITED
        self.code = found.si_status if exited else -found.si_status


def play(
    ops: Sequence[Any] | bytes, *, patience: float = PATIENCE, **options: Any
) -> tuple[int, Message | None]:
    """Plays to the end: the exit status and the first message."""
    with Stagehand(ops, **options) as stage:
        stage.hang_up()
        try:
            message = stage.hear(patience=patience)
        except Ended:
            message = None
        return stage.end(patience), message


def failure(*ops: Any, **options: Any) -> tuple[int, int]:
    """(step, errno) of a tape that fails; each operation is a step."""
    code, message = play(ops, **options)
    assert code == FAILED and message is not None and message.type == "E", (code, message)
    return message.step, message.number
