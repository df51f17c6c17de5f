"""program: jumps of any distance, in both byte orders."""

from __future__ import annotations

import pytest

from pyruntime.seccomp.program import AT_LEAST, EQUAL, Program
from tests.lib import bpf


@pytest.mark.parametrize("between", [0, 253, 254, 255, 256, 257, 300, 3000])
@pytest.mark.parametrize("order", ["<", ">"])
def test_far_jumps(between: int, order: str) -> None:
    program = Program()
    far = program.leave(1)
    label = far
    for number in range(between):
        label = program.compare(EQUAL, number + 10, program.leave(number + 10), far)
    program.load(0, program.compare(AT_LEAST, 5, far, program.leave(2)))
    assert label <= len(program.code)
    instructions = bpf.decode(program.assemble(big_endian=order == ">"), order)
    if between < 2000:
        bpf.check(instructions)
    for number, action in ((4, 2), (5, 1), (0xFFFFFFFF, 1)):
        assert bpf.decide(instructions, bpf.Call(0, number, (0,) * 6), order) == action


def test_near_returns_are_shared() -> None:
    program = Program()
    assert program.leave(7) == program.leave(7)
    assert len(program.code) == 1


def test_a_load_before_an_earlier_place_jumps() -> None:
    program = Program()
    first = program.leave(1)
    program.leave(2)
    program.load(0, first)
    instructions = bpf.decode(program.assemble(big_endian=False))
    assert bpf.decide(instructions, bpf.Call(0, 0, (0,) * 6)) == 1


@pytest.mark.parametrize(
    "instructions",
    [
        [],
        [bpf.Instruction(bpf.RETURN, 0, 0, 0)] * 4097,
        [bpf.Instruction(bpf.EQUAL, 0, 1, 0), bpf.Instruction(bpf.RETURN, 0, 0, 0)],
        [bpf.Instruction(bpf.JUMP, 0, 0, 1), bpf.Instruction(bpf.RETURN, 0, 0, 0)],
        [bpf.Instruction(bpf.LOAD, 0, 0, 66), bpf.Instruction(bpf.RETURN, 0, 0, 0)],
        [bpf.Instruction(0x99, 0, 0, 0), bpf.Instruction(bpf.RETURN, 0, 0, 0)],
        [bpf.Instruction(bpf.LOAD, 0, 0, 0)],
    ],
)
def test_the_checker_refuses_what_the_kernel_would(instructions: bpf.Program) -> None:
    with pytest.raises(ValueError):
        bpf.check(instructions)
