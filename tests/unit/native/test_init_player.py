"""The init as an interpreter of tapes: small operations, jumps, failures, words with the host, exec."""

from __future__ import annotations

import os
from typing import Any

import pytest

from pyruntime.kernel.native import lib
from pyruntime.plan.step import (
    END,
    At,
    Buffer,
    Reg,
    Step,
    assign,
    decimal,
    expect,
    jump,
    load,
    store,
    sys,
)
from pyruntime.plan.tape import Tape
from tests.lib.tape_runner import (
    FAILED,
    HANDED,
    RAN_OUT,
    failure,
    play,
)

EPERM, ENOENT, EBADF, ENOSYS, EBADMSG = 1, 2, 9, 38, 74


def shown(paper: Any, *ops: Any, size: int = 64, buffer: Buffer | None = None) -> bytes:
    """Plays the operations and returns the buffer they worked on."""
    room = buffer or Buffer(size)
    code, message = play([*ops, sys(lib.NR_write, HANDED, room, size)], fds=[paper.fileno()])
    assert (code, message) == (RAN_OUT, None)
    paper.seek(0)
    return bytes(paper.read())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, b"0"),
        (7, b"7"),
        (-1, b"-1"),
        ((1 << 63) - 1, b"9223372036854775807"),
        (-(1 << 63), b"-9223372036854775808"),
    ],
)
def test_decimal(paper: Any, value: int, text: bytes) -> None:
    room = Buffer(b"#" * 64)
    found = shown(paper, decimal(At(room, 3), value), buffer=room)
    assert found[3:].split(b"\0")[0] == text
    assert found[:3] == b"###"


def test_decimal_needs_room() -> None:
    assert failure(jump(0), decimal(At(Buffer(16), 15), 5)) == (1, EBADMSG)


@pytest.mark.parametrize("width", [1, 2, 4, 8])
def test_store_touches_its_bytes_only(paper: Any, width: int) -> None:
    room = Buffer(b"\xff" * 16)
    found = shown(paper, store(At(room, 4), 0x0807060504030201, width), buffer=room, size=16)
    assert found == b"\xff" * 4 + bytes(range(1, width + 1)) + b"\xff" * (12 - width)


@pytest.mark.parametrize("width", [0, 3, 16, -1, 1 << 40])
def test_odd_widths_are_refused(width: int) -> None:
    room, out = Buffer(64), Reg("out")
    assert failure(store(room, 1, width)) == (0, EBADMSG)
    assert failure(load(room, width, out)) == (0, EBADMSG)
    assert failure(expect(room, 1, width, errno=EPERM)) == (0, EBADMSG)


@pytest.mark.parametrize("width", [1, 2, 4, 8])
@pytest.mark.parametrize("data", [b"\x81\x82\x83\x84\x85\x86\x87\x88", b"\xff" * 8, bytes(8)])
def test_load_is_unsigned(paper: Any, width: int, data: bytes) -> None:
    """A value with the top bit set is a value and no errno, also with eight bytes."""
    room, target, out = Buffer(data), Buffer(64), Reg("out")
    found = shown(paper, load(room, width, out), store(target, out), buffer=target)
    assert found[:8] == data[:width].ljust(8, b"\0")


@pytest.mark.parametrize("value", [0, -1, -74, 1 << 62, -(1 << 63)])
def test_set_takes_any_number(paper: Any, value: int) -> None:
    target, out = Buffer(64), Reg("out")
    found = shown(paper, assign(out, value), store(target, out), buffer=target)
    assert int.from_bytes(found[:8], "little", signed=True) == value


@pytest.mark.parametrize("place", ["store", "load", "expect"])
def test_nothing_beyond_the_data(place: str) -> None:
    """The data ends eight bytes after the buffer at most; a buffer kind cannot begin beyond it."""
    edge = At(Buffer(64), 71)
    op = {"store": store(edge, 1), "load": load(edge, 8, Reg("r")), "expect": expect(edge, 1)}
    assert failure(op[place])[1] == EBADMSG


@pytest.mark.parametrize("place", ["store", "load", "expect", "decimal"])
def test_a_number_is_no_buffer(place: str) -> None:
    made = {
        "store": store(4096, 1),
        "load": load(4096, 8, Reg("r")),
        "decimal": decimal(4096, 1),
        "expect": expect(4096, 1, errno=EPERM),
    }
    wanted = EPERM if place == "expect" else EBADMSG  # expect takes a number as the value itself
    assert failure(made[place])[1] == wanted


