"""Fixing the device program to a group.

All programs attached to a group and to those above it have to agree. A group that was there before us may carry
one of an earlier container of ours: the new one takes its place, in one step, so that there is no moment without
rules. A program of another name belongs to whoever prepared the group, and stays.
"""

from __future__ import annotations

import posix

from pyruntime.kernel import bpf

NAME = "pyruntime"


def attach(dir_fd: int, program: bytes, *, fresh: bool) -> None:
    """`fresh`: the group was made by us just now. OSError as the kernel gives it."""
    earlier: list[int] = []
    fd = bpf.load_devices(program, NAME)
    try:
        if not fresh:
            earlier = _ours(dir_fd)
        bpf.attach_devices(dir_fd, fd, earlier[0] if earlier else -1)
        for old in earlier[1:]:
            bpf.detach_devices(dir_fd, old)
    finally:
        for each in (fd, *earlier):
            posix.close(each)


def _ours(dir_fd: int) -> list[int]:
    found = []
    for number in bpf.attached_devices(dir_fd):
        fd, name = bpf.open_program(number)
        if name == NAME:
            found.append(fd)
        else:
            posix.close(fd)
    return found
