"""The encoder: what goes onto a tape comes back as it was, or is refused; nothing is cut to fit (R-29)."""

from __future__ import annotations

import random
import re
import struct
from pathlib import Path

import pytest

from pyruntime.errors import InternalError
from pyruntime.plan import step as steps
from pyruntime.plan import tape as encoder
from pyruntime.plan.step import (
    END,
    At,
    Buffer,
    Pointers,
    Reg,
    Step,
    assign,
    builtin,
    decimal,
    expect,
    jump,
    load,
    resolve,
    store,
    sys,
)
from pyruntime.plan.tape import Tape
from tests.lib import tapes
from tests.lib.tapes import BUFFER, REGISTER, VALUE, Argument

HEADER = (Path(__file__).resolve().parents[3] / "native/init/tape.h").read_text()


def encode(*groups: list[object]) -> tapes.Tape:
    plan = [Step(0, "", "step", ops) for ops in groups]  # type: ignore[arg-type]
    return tapes.decode(Tape(plan).bytes)


def test_the_numbers_are_those_of_the_header() -> None:
    names = re.findall(r"^\tOP_(\w+)(?: = 0)?,", HEADER, re.MULTILINE)
    assert names == [*tapes.NAMES, "COUNT"]
    assert [getattr(steps, name) for name in tapes.NAMES] == list(range(len(tapes.NAMES)))
    how = {name: int(value) for name, value in re.findall(r"HOW_(\w+) = (\d+)", HEADER)}
    assert how == {name: getattr(steps, name) for name in how}
    defines = dict(re.findall(r"#define (\w+) +(.+)", HEADER))
    assert int(defines["TAPE_MAGIC"].split("u")[0], 16) == encoder.MAGIC
    assert int(defines["TAPE_VERSION"]) == encoder.VERSION
    assert int(defines["TAPE_REGISTERS"].rstrip("u"), 16) == encoder.REGISTERS
    assert int(defines["ARGUMENTS"]) == encoder.ARGUMENTS
    assert int(defines["NO_REGISTER"].rstrip("u"), 16) == encoder.NO_REGISTER
    assert defines["TAPE_LIMIT"] == "(16u << 20)" and encoder.LIMIT == 16 << 20


def test_an_empty_plan_is_a_tape() -> None:
    tape = encode()
    assert (tape.instructions, tape.relocations, tape.slots) == ((), (), ())
    assert len(tape.data) % 8 == 0


def test_a_system_call_comes_back() -> None:
    out, log = Reg("out"), Reg("log")
    first = sys(7, 1, out=log)
    tape = encode(
        [first, sys(257, -100, "/etc", 0o2000000, 0, ok=(2, 20), skip=1, out=out, log=log), jump(0)]
    )
    call = tape.instructions[1]
    assert (call.op, call.nr, call.accepted, call.skip) == (steps.SYSCALL, 257, (2, 20), 1)
    assert call.args[0] == Argument(VALUE, -100)
    assert tape.text(call.args[1]) == b"/etc"
    assert call.log == tape.instructions[0].out != call.out


def test_every_operation_comes_back() -> None:
    reg, room = Reg("r"), Buffer(64)
    ops = [
        sys(39, out=reg),
        store(At(room, 8), reg, 4),
        load(At(room, 8), 4, reg),
        expect(room, 5, 2, mask=0xFF, errno=1, skip=2),
        jump(END),
        assign(reg, -1),
        decimal(room, reg),
        resolve(3, "/a/b", reg, steps.MAKE_LIKE, 0o644, 9, ok=(2,), skip=END),
        *[builtin(op, room) for op in range(steps.SYNC, steps.EXEC + 1)],
    ]
    found = encode(ops).instructions
    assert [entry.op for entry in found] == list(range(14))
    assert found[0].nr == 39 and found[0].out == 0
    assert [a.kind for a in found[1].args] == [BUFFER, REGISTER, VALUE]
    assert found[1].args[0].value == found[3].args[0].value + 8
    assert [a.value for a in found[3].args[1:]] == [2, 0xFF, 5, 1]
    assert found[4].skip == 9
    assert found[7].args[2:] == tuple(Argument(VALUE, n) for n in (steps.MAKE_LIKE, 0o644, 9))
    assert (found[7].skip, found[7].accepted) == (6, (2,))