def taken(*ops: Any) -> str:
    """Which of the marks a tape passed, and the errno it failed with: `ab!1`."""
    reader, writer = os.pipe()
    marks = [sys(lib.NR_write, HANDED, op, 1) if isinstance(op, str) else op for op in ops]
    try:
        code, message = play(Tape([Step(0, "", "", marks)]).bytes, fds=[writer])
        os.write(writer, b"." if message is None else b"!%d" % message.number)
        assert code == (RAN_OUT if message is None else FAILED)
        return os.read(reader, 4096).decode().rstrip(".")
    finally:
        os.close(reader)
        os.close(writer)


def test_expect_passes_skips_or_fails() -> None:
    reg = Reg("r")
    five = assign(reg, 5)
    assert taken(five, expect(reg, 5, skip=1), "a", "b") == "ab"
    assert taken(five, expect(reg, 6, skip=1), "a", "b") == "b"
    assert taken(five, expect(reg, 6, skip=END), "a", "b") == ""
    assert taken(five, expect(reg, 6, errno=EPERM), "a") == f"!{EPERM}"
    assert taken(five, expect(reg, 5, errno=EPERM), "a") == "a"


def test_expect_masks() -> None:
    room = Buffer(b"\xed\x41")
    assert taken(expect(room, 0x4000, 2, mask=0xF000, errno=1), "a") == "a"
    assert taken(expect(room, 0x8000, 2, mask=0xF000, errno=1), "a") == "!1"
    assert taken(expect(room, 0xED, 1, errno=1), "a") == "a"


def test_expect_compares_registers() -> None:
    one, other = Reg("one"), Reg("other")
    both = [assign(one, -1), assign(other, -1)]
    assert taken(*both, expect(one, other, errno=1), "a") == "a"


def test_jumps_go_forward_over_whole_instructions() -> None:
    assert taken(jump(2), "a", sys(lib.NR_close, -1), "b", jump(END), "c") == "b"


def test_accepted_errnos_skip() -> None:
    call = sys(lib.NR_close, -1, ok=(ENOENT, EBADF), skip=1)
    assert taken(call, "a", "b") == "b"
    assert taken(sys(lib.NR_close, -1, ok=(ENOENT,), skip=1), "a") == f"!{EBADF}"
    assert taken(sys(lib.NR_umask, 0, ok=(EBADF,), skip=1), "a", "b") == "ab", (
        "success skips nothing"
    )


def test_a_failed_call_leaves_its_register_alone() -> None:
    reg = Reg("r")
    ops = [
        assign(reg, 7),
        sys(lib.NR_close, -1, out=reg, ok=(EBADF,)),
        expect(reg, 7, errno=1),
        "a",
    ]
    assert taken(*ops) == "a"


def test_registers_begin_as_no_descriptor() -> None:
    assert taken(expect(Reg("unset"), -1, errno=1), "a") == "a"


def test_the_failing_step_is_named() -> None:
    assert failure(jump(0), jump(0), sys(lib.NR_close, -1)) == (2, EBADF)


@pytest.mark.parametrize(
    "name", "ptrace process_vm_writev kexec_load init_module bpf mprotect kill".split()
)
def test_forbidden_calls_are_not_played(name: str) -> None:
    numbers = {
        "ptrace": 101, "process_vm_writev": 311, "kexec_load": 246, "init_module": 175, "bpf": 321,
        "mprotect": 10, "kill": 62,
    }  # fmt: skip
    if os.uname().machine != "x86_64":
        numbers = {"ptrace": 117, "process_vm_writev": 271, "kexec_load": 104, "init_module": 105,
                   "bpf": 280, "mprotect": 226, "kill": 129}  # fmt: skip
    assert failure(sys(numbers[name])) == (0, ENOSYS)


def test_the_log_of_a_file_system_context_explains() -> None:
    """fsopen needs privileges; any descriptor with text serves to show who reads it."""
    reader, writer = os.pipe()
    os.write(writer, b"e tmpfs: Unknown parameter 'x'\n")
    log = Reg("log")
    ops = [assign(log, HANDED), sys(lib.NR_close, -1, log=log)]
    try:
        code, message = play(ops, fds=[reader])
    finally:
        os.close(reader)
        os.close(writer)
    assert code == FAILED and message is not None
    assert message.text == b"e tmpfs: Unknown parameter 'x'\n"


def test_nobody_may_look_into_it() -> None:
    get_dumpable, found = 3, Reg("dumpable")
    call = sys(lib.NR_prctl, get_dumpable, out=found)
    assert taken(call, expect(found, 0, errno=1), "a") == "a"
