"""The init's words with the host: late values, waiting for start, exec, and who may start it at all."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from pyruntime.kernel.native import lib
from pyruntime.plan.step import EXEC, SYNC, WAIT, Buffer, Pointers, Reg, assign, builtin, jump, sys
from tests.lib.tape_runner import (
    ABANDONED,
    FAILED,
    HANDED,
    RAN_OUT,
    REPORT,
    SOCKET,
    START,
    STRANGER,
    Stagehand,
)

ENOENT, EBADF, EBADMSG = 2, 9, 74


def test_sync_waits_for_go() -> None:
    with Stagehand([builtin(SYNC, SOCKET, ord("S"))]) as stage:
        assert stage.hear().type == "S"
        assert stage.is_running(0.05)
        stage.say("G")
        assert stage.end() == RAN_OUT


@pytest.mark.parametrize("number", [0, 7, 1 << 30])
def test_sync_tells_a_number(number: int) -> None:
    """A register's: the host takes the listener of a filter by it."""
    told = Reg("told")
    with Stagehand([assign(told, number), builtin(SYNC, SOCKET, ord("S"), told)]) as stage:
        assert stage.hear().number == number
        stage.say("G")
        assert stage.end() == RAN_OUT


def test_the_end_of_the_host_ends_the_init() -> None:
    with Stagehand([builtin(SYNC, SOCKET, ord("S"))]) as stage:
        assert stage.hear().type == "S"
        stage.hang_up()
        assert stage.end() == ABANDONED


def late(paper: Any, buffer: Buffer, *words: tuple[Any, ...]) -> tuple[int, bytes]:
    """A sync at which the host says these words; the status and what the slot then holds."""
    size = len(buffer.data) + 1
    ops = [builtin(SYNC, SOCKET, ord("S")), sys(lib.NR_write, HANDED, buffer, size)]
    with Stagehand(ops, fds=[paper.fileno()]) as stage:
        stage.hear()
        for kind, *rest in words:
            stage.say(kind, *rest)
        code = stage.end()
    paper.seek(0)
    return code, paper.read()


@pytest.mark.parametrize("value", [b"", b"x", b"x" * 9, b"x" * 10, b"\0\xff"])
def test_late_values_fill_their_slot(paper: Any, value: bytes) -> None:
    room = Buffer(b"." * 10, late=True)
    code, found = late(paper, room, ("L", 0, value), ("G",))
    assert code == RAN_OUT
    assert found[: len(value) + 1] == value + b"\0"
    assert found[len(value) + 1 : 10] == b"." * max(0, 9 - len(value))


def test_a_slot_may_be_filled_twice(paper: Any) -> None:
    room = Buffer(10, late=True)
    code, found = late(paper, room, ("L", 0, b"long"), ("L", 0, b"b"), ("G",))
    assert (code, found.split(b"\0")[0]) == (RAN_OUT, b"b")


def test_the_largest_late_value(paper: Any) -> None:
    room = Buffer(65000, late=True)
    code, found = late(paper, room, ("L", 0, b"x" * 65000), ("G",))
    assert (code, found) == (RAN_OUT, b"x" * 65000 + b"\0")


@pytest.mark.parametrize(
    "words",
    [
        ("L", 0, b"x" * 11),
        ("L", 1, b"x"),
        ("L", 65535, b"x"),
        ("L", 0, b"x", 0),
        ("L", 0, b"x", 2),
        ("L", 0, b"x", 0xFFFFFFFF),
        ("L", 0, b"x" * 70000),
        ("?",),
        ("E", 0, b"x"),
    ],
)
def test_wrong_words_are_refused(paper: Any, words: tuple[Any, ...]) -> None:
    assert late(paper, Buffer(10, late=True), words) == (FAILED, b"")


def test_a_torn_word_is_refused() -> None:
    with Stagehand([builtin(SYNC, SOCKET, ord("S"))]) as stage:
        stage.hear()
        stage.socket.send(b"G")
        assert (stage.hear().number, stage.end()) == (EBADMSG, FAILED)


