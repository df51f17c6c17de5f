"""What qemu-user cannot do for an init of arm64, found out by asking it; tests that need it are left out by name.

None of this says anything about arm64: the same tests run on the real kernel wherever the suite runs.
"""

from __future__ import annotations

from typing import Any

from pyruntime.kernel.native import lib
from pyruntime.plan.step import CLONE, HOOK, Buffer, Pointers, builtin, sys
from tests.lib.tape_runner import SOCKET, play

ENOSYS, EINVAL = 38, 22


def _asks(op: Any, errno: int) -> bool:
    """Whether this one operation ends in that errno."""
    message = play([op])[1]
    return message is not None and (message.type, message.number) == ("E", errno)


def lacking() -> dict[str, str]:
    """Part of a test's id → why it cannot run on this emulator."""
    found = {"test_the_program_has_no_signal_ignored_or_blocked": "its own handlers show through"}
    how = Buffer(24)
    if _asks(sys(lib.NR_openat2, lib.AT_FDCWD, "/", how, 24), ENOSYS):
        found["test_init_resolve.py"] = "openat2"
    if _asks(builtin(CLONE, SOCKET, 0), ENOSYS):
        found["test_the_clone_goes_on_when_it_is_told_to"] = "clone3"
        found["test_the_end_of_the_host_ends_the_clone"] = "clone3"
    request = Pointers(("/bin/true", Pointers(("true", 0)), Pointers((0,)), Buffer(8), 0, 0))
    if _asks(builtin(HOOK, request), EINVAL):
        found["test_init_hook.py"] = "clone with CLONE_PIDFD"
    return found
