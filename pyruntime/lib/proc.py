"""Readers of /proc: who a process is, which boot this is, what the kernel knows.

A process is told from a later one of the same number by its start time (field 22 of /proc/PID/stat), and by
the boot id from one of an earlier boot.
"""

from __future__ import annotations

import posix

from pyruntime.lib.files import read_file


def stat_of(pid: int) -> tuple[str, int] | None:
    """(state letter, start time in ticks since boot) of a process, None when there is none."""
    try:
        text = read_file(f"/proc/{pid}/stat", 4096)
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command's name is in brackets and may hold brackets and blanks itself: the last one ends it.
    fields = text[text.rindex(b")") + 2 :].split()
    return fields[0].decode(), int(fields[19])


def is_alive(pid: int, start_time: int) -> bool:
    """Whether that very process still runs; a zombie does not."""
    found = stat_of(pid)
    return found is not None and found[1] == start_time and found[0] not in ("Z", "X", "x")


def inner_pid(pid: int) -> int:
    """The number a process has in its own pid namespace: the last of NSpid in /proc/PID/status (Linux 4.1)."""
    for line in read_file(f"/proc/{pid}/status", 1 << 16).splitlines():
        if line.startswith(b"NSpid:"):
            return int(line.split()[-1])
    return pid


def is_ending(pid: int) -> bool:
    """Whether a process is gone or on its way out: the init of a pid namespace first ends all others in it, and waits
    for them; until then it is no zombie. PF_EXITING of field 9 of /proc/PID/stat (linux/sched.h)."""
    try:
        text = read_file(f"/proc/{pid}/stat", 4096)
    except (FileNotFoundError, ProcessLookupError):
        return True
    return bool(int(text[text.rindex(b")") + 2 :].split()[6]) & 4)


def boot_id() -> str:
    return read_file("/proc/sys/kernel/random/boot_id", 64).decode("ascii").strip()


def exe_of(pid: int) -> list[int] | None:
    """[st_dev, st_ino] of the program a process executes; None when it has ended."""
    try:
        facts = posix.stat(f"/proc/{pid}/exe")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return [facts.st_dev, facts.st_ino]


def last_capability() -> int:
    """The highest capability this kernel knows; capabilities(7)."""
    return int(read_file("/proc/sys/kernel/cap_last_cap", 64))


def in_user_namespace() -> bool:
    """Whether we are in another user namespace than the initial one; user_namespaces(7)."""
    return read_file("/proc/self/uid_map", 1 << 16).split() != [b"0", b"0", b"4294967295"]
