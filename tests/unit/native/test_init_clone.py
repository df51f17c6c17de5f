"""The built-in CLONE: the stage ends, its clone is a child of whoever the stage was a child of, and waits."""

from __future__ import annotations

import os
import select
from typing import Any

import pytest

from pyruntime.kernel.native import lib
from pyruntime.plan.step import CLONE, builtin, sys
from tests.lib.patience import scaled
from tests.lib.tape_runner import ABANDONED, HANDED, RAN_OUT, SOCKET, Stagehand, failure

EBADMSG = 74
CLONE_VM = 0x100


def status_of(pid: int) -> int:
    """The exit status of a child of ours that ends by itself."""
    pidfd = os.pidfd_open(pid)
    try:
        assert select.select([pidfd], [], [], scaled(5))[0], "the clone hangs"
        found = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    finally:
        os.close(pidfd)
    assert found is not None and found.si_code == os.CLD_EXITED
    return found.si_status


def cloned(paper: Any) -> Stagehand:
    write = sys(lib.NR_write, HANDED, b"clone", 5)
    return Stagehand([builtin(CLONE, SOCKET, 0), write], fds=[paper.fileno()])


def test_the_clone_goes_on_when_it_is_told_to(paper: Any) -> None:
    with cloned(paper) as stage:
        message = stage.hear()
        assert (message.type, message.step) == ("K", 0) and message.number != stage.pid
        assert stage.end() == 0
        assert os.waitid(os.P_PID, message.number, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        paper.seek(0)
        assert paper.read() == b"", "the clone did not wait"
        stage.say("G")
        assert status_of(message.number) == RAN_OUT
        paper.seek(0)
        assert paper.read() == b"clone"


def test_the_end_of_the_host_ends_the_clone(paper: Any) -> None:
    with cloned(paper) as stage:
        pid = stage.hear().number
        stage.hang_up()
        assert status_of(pid) == ABANDONED


@pytest.mark.parametrize("flags", [CLONE_VM, lib.CLONE_NEWNS, 1 << 40])
def test_nothing_but_a_pid_namespace_is_made_with_it(flags: int) -> None:
    assert failure(builtin(CLONE, SOCKET, flags)) == (0, EBADMSG)