# Waiting for start


def test_wait_goes_on_with_the_first_byte() -> None:
    with Stagehand([builtin(WAIT, START, REPORT)]) as stage:
        assert stage.is_running(0.05)
        stage.starter.send(b"s")
        assert stage.end() == RAN_OUT


@pytest.mark.parametrize("name", "HUP INT QUIT USR1 USR2 ALRM TERM".split())
def test_a_waiting_init_ends_on_a_signal(name: str) -> None:
    number = signal.Signals[f"SIG{name}"]
    with Stagehand([builtin(SYNC, SOCKET, ord("S")), builtin(WAIT, START, REPORT)]) as stage:
        stage.hear()
        stage.say("G")
        stage.until_it_catches(signal.SIGTERM)  # the last of them
        signal.pidfd_send_signal(stage.pidfd, number)
        assert stage.end() == 128 + number


def test_after_the_wait_failures_go_to_the_report() -> None:
    with Stagehand([builtin(WAIT, START, REPORT), sys(lib.NR_close, -1)]) as stage:
        stage.starter.send(b"s")
        message = stage.hear(stage.report)
        assert (message.type, message.step, message.number) == ("E", 1, EBADF)
        assert stage.end() == FAILED


# Exec


def program(path: str, *args: str, env: tuple[str, ...] = (), say: Any = 0) -> list[Any]:
    return [builtin(EXEC, path, Pointers((*args, 0)), Pointers((*env, 0)), REPORT, say)]


def test_exec_reports_and_becomes_the_program() -> None:
    with Stagehand(program("/bin/sh", "sh", "-c", "exit 7")) as stage:
        assert stage.hear(stage.report).type == "X"
        assert stage.end() == 7


def test_exec_passes_argv_and_environment() -> None:
    script = '[ "$0|$1|$A|$B" = "zero|one|a=b|" ]'
    ops = program("/bin/sh", "sh", "-c", script, "zero", "one", env=("A=a=b", "B="))
    with Stagehand(ops) as stage:
        assert stage.end() == 0


@pytest.mark.parametrize(
    ("path", "errno", "code"), [("/nowhere", ENOENT, 127), ("/etc/passwd", 13, 126), ("/", 13, 126)]
)
def test_a_failed_exec_says_so(path: str, errno: int, code: int) -> None:
    with Stagehand(program(path, "x")) as stage:
        assert stage.hear(stage.report).type == "X"
        message = stage.hear(stage.report)
        assert (message.type, message.number, stage.end()) == ("E", errno, code)


@pytest.mark.parametrize(
    ("path", "words"),
    [("/nowhere", "no such file or directory"), ("/etc/passwd", "permission denied")],
)
def test_a_failed_exec_is_said_on_stderr(path: str, words: str) -> None:
    reader, writer = os.pipe()
    ops = [sys(lib.NR_dup3, HANDED, 2, 0), *program(path, "x", say="exec it")]
    try:
        with Stagehand(ops, fds=[writer]) as stage:
            stage.end()
    finally:
        os.close(writer)
    with open(reader) as said:
        assert said.read() == f"exec it: {words}\n"


def test_the_program_has_no_signal_ignored_or_blocked() -> None:
    script = "grep -E '^Sig(Blk|Ign):' /proc/self/status"
    ops = program("/bin/sh", "sh", "-c", f'[ -z "$({script} | grep -v 0000000000000000)" ]')
    old = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    try:
        with Stagehand(ops) as stage:
            assert stage.end() == 0
    finally:
        signal.signal(signal.SIGUSR1, old)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


# The door


@pytest.mark.parametrize("argv", [["init"], ["init", ""], ["init", "2"], ["init", "x"], ["init", "200", "1"],
                                  ["init", "99999999999"], ["init", "-5"]])  # fmt: skip
def test_started_by_a_stranger(argv: list[str]) -> None:
    with Stagehand([jump(0)], argv=argv) as stage:
        assert stage.end() == STRANGER
