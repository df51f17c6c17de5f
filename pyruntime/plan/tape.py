"""Encodes the init's steps for native/init (the layout is tape.h): instructions, relocations, late slots, data.

Strings and bytes become NUL-ended constants (equal ones once), Buffers writable room, Pointers blocks of words whose
addresses the init relocates. Everything is range-checked here: a number that does not fit is our bug, never a
silently different tape (CVE-2021-43784).
"""

from __future__ import annotations

from _struct import Struct

from pyruntime.errors import InternalError
from pyruntime.plan.step import At, Buffer, Pointers, Reg

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pyruntime.plan.step import Step

MAGIC, VERSION = 0x45504154, 1
LIMIT = 16 << 20
REGISTERS = 0xFFFF
NO_REGISTER = 0xFFFF
VALUE, REGISTER, BUFFER = 0, 1, 2
ARGUMENTS = 6

_HEADER = Struct("<6I")
# op, count, kinds, accepted errnos, step, skip, out, log, nr, unused; then the arguments
_INSNS = tuple(Struct(f"<BBHIHHHHII{count}q") for count in range(ARGUMENTS + 1))
_ROW = Struct("<II")
_MASK = (1 << 64) - 1


class Tape:
    """The encoded bytes, and the numbers of the late slots by buffer."""

    __slots__ = (
        "bytes",
        "slots",
        "_data",
        "_size",
        "_places",
        "_relocations",
        "_registers",
        "_rows",
        "_slot_rows",
    )

    def __init__(self, steps: Sequence[Step]) -> None:
        self.slots: dict[Buffer, int] = {}
        self._data: list[bytes] = []
        self._size = 0
        self._places: dict[Any, int] = {}
        self._relocations: list[int] = []
        self._registers: dict[Reg | None, int] = {None: NO_REGISTER}
        self._rows: list[bytes] = []
        self._slot_rows: list[bytes] = []
        for number, step in enumerate(steps):
            self._add_step(number, step)
        self.bytes = self._pack()

    def _add_step(self, number: int, step: Step) -> None:
        """The hottest loop of `create`: hundreds of instructions, so lookups are kept short."""
        rest = len(step.ops)
        rows, places, registers = self._rows, self._places, self._registers
        for op, nr, args, ok, skip, out, log in step.ops:
            rest -= 1
            if skip > rest:
                raise InternalError(f"step {step.text}: an instruction jumps out of its step")
            kinds, values = 0, list(args)
            for index, arg in enumerate(args):
                kind = arg.__class__
                if kind is int:
                    continue
                if kind is Reg:
                    kinds |= REGISTER << 2 * index
                    values[index] = registers[arg] if arg in registers else self._register(arg)
                else:
                    kinds |= BUFFER << 2 * index
                    values[index] = places[arg] if arg in places else self._place(arg)
            if out is not None and out not in registers:
                self._register(out)
            count = len(values)
            rows.append(
                _INSNS[count].pack(
                    op,
                    count,
                    kinds,
                    ok,
                    number,
                    skip if skip >= 0 else rest,
                    registers[out],
                    registers[log],
                    nr,
                    0,
                    *values,
                )
            )

    def _register(self, reg: Reg) -> int:
        number = self._registers[reg] = len(self._registers) - 1
        if number >= REGISTERS:
            raise InternalError("a tape has too many registers")
        return number

    def _append(self, data: bytes, align: int = 1) -> int:
        room = -self._size % align
        if room:
            self._data.append(bytes(room))
        offset = self._size + room
        self._data.append(data)
        self._size = offset + len(data)
        return offset

    def _place(self, arg: Any) -> int:
        """The offset of a piece of data, which is added when it is seen for the first time."""
        kind = arg.__class__
        known = self._places.get(arg)
        if known is not None:
            return known
        if kind is str:
            offset = self._append(arg.encode("utf-8", "surrogateescape") + b"\0")
        elif kind is At:
            offset = self._place(arg.buffer) + arg.offset
        elif kind is bytes:
            offset = self._append(arg + b"\0", 8)
        elif kind is Buffer:
            offset = self._append(arg.data + b"\0", 8)
            if arg.late:
                self.slots[arg] = len(self._slot_rows)
                self._slot_rows.append(_ROW.pack(offset, len(arg.data)))
        elif kind is Pointers:
            offset = self._place_pointers(arg)
        else:
            raise InternalError(f"a tape cannot hold {kind.__name__}")
        self._places[arg] = offset
        return offset

    def _place_pointers(self, block: Pointers) -> int:
        words, relative = [], []
        for word in block.words:
            if word.__class__ is int:
                words.append((word & _MASK).to_bytes(8, "little"))
            else:
                relative.append(8 * len(words))
                words.append(self._place(word).to_bytes(8, "little"))
        offset = self._append(b"".join(words), 8)
        self._relocations += [offset + place for place in relative]
        return offset

    def _pack(self) -> bytes:
        self._append(b"\0")
        self._append(b"", 8)
        insns = b"".join(self._rows)
        relocations = b"".join([offset.to_bytes(4, "little") for offset in self._relocations])
        relocations += bytes(-len(relocations) % 8)
        header = _HEADER.pack(
            MAGIC, VERSION, len(insns), len(self._relocations), len(self._slot_rows), self._size
        )
        tape = b"".join([header, insns, relocations, *self._slot_rows, *self._data])
        if len(tape) > LIMIT:
            raise InternalError("a tape is longer than its limit")
        return tape
