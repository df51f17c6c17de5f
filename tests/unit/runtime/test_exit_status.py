"""How somebody else's child ended, told before and after its parent has waited for it."""

from __future__ import annotations

import os
import select
import signal
import subprocess

import pytest

from pyruntime.lib import proc
from pyruntime.runtime import exit_status


def ended(script: str) -> tuple[subprocess.Popen[bytes], int, int]:
    """A process that has ended and was not waited for, a pidfd of it and its start time."""
    process = subprocess.Popen(["/bin/sh", "-c", f"read x; {script}"], stdin=subprocess.PIPE)
    pidfd = os.pidfd_open(process.pid)
    found = proc.stat_of(process.pid)
    assert found is not None and process.stdin is not None
    process.stdin.close()
    select.select([pidfd], [], [])
    return process, pidfd, found[1]


@pytest.mark.parametrize(
    ("script", "told"), [("exit 5", (5, None)), ("kill -9 $$", (None, signal.SIGKILL))]
)
def test_not_waited_for(script: str, told: tuple[int | None, int | None]) -> None:
    process, pidfd, start_time = ended(script)
    try:
        found = exit_status.wait_status(pidfd, process.pid, start_time)
        assert exit_status.code_and_signal(found) == told
        # A later process of the same number is another.
        assert exit_status.wait_status(pidfd, process.pid, start_time + 1) is None
    finally:
        process.wait()
        os.close(pidfd)


def test_waited_for() -> None:
    """The pidfd knows since Linux 6.15; before, nobody does."""
    process, pidfd, start_time = ended("exit 5")
    process.wait()
    found = exit_status.wait_status(pidfd, process.pid, start_time)
    os.close(pidfd)
    release = tuple(int(word) for word in os.uname().release.split(".")[:2])
    assert found == (5 << 8 if release >= (6, 15) else None)


def test_nobody_told() -> None:
    assert exit_status.code_and_signal(None) == (None, None)


def test_who_may_not_look_believes_no_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    process, pidfd, start_time = ended("exit 0")
    try:
        monkeypatch.setattr(exit_status, "_may_look", lambda: False)
        assert exit_status.wait_status(pidfd, process.pid, start_time) is None
    finally:
        process.wait()
        os.close(pidfd)
