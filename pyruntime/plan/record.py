"""The state record: what create writes and every other verb reads. A type; read by type checkers only.

runtime/record.py makes one, runtime/store.py checks what it reads against FIELDS there.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

Recorded = Literal["creating", "created", "starting", "running"]


class Record(TypedDict):
    format: int
    """1; see runtime/record.py."""
    ociVersion: str
    id: str
    bundle: str
    rootfs: str
    status: Recorded
    pid: int
    """Of the init, in our pid namespace; 0 before it is spawned."""
    startTime: int
    """Clock ticks since boot: field 22 of /proc/PID/stat."""
    pidfdInode: int
    """Of the init's pidfd, which no other process ever has (Linux 6.9); 0 where there is none."""
    clockOffset: int
    """Nanoseconds that the creator's time namespace adds to the time since boot."""
    bootId: str
    initExe: list[int]
    """[st_dev, st_ino] of the init's executable."""
    created: str
    """RFC 3339, in UTC."""
    uid: int
    """The creator's effective one."""
    annotations: dict[str, str]
    cgroup: Any
    """None, or what pyruntime.cgroup alone makes and reads."""
    pidNamespace: bool
    """The container has one of its own, or shares a chosen one."""
    keyring: bool
    """Processes get a session keyring of their own."""
    process: bool
    """config.json has a process, without which `start` is refused."""
    startedAfter: NotRequired[int]
