"""What the host and the init tell each other (native/init/tape.h, struct message): on the socket, one message per
packet, and of the init on the report fifo of `start`, one after the other.

    host                                 init
      | ── the tape, descriptors ──────→ |  plays its steps
      | ←──────────────────── SYNC, …──  |  at a step that is the host's as well; waits
      | ── LATE values ────────────────→ |
      | ── GO ─────────────────────────→ |
      | ←─────────────────────── READY ─ |  all that create does is done; waits for `start`
      | ←─────────────── ABOUT_TO_EXEC ─ |  then the end of the file: the program runs
      | ←─────────────────────── ERROR ─ |  at any time: which step failed, with which errno

A header (type, unused, step, number, length of the text) and at most 1024 bytes of text.
"""

from __future__ import annotations

from _struct import Struct

HEADER = Struct("<BBHiI")
MAX_TEXT = 1024
NO_STEP = 0xFFFF
"""As the step of an ERROR: the tape itself was refused."""

# From the init.
ERROR = ord("E")
"""`step` failed; `number` is the errno, of a hook also a wait status (features/failures.py)."""
READY = ord("R")
SYNC = ord("S")
"""`step` has something for the host to do; `number` is for it."""
TRACE = ord("T")
"""Like SYNC, but the host only logs `step` (--debug)."""
CLONED = ord("K")
"""`number` is the pid of the clone that goes on."""
TERMINAL = ord("F")
"""The master of a pty comes along, its name is the text."""
LENT = ord("D")
"""A descriptor comes along for the step that is synchronised next."""
LISTENER = ord("N")
"""The listener of the seccomp filter comes along."""
ABOUT_TO_EXEC = ord("X")
FDS = {TERMINAL: 1, LENT: 1, LISTENER: 1}
"""How many descriptors come with a message; none with any other."""

# From the host.
GO = HEADER.pack(ord("G"), 0, 0, 0, 0)


def late(slot: int, value: bytes) -> bytes:
    """The packet that fills a slot of the tape."""
    return HEADER.pack(ord("L"), 0, slot, 0, len(value)) + value


class Message:
    """One message of the init; `fds` came along and are the receiver's to close."""

    __slots__ = ("type", "step", "number", "text", "fds")

    def __init__(self, packet: bytes, fds: list[int]) -> None:
        self.type, _, self.step, self.number, length = HEADER.unpack_from(packet)
        self.text = packet[HEADER.size : HEADER.size + length]
        self.fds = fds


def take_record(data: bytes) -> tuple[Message | None, bytes]:
    """The first record of what a fifo gave, None if it is not whole yet, and the rest. ValueError for a length that
    no record has."""
    if len(data) < HEADER.size:
        return None, data
    length = HEADER.unpack_from(data)[4]
    if length > MAX_TEXT:
        raise ValueError(f"a record of {length} bytes")
    if len(data) < HEADER.size + length:
        return None, data
    return Message(data, []), data[HEADER.size + length :]