@pytest.mark.parametrize("length", [0, 1, 255, 256, 65535, 65536, 2 << 20])
@pytest.mark.parametrize("kind", ["str", "bytes", "buffer", "pointer"])
def test_lengths(kind: str, length: int) -> None:
    text = "x" * length
    wanted = text.encode()
    made = {"str": text, "bytes": wanted, "buffer": Buffer(wanted), "pointer": Pointers((text, 0))}
    tape = encode([sys(1, made[kind], "behind")])
    first, second = tape.instructions[0].args
    found = tape.strings(first.value)[0] if kind == "pointer" else tape.text(first)
    assert found == wanted
    assert tape.text(second) == b"behind"


def test_bytes_may_hold_nuls() -> None:
    tape = encode([sys(1, b"a\0b\0", b"\0" * 5)])
    first, second = tape.instructions[0].args
    assert tape.data[first.value : first.value + 5] == b"a\0b\0\0"
    assert tape.data[second.value : second.value + 6] == bytes(6)


def test_text_that_is_no_utf_8_stays_as_it_was() -> None:
    raw = bytes(range(1, 256))
    tape = encode([sys(1, raw.decode("utf-8", "surrogateescape"))])
    assert tape.text(tape.instructions[0].args[0]) == raw


@pytest.mark.parametrize("number", [0, 1, -1, -100, 1 << 31, -(1 << 31), (1 << 63) - 1, -(1 << 63)])
def test_numbers(number: int) -> None:
    assert encode([sys(1, number)]).instructions[0].args == (Argument(VALUE, number),)


@pytest.mark.parametrize("number", [1 << 63, -(1 << 63) - 1, 1 << 64])
def test_a_number_that_does_not_fit_is_refused(number: int) -> None:
    with pytest.raises(struct.error):
        encode([sys(1, number)])


@pytest.mark.parametrize("number", [(1 << 64) - 1, 1 << 63, 0, -1])
def test_words_of_a_block_are_64_bits(number: int) -> None:
    tape = encode([sys(1, Pointers((number, "x")))])
    at = tape.instructions[0].args[0].value
    assert tape.word(at) == number & (1 << 64) - 1
    assert tape.relocations == (at + 8,)


@pytest.mark.parametrize("errno", [256, -1, 4095])
def test_an_errno_that_does_not_fit_is_refused(errno: int) -> None:
    with pytest.raises(ValueError):
        sys(1, ok=(errno,))


def test_more_than_four_errnos_are_refused() -> None:
    with pytest.raises((OverflowError, struct.error)):
        encode([sys(1, ok=(1, 2, 3, 4, 5))])


def test_more_than_six_arguments_are_refused() -> None:
    with pytest.raises(IndexError):
        encode([sys(1, *range(7))])


@pytest.mark.parametrize("skip", [2, 3, 65535])
def test_a_jump_out_of_the_step_is_refused(skip: int) -> None:
    with pytest.raises(InternalError):
        encode([jump(skip), jump(0)], [jump(0)] * 5)


def test_the_end_of_a_step_is_within_reach() -> None:
    tape = encode([jump(1), jump(END), jump(END)], [jump(END)])
    assert [entry.skip for entry in tape.instructions] == [1, 1, 0, 0]
    assert [entry.step for entry in tape.instructions] == [0, 0, 0, 1]


def test_registers_have_a_limit() -> None:
    regs = [Reg(str(number)) for number in range(encoder.REGISTERS)]
    used = encode([assign(reg, 0) for reg in regs])
    assert [entry.out for entry in used.instructions] == list(range(encoder.REGISTERS))
    with pytest.raises(InternalError, match="registers"):
        encode([assign(reg, 0) for reg in [*regs, Reg("one more")]])


def test_a_tape_has_a_limit() -> None:
    with pytest.raises(InternalError, match="limit"):
        encode([sys(1, Buffer(encoder.LIMIT))])


