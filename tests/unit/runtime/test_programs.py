"""pyruntime/runtime/programs.py: programs of the host that are asked something."""

from __future__ import annotations

import os
import time

import pytest

from pyruntime.runtime import programs

SHELL = "/bin/sh"


def ask(script: str, *, limit: int = 4096, patience: float = 30, **more: bool) -> tuple[int, bytes]:
    return programs.answer(
        [SHELL, "-c", script], {"A": "1"}, limit_bytes=limit, patience_s=patience, **more
    )


def test_what_it_says_and_how_it_ends() -> None:
    status, output = ask("echo out; echo err >&2; exit 3")
    assert (os.waitstatus_to_exitcode(status), output) == (3, b"out\n")


def test_both_streams() -> None:
    assert ask("echo out; echo err >&2", stderr_too=True)[1] == b"out\nerr\n"


def test_no_environment_but_the_given_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("B", "2")
    assert ask('echo "$A$B"; read x || echo nothing')[1] == b"1\nnothing\n"


def test_the_answer_is_bounded() -> None:
    status, output = ask(
        "i=0; while [ $i -lt 3000 ]; do echo 0123456789; i=$((i+1)); done", limit=25
    )
    assert status == 0 and output == b"0123456789\n0123456789\n012"


def test_one_that_never_ends_is_ended() -> None:
    started = time.monotonic()
    status, output = ask("exec tail -f /dev/null", patience=0.2)
    assert os.waitstatus_to_exitcode(status) == -9
    assert output == b"it has not ended after 0 s"
    assert time.monotonic() - started < 20


def test_one_that_is_not_there() -> None:
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError):
        programs.answer(["/no/such/program"], {}, limit_bytes=1, patience_s=1)
    assert set(os.listdir("/proc/self/fd")) == before
