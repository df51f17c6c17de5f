"""What the kernel says of a process's scheduling, asked from outside: sched_getattr(2)."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from typing import NamedTuple

SCHED_GETATTR = {"x86_64": 315, "aarch64": 275}.get(platform.machine(), 275)
SIZE = 48
POLICIES = {
    "SCHED_OTHER": 0,
    "SCHED_FIFO": 1,
    "SCHED_RR": 2,
    "SCHED_BATCH": 3,
    "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}
FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": 0x01,
    "SCHED_FLAG_RECLAIM": 0x02,
    "SCHED_FLAG_DL_OVERRUN": 0x04,
}


class Attributes(NamedTuple):
    """struct sched_attr without its size; times in nanoseconds."""

    policy: int
    flags: int
    nice: int
    priority: int
    runtime: int
    deadline: int
    period: int


def attributes(pid: int) -> Attributes:
    room = ctypes.create_string_buffer(SIZE)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(SCHED_GETATTR, pid, room, SIZE, 0) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    _, *rest = struct.unpack("IIQiIQQQ", room.raw)
    return Attributes(*rest)
