"""Plays damaged tapes on the real init and judges how it ends; run in namespaces of its own, without privileges.

    python -m tests.lib.tapefuzz SEED COUNT

Prints one JSON object: how often it ended in which way, and what it may never do: end by a signal, or not at all.
A raw system call may be flipped into one that waits (pause) or ends the process (exit): an init that waits in the
very call its tape asks for is counted and killed, one that spins or waits elsewhere is a failure.
"""

from __future__ import annotations

import collections
import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

from pyruntime.kernel.native import lib
from pyruntime.plan.step import (
    COPY,
    EXEC,
    HOME,
    HOOK,
    LOOKUP,
    MAKE_DIRECTORY,
    SYNC,
    WAIT,
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
)
from pyruntime.plan.step import sys as call
from pyruntime.plan.tape import Tape
from tests.lib import tapes
from tests.lib.patience import scaled
from tests.lib.tape_runner import REPORT, SOCKET, START, Stagehand

QUICK, SLOW = 0.5, scaled(2.0)
SYSCALL = 0


def every_operation() -> bytes:
    """A tape that comes to its end without privileges."""
    room, out, late = Buffer(64), Reg("out"), Buffer(40, late=True)
    request = Pointers(("/bin/true", Pointers(("true", 0)), Pointers((0,)), late, 0, 2000))
    any_errno = (1, 2, 13, 40)
    groups: list[list[Any]] = [
        [call(lib.NR_umask, 0o22, out=out), store(At(room, 8), out, 4), load(room, 8, out)],
        [expect(room, 0, 2, mask=0xFF, skip=1), jump(1), assign(out, -1), decimal(room, out)],
        [call(lib.NR_openat, lib.AT_FDCWD, "/", lib.O_PATH, 0, out=out)],
        [resolve(out, "/mnt/a/b", Reg("x"), MAKE_DIRECTORY, ok=any_errno), call(lib.NR_close, out)],
        [call(lib.NR_openat, lib.AT_FDCWD, "/etc/passwd", 0, 0, out=out)],
        [builtin(HOME, out, 0, room, 64), builtin(LOOKUP, "true", "/bin:/usr/bin", room, 64)],
        [builtin(COPY, -1, -1, 1, ok=(9,))],
        [builtin(SYNC, SOCKET, ord("S")), builtin(HOOK, request)],
        [builtin(WAIT, START, REPORT)],
        [builtin(EXEC, room, Pointers(("true", 0)), Pointers(("A=b", 0)), REPORT)],
    ]
    return Tape([Step(0, "", "", ops) for ops in groups]).bytes


def a_container() -> bytes:
    """What create writes; most of it fails early here, the checks at the door see all of it."""
    from tests.lib.plans import planned, spec

    document = spec(
        hostname="web",
        mounts=[{"destination": "/proc", "type": "proc"}],
        hooks={"createContainer": [{"path": "/bin/true"}]},
        linux__maskedPaths=["/proc/kcore"],
    )
    return Tape([step for step in planned(document).steps if step.ops]).bytes


def damaged(rng: random.Random, whole: bytes) -> bytes:
    """One to four flipped bits or replaced bytes, sometimes a cut or a doubled stretch."""
    tape = bytearray(whole)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        # The head and the instructions are a small part of the bytes and most of the meaning.
        limit = rng.choice((24, 600, len(tape)))
        at = rng.randrange(min(limit, len(tape)))
        tape[at] = rng.choice((tape[at] ^ 1 << rng.randrange(8), rng.randrange(256), 0, 255))
    kind = rng.random()
    if kind < 0.03:
        del tape[rng.randrange(len(tape)) :]
    elif kind < 0.05:
        at = rng.randrange(len(tape))
        tape[at:at] = tape[at : at + rng.randrange(64)]
    return bytes(tape)


def raw_numbers(tape: bytes) -> set[int]:
    """The system calls a tape asks for, as far as its instructions can be read."""
    try:
        found = tapes.read_instructions(tape)
    except tapes.BadTape:
        return set()
    return {entry.nr for entry in found if entry.op == SYSCALL}


def ending(stage: Stagehand, tape: bytes) -> str:
    """`exit N`, `asked to wait`, or what may not be."""
    stage.starter.send(b"s")
    stage.say("L", 0, b"{}")
    for _ in range(3):
        stage.say("G")
    stage.hang_up()
    if stage.is_running(QUICK):
        place = stage.whereabouts().split()
        state = Path(f"/proc/{stage.pid}/stat").read_text().rpartition(")")[2].split()[0]
        if state == "S" and place[0].isdigit() and int(place[0]) in raw_numbers(tape):
            return "asked to wait"
        if stage.is_running(SLOW):
            return f"hangs in {place} ({state})"
    code = stage.end()
    return f"exit {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def play(tape: bytes, program: str) -> str:
    with Stagehand(tape, program=program) as stage:
        try:
            return ending(stage, tape)
        except (BrokenPipeError, ConnectionResetError):
            code = stage.end()
            return f"exit {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def main(seed: int, count: int, program: str) -> None:
    # Damage finds other programs to execute; what they print is not ours to say.
    told = os.fdopen(os.dup(1), "w")
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1):
        os.dup2(nothing, fd)
    rng = random.Random(seed)
    bases = [every_operation(), a_container()]
    endings: collections.Counter[str] = collections.Counter()
    bad: list[list[str]] = []
    tried = [base[:cut] for base in bases for cut in range(0, len(base), 8)]
    tried += [damaged(rng, bases[rng.random() < 0.3]) for _ in range(count)]
    for tape in [bases[0], *tried]:
        how = play(tape, program)
        endings[how.split(" in ")[0]] += 1
        if how.startswith(("signal", "hangs")):
            bad.append([how, tape.hex()])
    whole = play(bases[0], program)
    json.dump({"endings": endings, "bad": bad, "whole": whole}, told)
    told.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
