"""Steps: what a feature asks for, on either side, and the words for it.

An init step carries instructions for the tape (made by the functions below), a host step a callable. Both name the
moment, the property of config.json they come from (a JSON pointer) and what they do, for traces and for errors.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pyruntime.plan.host import HostSide

    Argument = int | str | bytes | "Reg" | "Buffer" | "At"
    Instruction = tuple[int, int, tuple[Any, ...], int, int, "Reg | None", "Reg | None"]

# The operations of native/init/tape.h, in its order.
(
    SYSCALL,
    STORE,
    LOAD,
    EXPECT,
    JUMP,
    SET,
    DECIMAL,
    RESOLVE,
    SYNC,
    HOME,
    LOOKUP,
    HOOK,
    WAIT,
    EXEC,
    CLONE,
    COPY,
) = range(16)

# How RESOLVE may make what is missing (native/init/tape.h).
MAKE_DIRECTORY, MAKE_FILE, MAKE_LIKE, NO_SYMLINKS, DIRECTORY = 1, 2, 4, 8, 16

END = -1
"""As `skip`: to the end of the step."""


class Step:
    """One thing to do. `failure`, when given, turns (errno, text of the init) into the error's last words."""

    __slots__ = ("moment", "pointer", "text", "ops", "run", "failure")

    def __init__(
        self,
        moment: int,
        pointer: str,
        text: str,
        ops: Sequence[Instruction] = (),
        run: Callable[[HostSide], None] | None = None,
        failure: Callable[[int, bytes], Exception] | None = None,
    ) -> None:
        self.moment = moment
        self.pointer = pointer
        self.text = text
        self.ops = ops
        self.run = run
        self.failure = failure


class Reg:
    """A register of the player: a descriptor or a 64-bit number it learns on the way."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Buffer:
    """Writable bytes on the tape; a late value when the host fills them through the socket."""

    __slots__ = ("data", "late")

    def __init__(self, data: bytes | int, late: bool = False) -> None:
        self.data = bytes(data)
        self.late = late


class At:
    """A place inside a buffer."""

    __slots__ = ("buffer", "offset")

    def __init__(self, buffer: Buffer, offset: int) -> None:
        self.buffer = buffer
        self.offset = offset


class Pointers:
    """A block of 64-bit words on the tape, some of them addresses of other pieces (argv, msghdr, a hook)."""

    __slots__ = ("words",)

    def __init__(self, words: Sequence[Any]) -> None:
        self.words = words


def accepted(ok: tuple[int, ...]) -> int:
    """Up to four errnos as the bytes of a word; tape.h."""
    return int.from_bytes(bytes(ok).ljust(4, b"\0"), "little")


def sys(
    nr: int,
    *args: Any,
    ok: tuple[int, ...] = (),
    skip: int = 0,
    out: Reg | None = None,
    log: Reg | None = None,
) -> Instruction:
    """A system call. An errno in `ok` counts as success and skips `skip` instructions; `log` is the file system
    context that knows why the call failed."""
    return (SYSCALL, nr, args, accepted(ok) if ok else 0, skip, out, log)


def store(buffer: Any, value: Any, width: int = 8) -> Instruction:
    return (STORE, 0, (buffer, value, width), 0, 0, None, None)


def load(buffer: Any, width: int, out: Reg) -> Instruction:
    return (LOAD, 0, (buffer, width), 0, 0, out, None)


def expect(
    source: Any, wanted: Any, width: int = 8, mask: int = -1, errno: int = 0, skip: int = 0
) -> Instruction:
    """Compares `source` (a register, or `width` bytes of a buffer) under `mask` with `wanted`. On a mismatch the step fails
    with `errno`; with errno 0 the next `skip` instructions are skipped instead."""
    return (EXPECT, 0, (source, width, mask, wanted, errno), 0, skip, None, None)


def jump(skip: int) -> Instruction:
    return (JUMP, 0, (), 0, skip, None, None)


def refuse(errno: int) -> Instruction:
    """Ends the step with that errno."""
    return expect(0, 1, errno=errno)


def when(
    tests: Instruction | list[Instruction],
    ops: Sequence[Instruction],
    otherwise: Sequence[Instruction] = (),
) -> list[Instruction]:
    """`ops` if every test holds, which is an `expect` without errno; else `otherwise`."""
    tests = [tests] if tests.__class__ is tuple else list(tests)  # type: ignore[arg-type]
    rest = len(tests) + len(ops) + bool(otherwise)
    made = []
    for test in tests:
        rest -= 1
        made.append(_skipping(test, rest))
    return [*made, *ops, *_in_place(otherwise)]


def unless(test: Instruction, ops: Sequence[Instruction]) -> list[Instruction]:
    """`ops` if the test does not hold."""
    return when(test, (), ops)


def attempt(ops: Sequence[Instruction], instead: Sequence[Instruction] = ()) -> list[Instruction]:
    """`ops` up to the first that fails with an errno it accepts (`ok`); then `instead`."""
    rest = len(ops) + bool(instead)
    made = []
    for op in ops:
        rest -= 1
        made.append(_skipping(op, rest) if op[3] and not op[4] else op)
    return [*made, *_in_place(instead)]


def _in_place(ops: Sequence[Instruction]) -> Sequence[Instruction]:
    return [jump(len(ops)), *ops] if ops else ()


def _skipping(op: Instruction, skip: int) -> Instruction:
    return (*op[:4], skip, *op[5:])


def assign(out: Reg, value: Any) -> Instruction:
    return (SET, 0, (value,), 0, 0, out, None)


def octal(buffer: Any, value: Any) -> Instruction:
    """The value in digits of base 8 and a NUL, 24 bytes at most, as modes are written."""
    return (DECIMAL, 0, (buffer, value, 8), 0, 0, None, None)


def decimal(buffer: Any, value: Any) -> Instruction:
    return (DECIMAL, 0, (buffer, value), 0, 0, None, None)


def resolve(
    root: Any,
    path: str,
    out: Reg,
    how: int = 0,
    mode: int = 0o755,
    model: Any = -1,
    ok: tuple[int, ...] = (),
    skip: int = 0,
) -> Instruction:
    """A path beneath `root` becomes an O_PATH descriptor; what is missing is made as `how` says."""
    return (RESOLVE, 0, (root, path, how, mode, model), accepted(ok) if ok else 0, skip, out, None)


def builtin(op: int, *args: Any, ok: tuple[int, ...] = (), skip: int = 0) -> Instruction:
    return (op, 0, args, accepted(ok) if ok else 0, skip, None, None)
