"""The host's end of the socket to the init; what is said on it is in plan/messages.py."""

from __future__ import annotations

import _socket
import posix
import select
from errno import EPERM

from pyruntime.errors import InternalError
from pyruntime.plan.messages import FDS, GO, HEADER, NO_STEP, Message, late

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyruntime.plan.step import Step

PACKET = 2048
"""Bytes: more than any message has."""


class Channel:
    """`theirs` is the init's end until it is handed over."""

    __slots__ = ("socket", "theirs")

    def __init__(self) -> None:
        kind = _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC
        self.socket, theirs = _socket.socketpair(_socket.AF_UNIX, kind)
        self.theirs = theirs.detach()

    def receive(self) -> Message | None:
        """The next message; None when the init is gone. Descriptors come with a few kinds only (FDS)."""
        room = _socket.CMSG_SPACE(8 * 4)
        how = (PACKET, room, _socket.MSG_CMSG_CLOEXEC)
        try:
            packet, ancillary, flags, _ = self.socket.recvmsg(*how)
        except (
            ConnectionResetError
        ):  # said once of an end that left something unread; then come its last words
            packet, ancillary, flags, _ = self.socket.recvmsg(*how)
        fds = [int.from_bytes(data[at:at + 4], "little")
               for level, kind, data in ancillary if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS)
               for at in range(0, len(data) - 3, 4)]  # fmt: skip
        if flags & _socket.MSG_CTRUNC or len(fds) != FDS.get(packet[0] if packet else 0, 0):
            for fd in fds:
                posix.close(fd)
            raise InternalError("the init sent descriptors nobody asked for")
        if not packet:
            return None
        if len(packet) < HEADER.size:
            raise InternalError("the init sent a message that is too short")
        return Message(packet, fds)

    def rest(self) -> Iterator[Message]:
        """What has arrived and nobody asked for; its descriptors are the caller's to close."""
        self.socket.setblocking(False)
        while True:
            try:
                message = self.receive()
            except BlockingIOError:
                return
            if message is None:
                return
            yield message

    def await_message(self, stage_fd: int) -> bool:
        """Waits for the next message; False if the stage behind `stage_fd` has ended and said nothing."""
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        poll.register(stage_fd, select.POLLIN)
        ready = [fd for fd, _ in poll.poll()]
        if self.socket.fileno() not in ready:
            poll.unregister(stage_fd)
            ready = [fd for fd, _ in poll.poll(0)]  # its last message may have come just now
        return bool(ready)

    def go(self) -> None:
        self.socket.send(GO, _socket.MSG_NOSIGNAL)

    def fill(self, slot: int, value: bytes) -> None:
        """A late value for its slot on the tape; of an init that is gone its last message tells."""
        try:
            self.socket.send(late(slot, value), _socket.MSG_NOSIGNAL)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def hang_up(self) -> None:
        """The init ends as soon as it waits for us."""
        self.socket.shutdown(_socket.SHUT_WR)

    def close(self) -> None:
        self.socket.close()


def failure(message: Message, steps: Sequence[Step], container_id: str) -> Exception:
    """The init's error as the property's: which step, and what the kernel said."""
    from pyruntime.errors import StepError, strerror

    if message.step == NO_STEP or message.step >= len(steps):
        return InternalError(f"the init refused its tape: {strerror(message.number)}")
    step = steps[message.step]
    from pyruntime.features import failures
    from pyruntime.plan import moments

    if message.number == failures.INTO_PROC:
        why = "it leads into /proc, where nothing is mounted but procfs"
        return failures.failed_mount(step.text, step.pointer, EPERM, why)
    if step.failure is not None:
        error: Exception = step.failure(message.number, message.text)
        return error
    why = failures.file_systems_words(message.text)
    if step.moment == moments.MOUNT:
        return failures.failed_mount(step.text, step.pointer, message.number, why)
    return StepError(step.text, step.pointer, errno=message.number, why=why)
