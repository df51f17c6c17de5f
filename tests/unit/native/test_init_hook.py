"""Hooks of the container's side as the init runs them: state on stdin, bounded output, a deadline, nothing inherited."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

import pytest

from pyruntime.plan.step import HOOK, SYNC, Buffer, Pointers, builtin
from tests.lib.tape_runner import (
    FAILED,
    HANDED,
    RAN_OUT,
    SOCKET,
    Message,
    Stagehand,
    failure,
    play,
)

EBADMSG, ETIME, EXITED = 74, 62, 0x100000
OUTPUT_LIMIT = 504  # of either stream: half of a message's text


def block(
    script: str,
    *,
    path: str = "/bin/sh",
    env: tuple[str, ...] = (),
    state: Any = "{}",
    length: int = 0,
    timeout_ms: int = 0,
) -> Any:
    argv = Pointers(("name", "-c", script, 0))
    return builtin(HOOK, Pointers((path, argv, Pointers((*env, 0)), state, length, timeout_ms)))


def hook(script: str, **options: Any) -> tuple[int, Message | None]:
    fds = options.pop("fds", ())
    return play([block(script, **options)], fds=fds)


def passes(script: str, **options: Any) -> bool:
    code, message = hook(script, **options)
    if code == FAILED and message is not None:
        print(message)
    return code == RAN_OUT


def outputs(message: Message | None) -> tuple[bytes, bytes]:
    assert message is not None
    out, _, err = message.text.partition(b"\0")
    return out, err


def test_a_hook_runs(tmp_path: Path) -> None:
    assert passes(f"echo ran > {tmp_path}/it")
    assert (tmp_path / "it").read_text() == "ran\n"


def test_argv_and_environment() -> None:
    script = '[ "$0|$A|$B|$PATH|$HOME" = "name|a=b||/bin|" ]'
    assert passes(script, env=("A=a=b", "B=", "PATH=/bin"))


def test_the_environment_is_empty_unless_given() -> None:
    assert passes("[ $(wc -c < /proc/self/environ) = 0 ]", path="/bin/busybox") or passes(
        'read x < /proc/self/environ; [ -z "$x" ]'
    )


def test_the_working_directory_is_the_inits() -> None:
    assert passes(f'[ "$(pwd -P)" = "{os.path.realpath(os.getcwd())}" ]')


def test_the_state_is_on_stdin() -> None:
    assert passes('[ "$(cat)" = \'{"id": 1}\' ]', state='{"id": 1}', env=("PATH=/bin:/usr/bin",))


def test_a_state_larger_than_a_pipe() -> None:
    assert passes("[ $(cat | wc -c) = 200000 ]", state="x" * 200_000, env=("PATH=/bin:/usr/bin",))


def test_a_length_cuts_the_state() -> None:
    script = '[ "$(cat)" = ab ]'
    assert passes(script, state="abcdef", length=2, env=("PATH=/bin:/usr/bin",))


def test_a_late_state() -> None:
    state = Buffer(100, late=True)
    script = '[ "$(cat)" = late ]'
    with Stagehand(
        [builtin(SYNC, SOCKET, 83), block(script, state=state, env=("PATH=/bin",))]
    ) as stage:
        stage.hear()
        stage.say("L", 0, b"late")
        stage.say("G")
        assert stage.end() == RAN_OUT


@pytest.mark.parametrize("size", [2, 60_000, 400_000])
def test_a_hook_need_not_read_its_state(size: int) -> None:
    """The pipe breaks at any moment; that is neither an error nor the end of the init."""
    for script in ("exit 0", "exec <&-; exit 0", "read x; exec <&-; exit 0"):
        for _ in range(5):
            assert passes(script, state="x" * size)


@pytest.mark.parametrize("status", [1, 2, 127, 255])
def test_an_exit_status_is_told(status: int) -> None:
    code, message = hook(f"echo out; echo err >&2; exit {status}")
    assert code == FAILED and message is not None
    assert message.number == EXITED | status << 8
    assert outputs(message) == (b"out\n", b"err\n")


def test_a_signal_is_told() -> None:
    code, message = hook("kill -9 $$")
    assert code == FAILED and message is not None
    assert message.number == EXITED | 9


@pytest.mark.parametrize(("path", "errno"), [("/nowhere", 2), ("/etc/passwd", 13), ("/", 13)])
def test_a_hook_that_cannot_be_run_is_told_from_one_that_fails(path: str, errno: int) -> None:
    code, message = hook("", path=path)
    assert code == FAILED and message is not None
    assert message.number == errno


def test_output_is_bounded_and_its_end_kept() -> None:
    script = "i=0; while [ $i -lt 2000 ]; do echo line $i; echo no $i >&2; i=$((i+1)); done; exit 1"
    code, message = hook(script)
    out, err = outputs(message)
    assert code == FAILED
    assert out.endswith(b"line 1999\n") and err.endswith(b"no 1999\n")
    assert max(len(out), len(err)) <= OUTPUT_LIMIT


def test_any_bytes_of_output() -> None:
    code, message = hook(r"printf '\001\377\033[2J'; exit 1")
    assert code == FAILED and message is not None
    assert message.text.startswith(b"\x01\xff\x1b[2J")


def test_a_deadline_ends_the_hook_and_its_children(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    watch = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    start = time.monotonic()
    code, message = hook(f"exec 3> {fifo}; sleep 60 & echo slow; sleep 60", timeout_ms=300,
                         env=("PATH=/bin:/usr/bin",))  # fmt: skip
    assert code == FAILED and message is not None
    assert message.number == ETIME
    assert 0.25 < time.monotonic() - start < 4
    assert outputs(message)[0] == b"slow\n"
    os.set_blocking(watch, True)
    assert os.read(watch, 1) == b"", "a child of the hook is still there"
    os.close(watch)


def test_a_deadline_is_no_delay() -> None:
    start = time.monotonic()
    assert passes("exit 0", timeout_ms=60_000)
    assert time.monotonic() - start < 4


def test_the_longest_deadline() -> None:
    assert passes("exit 0", timeout_ms=(1 << 62) - 1)
    code, message = hook("exit 0", timeout_ms=1 << 62)
    assert code == FAILED and message is not None and message.number == EBADMSG


def test_a_deadline_holds_while_the_state_is_not_read() -> None:
    code, message = hook("sleep 60", state="x" * 400_000, timeout_ms=300, env=("PATH=/bin",))
    assert code == FAILED and message is not None and message.number == ETIME


@pytest.mark.parametrize("writes", ["", "while :; do echo y || exit; done"])
def test_a_daemon_that_keeps_the_pipes_delays_nobody(tmp_path: Path, writes: str) -> None:
    """It lives on, or writes until nobody reads any more; the hook itself has ended."""
    pid = tmp_path / "pid"
    script = f"(trap '' PIPE; {writes or ':'}; exec sleep 30) & echo $! > {pid}; exit 0"
    start = time.monotonic()
    try:
        assert passes(script, env=("PATH=/bin:/usr/bin",))
        assert time.monotonic() - start < 4
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid.read_text()), 9)


def test_nothing_of_ours_is_inherited(tmp_path: Path) -> None:
    with open(tmp_path / "secret", "w") as secret:
        script = "for f in /proc/self/fd/*; do case $f in */0|*/1|*/2|*/3) ;; *) echo $f; exit 1;; esac; done"
        assert passes(script, fds=[secret.fileno()])
    assert passes("! [ -e /proc/$$/fd/%d ] && ! [ -e /proc/$$/fd/%d ]" % (SOCKET, HANDED))


def test_signals_are_as_usual() -> None:
    script = """
