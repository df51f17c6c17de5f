"""Runs a command while this process is the reaper of all it starts: orphans become children of ours and are waited for at
once, as the machine's init would. A runtime that asks whether a container's process is gone must not find a zombie.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import IO

PR_SET_CHILD_SUBREAPER = 36
PATIENCE_S = 10.0


def _heard(signum: int, frame: FrameType | None) -> None:
    """Nothing: that it came is written to the wakeup descriptor."""


class Reaper:
    """One per process: it takes SIGCHLD, and every child of this process that is not known otherwise."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
        self.reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _heard)

    def run(
        self,
        command: Sequence[str | Path],
        seconds: float,
        *,
        out: IO[bytes] | int = subprocess.DEVNULL,
        err: IO[bytes] | int = subprocess.DEVNULL,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
    ) -> int | None:
        """Its exit status, negative for a signal; None when its time ran out and its session was killed."""
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        status = self._wait(process.pid, time.monotonic() + seconds)
        if status is None:
            os.killpg(process.pid, signal.SIGKILL)
            self._wait(process.pid, time.monotonic() + PATIENCE_S)
        process.returncode = -signal.SIGKILL if status is None else status
        return status

    def _wait(self, pid: int, limit: float) -> int | None:
        while True:
            found, status = self._reap()
            if found == pid:
                return os.waitstatus_to_exitcode(status)
            if found:
                continue
            left = limit - time.monotonic()
            if left <= 0:
                return None
            if select.select([self.reader], [], [], left)[0]:
                os.read(self.reader, 4096)

    @staticmethod
    def _reap() -> tuple[int, int]:
        try:
            return os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return 0, 0

    def end_all(self) -> int:
        """Kills every child, and what it leaves in turn; how many there were."""
        ended: set[int] = set()
        limit = time.monotonic() + PATIENCE_S
        while (left := children()) and time.monotonic() < limit:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
                ended.add(pid)
            for pid in left:
                self._wait_for(pid, limit)
        return len(ended)

    def _wait_for(self, pid: int, limit: float) -> None:
        while pid in children() and time.monotonic() < limit:
            self._wait(pid, limit)


def children() -> list[int]:
    found = []
    for task in Path("/proc/self/task").iterdir():
        found += [int(word) for word in (task / "children").read_text().split()]
    return found
