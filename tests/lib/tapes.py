"""Reads a tape back, by native/init/tape.h alone: what the init would refuse at its door is refused here too.

Independent of the encoder on purpose: two readings of one header that agree are worth more than one.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

MAGIC, VERSION = 0x45504154, 1
REGISTERS, NO_REGISTER, ARGUMENTS = 0xFFFF, 0xFFFF, 6
LIMIT = 16 << 20
VALUE, REGISTER, BUFFER = 0, 1, 2

HEADER = struct.Struct("<6I")
HEAD = struct.Struct("<BBH4sHHHHII")
NAMES = (
    "SYSCALL STORE LOAD EXPECT JUMP SET DECIMAL RESOLVE SYNC HOME LOOKUP HOOK WAIT EXEC CLONE COPY"
).split()


class BadTape(Exception):
    """The init would not play this."""


@dataclass(frozen=True)
class Argument:
    """What stands on the tape: a number, the number of a register, or an offset in the data."""

    kind: int
    value: int


@dataclass(frozen=True)
class Instruction:
    op: int
    args: tuple[Argument, ...]
    accepted: tuple[int, ...]
    step: int
    skip: int
    out: int
    log: int
    nr: int
    offset: int
    """Of its first byte on the tape."""

    @property
    def name(self) -> str:
        return NAMES[self.op]


@dataclass(frozen=True)
class Tape:
    instructions: tuple[Instruction, ...]
    relocations: tuple[int, ...]
    slots: tuple[tuple[int, int], ...]
    data: bytes
    data_offset: int

    def text(self, argument: Argument) -> bytes:
        """The string an argument or a relocated word points at, without its NUL."""
        assert argument.kind == BUFFER, argument
        return self.string(argument.value)

    def string(self, offset: int) -> bytes:
        return self.data[offset : self.data.index(0, offset)]

    def word(self, offset: int) -> int:
        return int.from_bytes(self.data[offset : offset + 8], "little")

    def strings(self, offset: int) -> list[bytes]:
        """A NULL-ended list such as argv."""
        found = []
        while offset in self.relocations:  # the word itself may be 0: the data's first string
            found.append(self.string(self.word(offset)))
            offset += 8
        assert not self.word(offset), "the list ends in no NULL"
        return found

    def of_step(self, number: int) -> list[Instruction]:
        return [entry for entry in self.instructions if entry.step == number]


def signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def decode(tape: bytes) -> Tape:
    """The parts of a tape; BadTape where the init's checks say no."""
    if not HEADER.size <= len(tape) <= LIMIT:
        raise BadTape(f"{len(tape)} bytes")
    magic, version, size, relocations, slots, data_size = HEADER.unpack_from(tape)
    if (magic, version) != (MAGIC, VERSION):
        raise BadTape("magic or version")
    after_insns = HEADER.size + size
    after_relocations = after_insns + (relocations * 4 + 7) // 8 * 8
    start = after_relocations + slots * 8
    if start + data_size != len(tape) or not data_size or size % 8 or tape[-1]:
        raise BadTape("sizes or the end")
    found = Tape(
        tuple(_instructions(tape, HEADER.size, after_insns)),
        struct.unpack_from(f"<{relocations}I", tape, after_insns),
        tuple(struct.iter_unpack("<II", tape[after_relocations:start])),
        tape[start:],
        start,
    )
    _check_places(found)
    return found


def read_instructions(tape: bytes) -> Sequence[Instruction]:
    """What can be read of a damaged tape."""
    if len(tape) < HEADER.size:
        raise BadTape("no head")
    end = HEADER.size + HEADER.unpack_from(tape)[2]
    return _instructions(tape, HEADER.size, min(end, len(tape)))


def _instructions(tape: bytes, at: int, end: int) -> Sequence[Instruction]:
    found = []
    while at < end:
        if end - at < HEAD.size:
            raise BadTape("a torn instruction")
        op, count, kinds, accepted, step, skip, out, log, nr, unused = HEAD.unpack_from(tape, at)
        if count > ARGUMENTS or end - at < HEAD.size + 8 * count or op >= len(NAMES) or unused:
            raise BadTape(f"instruction at {at}")
        values = struct.unpack_from(f"<{count}q", tape, at + HEAD.size)
        args = tuple(Argument(kinds >> 2 * n & 3, value) for n, value in enumerate(values))
        errnos = tuple(number for number in accepted if number)
        found.append(Instruction(op, args, errnos, step, skip, out, log, nr, at))
        at += HEAD.size + 8 * count
    return found


def _check_places(tape: Tape) -> None:
    size = len(tape.data)
    for offset, length in tape.slots:
        if offset >= size or length >= size - offset:
            raise BadTape("a slot outside the data")
    for place in tape.relocations:
        if place % 8 or place + 8 > size or tape.word(place) >= size:
            raise BadTape("a relocation outside the data")
    for entry in tape.instructions:
        for argument in entry.args:
            if argument.kind == REGISTER and not 0 <= argument.value < REGISTERS:
                raise BadTape("no such register")
            if argument.kind == BUFFER and not 0 <= argument.value < size:
                raise BadTape("a buffer outside the data")
            if argument.kind > BUFFER:
                raise BadTape("no such kind")
        for register in (entry.out, entry.log):
            if register != NO_REGISTER and register >= REGISTERS:
                raise BadTape("no such register")
