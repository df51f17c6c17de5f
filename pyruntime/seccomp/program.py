"""Writes a classic BPF program from its end to its beginning.

Backwards, because BPF only jumps forward: whoever is jumped to is then already there, every distance is
known when the jump is written, and a distance that does not fit the eight bits of a conditional jump gets
an unconditional one in between. A *label* is the number of instructions from a place to the program's end.
"""

from __future__ import annotations

import _struct

LOAD = 0x20  # A = 32 bits of seccomp_data at k
AND = 0x54
EQUAL = 0x15
GREATER = 0x25
AT_LEAST = 0x35
JUMP = 0x05
RETURN = 0x06

OFFSET_NUMBER = 0
OFFSET_ARCH = 4
OFFSET_ARGS = 16

FURTHEST = 255
MOST_INSTRUCTIONS = 4096  # BPF_MAXINSNS


class Program:
    """Instructions as 64-bit numbers in the order of little-endian struct sock_filter, last one first."""

    __slots__ = ("_returns", "code")

    def __init__(self) -> None:
        self.code: list[int] = []
        self._returns: dict[int, int] = {}

    def leave(self, value: int) -> int:
        """A `return value` near enough to jump to."""
        code = self.code
        label = self._returns.get(value)
        if label is None or len(code) - label > FURTHEST:
            code.append(RETURN | value << 32)
            self._returns[value] = label = len(code)
        return label

    def compare(self, operation: int, value: int, true: int, false: int) -> int:
        """Go to `true` if the accumulator compares, else to `false`."""
        code = self.code
        near = len(code) - FURTHEST
        if true < near or false < near:
            # The second jump moves the first one's place by one: both are made long, or none.
            code.append(JUMP | len(code) - false << 32)
            false = len(code)
            code.append(JUMP | len(code) - true << 32)
            true = len(code)
        here = len(code)
        code.append(operation | (here - true) << 16 | (here - false) << 24 | value << 32)
        return here + 1

    def load(self, offset: int, then: int) -> int:
        """Load, and go on at `then`, which is usually what was written last."""
        code = self.code
        if then != len(code):
            code.append(JUMP | len(code) - then << 32)
        code.append(LOAD | offset << 32)
        return len(code)

    def mask(self, bits: int) -> None:
        """Masks the accumulator before what was written last."""
        self.code.append(AND | bits << 32)

    def assemble(self, *, big_endian: bool) -> bytes:
        """struct sock_filter[] in the byte order of the machine it is for."""
        code = self.code[::-1]
        if not big_endian:
            return _struct.pack(f"<{len(code)}Q", *code)
        return b"".join(
            _struct.pack(">HBBI", word & 0xFFFF, word >> 16 & 0xFF, word >> 24 & 0xFF, word >> 32)
            for word in code
        )
