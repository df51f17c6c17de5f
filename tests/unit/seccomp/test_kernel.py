"""The kernel itself takes the programs and decides as the simulator does. Needs no privilege."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from typing import Any

import pytest

from pyruntime.seccomp import tables, words
from pyruntime.seccomp.compile import compile_filter
from tests.bench import profiles

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, FILTER = 22, 38, 2
MACHINE = platform.machine()
NUMBERS = tables.read_numbers(words.ARCHITECTURES[words.MACHINES[MACHINE]].table)
ENOSYS, EDOM = 38, 33


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def confined(code: bytes, *command: str, call: int | None = None, argument: int = 0) -> int:
    """A child under the filter: what the command exits with, or the errno of one system call."""
    libc = ctypes.CDLL(None, use_errno=True)
    program = _Program(len(code) // 8, code)
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
                os._exit(101)
            if libc.prctl(PR_SET_SECCOMP, FILTER, ctypes.byref(program), 0, 0):
                os._exit(102)
            if call is not None:
                os._exit(
                    ctypes.get_errno()
                    if libc.syscall(call, ctypes.c_ulong(argument), 0, 0) < 0
                    else 0
                )
            os.execv(command[0], command)
        finally:
            os._exit(103)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("make", [profiles.docker, lambda: profiles.podman(set())])
def test_programs_run_under_the_default_profiles(make: Any) -> None:
    code, _ = compile_filter(make(), MACHINE)
    assert confined(code, "/bin/sh", "-c", "exit 7") == 7
    assert confined(code, call=600) == ENOSYS


def test_decisions() -> None:
    personality = NUMBERS["personality"]
    document = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            {
                "names": ["personality"],
                "action": "SCMP_ACT_ERRNO",
                "errnoRet": EDOM,
                "args": [{"index": 0, "op": "SCMP_CMP_EQ", "value": 0xFFFFFFFF}],
            },
            {"names": ["getpriority"], "action": "SCMP_ACT_KILL_PROCESS"},
        ],
    }
    code, _ = compile_filter(document, MACHINE)
    assert confined(code, call=personality, argument=0xFFFFFFFF) == EDOM
    assert confined(code, call=personality) == 0
    assert confined(code, call=NUMBERS["getpriority"]) == -31  # SIGSYS