@pytest.mark.parametrize("thing", [1.5, None, [], ("a",), {}])
def test_what_is_no_argument_is_refused(thing: object) -> None:
    with pytest.raises((InternalError, TypeError)):
        encode([sys(1, thing)])


def test_equal_strings_stand_there_once() -> None:
    tape = encode([sys(1, "same", "same")], [sys(2, Pointers(("same", 0)))])
    first, second = tape.instructions[0].args
    assert first == second
    assert tape.data.count(b"same") == 1


def test_buffers_are_never_shared() -> None:
    one, other = Buffer(b"same"), Buffer(b"same")
    tape = encode([sys(1, one, other, one)])
    first, second, third = tape.instructions[0].args
    assert first != second and first == third


def test_late_values_are_numbered_and_bounded() -> None:
    one, other = Buffer(100, late=True), Buffer(b"HOME=/", late=True)
    made = Tape([Step(0, "", "", [sys(1, other, one, Buffer(5))])])
    tape = tapes.decode(made.bytes)
    assert made.slots == {other: 0, one: 1}
    assert [size for _, size in tape.slots] == [6, 100]
    for number, argument in ((0, 0), (1, 1)):
        assert tape.slots[number][0] == tape.instructions[0].args[argument].value
    for offset, size in tape.slots:
        assert tape.data[offset + size] == 0, "the NUL of a full slot lies in the slot's own room"


def test_a_late_value_inside_a_block_is_the_slot() -> None:
    late = Buffer(10, late=True)
    tape = encode([sys(1, Pointers((late, 0)))])
    at = tape.instructions[0].args[0].value
    assert tape.word(at) == tape.slots[0][0]


def test_blocks_within_blocks() -> None:
    tape = encode([sys(1, Pointers((5, Pointers(("a", "b", 0)), At(Buffer(16), 4))))])
    at = tape.instructions[0].args[0].value
    assert tape.word(at) == 5
    assert tape.strings(tape.word(at + 8)) == [b"a", b"b"]
    assert at % 8 == 0 and tape.word(at + 8) % 8 == 0
    assert {at + 8, at + 16} <= set(tape.relocations)


def test_blocks_and_buffers_are_aligned() -> None:
    tape = encode([sys(1, "odd", Buffer(1), "odd one", b"x", "o", Pointers((1,)))])
    kinds = tape.instructions[0].args
    assert all(kinds[n].value % 8 == 0 for n in (1, 3, 5))


def random_argument(rng: random.Random) -> object:
    return rng.choice(
        [
            lambda: rng.randrange(-(1 << 63), 1 << 63),
            lambda: "".join(chr(rng.randrange(1, 0x500)) for _ in range(rng.randrange(40))),
            lambda: rng.randbytes(rng.randrange(40)),
            lambda: Buffer(rng.randbytes(rng.randrange(1, 40)), late=rng.random() < 0.2),
        ]
    )()


def same(tape: tapes.Tape, argument: Argument, wanted: object) -> bool:
    if isinstance(wanted, int):
        return argument == Argument(VALUE, wanted)
    if isinstance(wanted, str):
        return tape.text(argument) == wanted.encode()
    data = wanted.data if isinstance(wanted, Buffer) else wanted
    assert isinstance(data, bytes)
    return tape.data[argument.value : argument.value + len(data) + 1] == data + b"\0"


@pytest.mark.parametrize("seed", range(50))
def test_random_plans_come_back(seed: int) -> None:
    rng = random.Random(seed)
    plan = [[[random_argument(rng) for _ in range(rng.randrange(7))] for _ in range(rng.randrange(1, 9))]
            for _ in range(rng.randrange(1, 9))]  # fmt: skip
    tape = encode(*[[sys(n, *args) for n, args in enumerate(ops)] for ops in plan])
    flat = [(number, nr, args) for number, ops in enumerate(plan) for nr, args in enumerate(ops)]
    assert len(flat) == len(tape.instructions)
    for entry, (number, nr, args) in zip(tape.instructions, flat, strict=True):
        assert (entry.step, entry.nr) == (number, nr)
        assert all(same(tape, a, w) for a, w in zip(entry.args, args, strict=True))
