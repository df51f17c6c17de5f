"""Classic BPF as seccomp uses it: the kernel's checks on a program, and what a program decides.

A simulator and not the kernel, because the kernel runs one architecture and kills who is wrong.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

LOAD, JUMP, RETURN, AND = 0x20, 0x05, 0x06, 0x54
EQUAL, GREATER, AT_LEAST, ANY_BIT = 0x15, 0x25, 0x35, 0x45
CONDITIONAL = (EQUAL, GREATER, AT_LEAST, ANY_BIT)
DATA_WORDS = 16
MOST_INSTRUCTIONS = 4096


class Instruction(NamedTuple):
    """struct sock_filter."""

    code: int
    true: int
    false: int
    value: int


class Call(NamedTuple):
    """What a filter sees of a system call."""

    arch: int
    number: int
    arguments: tuple[int, ...]


Program = list[Instruction]


def decode(program: bytes, order: str = "<") -> Program:
    return [Instruction(*fields) for fields in struct.iter_unpack(f"{order}HBBI", program)]


def check(program: Program) -> None:
    """What bpf_check_classic and seccomp_check_filter refuse; raises ValueError."""
    length = len(program)
    if not 0 < length <= MOST_INSTRUCTIONS:
        raise ValueError(f"{length} instructions")
    for place, (code, true, false, value) in enumerate(program):
        left = length - place - 1
        if code in CONDITIONAL:
            bad = true >= left or false >= left
        elif code == JUMP:
            bad = value >= left
        elif code == LOAD:
            bad = value % 4 != 0 or value >= 4 * DATA_WORDS
        else:
            bad = code not in (RETURN, AND)
        if bad:
            raise ValueError(f"instruction {place}: {program[place]}")
    if program[-1].code != RETURN:
        raise ValueError("the last instruction does not return")


def decide(program: Program, call: Call, order: str = "<") -> int:
    """The action the program returns for a call."""
    number = call.number & 0xFFFFFFFF
    data = struct.unpack(
        f"{order}{DATA_WORDS}I", struct.pack(f"{order}IIQ6Q", number, call.arch, 0, *call.arguments)
    )
    place = accumulator = 0
    while True:
        code, true, false, value = program[place]
        place += 1
        if code == EQUAL:
            place += true if accumulator == value else false
        elif code == AT_LEAST:
            place += true if accumulator >= value else false
        elif code == GREATER:
            place += true if accumulator > value else false
        elif code == LOAD:
            accumulator = data[value >> 2]
        elif code == RETURN:
            return value
        elif code == JUMP:
            place += value
        elif code == AND:
            accumulator &= value
        elif code == ANY_BIT:
            place += true if accumulator & value else false
        else:
            raise ValueError(f"instruction {place - 1}: {program[place - 1]}")