while read name mask; do
    case $name in SigBlk:|SigIgn:) [ $mask = 0000000000000000 ] || exit 1;; esac
done < /proc/self/status"""
    assert passes(script)


def test_hooks_follow_each_other(tmp_path: Path) -> None:
    made = [block(f"echo {n} >> {tmp_path}/order") for n in range(5)]
    assert play(made)[0] == RAN_OUT
    assert (tmp_path / "order").read_text().split() == list("01234")


def test_no_hook_after_one_that_failed(tmp_path: Path) -> None:
    code, message = play([block("exit 1"), block(f"touch {tmp_path}/second")])
    assert code == FAILED and message is not None and message.step == 0
    assert not (tmp_path / "second").exists()


@pytest.mark.parametrize("words", [(), ("/bin/sh",), ("/bin/sh", 0, 0, 0, 0)])
def test_a_block_too_short_is_refused_at_the_edge(words: tuple[Any, ...]) -> None:
    """Only the room is judged: 48 bytes from its beginning must lie in the data."""
    assert failure(builtin(HOOK, 4096))[1] == EBADMSG


@pytest.mark.parametrize("address", [0, 8, 4096, 1 << 47, (1 << 64) - 8])
def test_a_state_that_is_no_address_of_the_tape_is_refused(address: int) -> None:
    code, message = hook("exit 0", state=address)
    assert code == FAILED and message is not None and message.number == EBADMSG
