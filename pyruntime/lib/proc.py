"""Readers of /proc: who a process is, which boot this is, what the kernel knows.

A process is told from a later one of the same number by its start time (field 22 of /proc/PID/stat), and by
the boot id from one of an earlier boot. A procfs may hide processes (hidepid, subset=pid): what cannot be read here
is no sign of death, which a pidfd alone tells.
"""

from __future__ import annotations

import errno
import posix

from pyruntime.lib.files import read_file

_HIDDEN = (FileNotFoundError, ProcessLookupError, PermissionError)
INITIAL_TIME_NAMESPACE = 0xEFFFFFFA  # PROC_TIME_INIT_INO of linux/proc_ns.h
NANOSECONDS = 1_000_000_000
SIGKILL = 9  # signal(7); `_signal` has it too, and is slow to load
ENDED = ("Z", "X", "x")


def stat_of(pid: int) -> tuple[str, int] | None:
    """(state letter, start time in ticks since boot) of a process, None when there is none to be seen.

    It is a zombie when no thread is left: one whose main thread alone has ended (field 20 counts) is said to sleep.
    """
    try:
        fields = _fields(pid)
    except _HIDDEN:
        return None
    state = fields[0].decode()
    return "S" if state == "Z" and int(fields[17]) > 1 else state, int(fields[19])


def thread_state(thread: int) -> str:
    """The state letter of one thread, "" when there is none to be seen."""
    try:
        return _fields(thread)[0].decode()
    except _HIDDEN:
        return ""


def _fields(pid: int) -> list[bytes]:
    """/proc/PID/stat from field 3 on."""
    text = read_file(f"/proc/{pid}/stat", 4096)
    # The command's name is in brackets and may hold brackets and blanks itself: the last one ends it.
    return text[text.rindex(b")") + 2 :].split()


def is_shown(pid: int) -> bool:
    """Whether this procfs has a directory for the process."""
    return posix.access(f"/proc/{pid}", posix.F_OK)


def open_pidfd(pid: int) -> int:
    """A pidfd of the process that has the number now; -1 for none, also where it has become a thread's."""
    try:
        return posix.pidfd_open(pid)
    except OSError as error:
        if error.errno in (errno.ESRCH, errno.EINVAL, errno.ENOENT):
            return -1
        raise


def inner_pid(pidfd: int) -> int:
    """The number a process has in its own pid namespace: the last of NSpid in the fdinfo of its pidfd (Linux 5.5)."""
    for line in read_file(f"/proc/self/fdinfo/{pidfd}", 1 << 16).splitlines():
        if line.startswith(b"NSpid:"):
            return int(line.split()[-1])
    return 0


def mount_id(fd: int) -> int:
    """Of the mount a descriptor lies on: mnt_id of its fdinfo (Linux 3.15)."""
    for line in read_file(f"/proc/self/fdinfo/{fd}", 1 << 16).splitlines():
        if line.startswith(b"mnt_id:"):
            return int(line.split()[1])
    return -1


def is_ending(pid: int) -> bool:
    """Whether a process can be seen on its way out: the init of a pid namespace first ends all others in it, and waits
    for them; until then it is no zombie. PF_EXITING of field 9 of /proc/PID/stat (linux/sched.h). A main thread
    that ended by itself leaves the others of field 20 behind."""
    try:
        fields = _fields(pid)
    except _HIDDEN:
        return False
    return bool(int(fields[6]) & 4) and int(fields[17]) < 2


def clock_offset() -> int:
    """What our time namespace adds to the time since boot, in nanoseconds; start times are shown with it."""
    try:
        if posix.stat("/proc/self/ns/time").st_ino == INITIAL_TIME_NAMESPACE:
            return 0
        rows = read_file("/proc/self/timens_offsets", 4096).splitlines()
    except FileNotFoundError:
        return 0  # a kernel without time namespaces
    for row in rows:
        clock, seconds, rest = row.split()
        if clock in (b"boottime", b"7"):
            return int(seconds) * NANOSECONDS + int(rest)
    return 0


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
    """The highest capability this kernel knows; capabilities(7). A procfs of processes alone (subset=pid) does not say
    it: the highest we could ever have takes its place."""
    try:
        return int(read_file("/proc/sys/kernel/cap_last_cap", 64))
    except FileNotFoundError:
        rows = read_file("/proc/self/status", 1 << 16).splitlines()
        bounding = next(row for row in rows if row.startswith(b"CapBnd:"))
        return int(bounding.split()[1], 16).bit_length() - 1


def in_user_namespace() -> bool:
    """Whether we are in another user namespace than the initial one; user_namespaces(7)."""
    return read_file("/proc/self/uid_map", 1 << 16).split() != [b"0", b"0", b"4294967295"]
