"""Host before = host after: what a test may leave behind is nothing.

`Host.now()` takes down what a container could leak; `differences` names what is not as it was. Other people may
be running containers on the same machine, so cgroups and keyrings count only when their name carries this test
process's marker; everything else is looked at from inside the private namespaces of the test run.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from tests.lib import facts
from tests.lib.box import MARKER
from tests.lib.patience import deadline as scaled_deadline

SYSCTLS = """kernel/core_pattern kernel/domainname kernel/hostname kernel/msgmax kernel/msgmnb kernel/msgmni
kernel/sem kernel/shmall kernel/shmmax kernel/shmmni kernel/shm_rmid_forced kernel/sysrq kernel/pid_max
kernel/panic kernel/printk kernel/randomize_va_space kernel/dmesg_restrict kernel/kptr_restrict kernel/modprobe
fs/suid_dumpable fs/file-max fs/protected_symlinks fs/mqueue/queues_max vm/overcommit_memory vm/swappiness
vm/panic_on_oom net/ipv4/ip_forward net/ipv4/ip_unprivileged_port_start net/core/somaxconn""".split()


def cgroup_mounts() -> list[str]:
    return [mount.point for mount in facts.own_mounts() if mount.kind in ("cgroup", "cgroup2")]


def marked_cgroups() -> frozenset[str]:
    """Every cgroup directory of this test process, in every hierarchy."""
    found: set[str] = set()
    for top in cgroup_mounts():
        for directory, names, _ in os.walk(top):
            found.update(os.path.join(directory, name) for name in names if MARKER in name)
    return frozenset(found)


def marked_keys() -> frozenset[str]:
    lines = Path("/proc/keys").read_text().splitlines()
    return frozenset(line.split()[-2] for line in lines if MARKER in line)


def children(pid: int | None = None) -> set[int]:
    """All processes below one, this one by default, from the kernel's own lists."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid or os.getpid()}/task").iterdir():
        try:
            numbers = [int(word) for word in (task / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
        for number in numbers:
            found.add(number)
            try:
                found |= children(number)
            except FileNotFoundError:
                continue
    return found


def describe_process(pid: int) -> str:
    try:
        words = (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        )
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return f"{pid} (gone meanwhile)"
    return f"{pid} {state} {words}"


def read_sysctl(name: str) -> str:
    path = Path("/proc/sys") / name
    return path.read_text() if path.exists() else ""


def own_fds() -> frozenset[tuple[int, str]]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add((int(name), os.readlink(f"/proc/self/fd/{name}")))
        except FileNotFoundError:
            continue  # the descriptor of the listing itself
    return frozenset(found)


@dataclass(frozen=True)
class Host:
    """What is compared."""

    mounts: frozenset[tuple[int, str, str]]
    cgroups: frozenset[str]
    interfaces: frozenset[str]
    sysctls: tuple[str, ...]
    fds: frozenset[tuple[int, str]]
    processes: frozenset[int]
    roots: frozenset[str]  # the names in /: where an escape by too many `..` ends

    @classmethod
    def now(cls) -> Host:
        return cls(
            mounts=frozenset((mount.id, mount.point, mount.kind) for mount in facts.own_mounts()),
            cgroups=marked_cgroups(),
            interfaces=frozenset(name for _, name in socket.if_nameindex()),
            sysctls=tuple(f"{name} = {read_sysctl(name).strip()}" for name in SYSCTLS),
            fds=own_fds(),
            processes=frozenset(children()),
            roots=frozenset(os.listdir("/")),
        )

    def differences(self, after: Host) -> list[str]:
        """One line for each thing that is new or gone."""
        found = []
        for name in (
            "mounts",
            "cgroups",
            "interfaces",
            "sysctls",
            "fds",
            "processes",
            "roots",
        ):
            mine, other = set(getattr(self, name)), set(getattr(after, name))
            for item in sorted(other - mine):
                text = describe_process(item) if name == "processes" else str(item)
                found.append(f"new in {name}: {text}")
            found += [f"gone from {name}: {item}" for item in sorted(mine - other)]
        return found


def reap_ended(before: Host) -> None:
    """A process that has ended and was re-parented to us, the subreaper, is ours to reap and no leak."""
    for pid in children() - before.processes:
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            continue  # a grandchild: it counts as long as its parent does not reap it


def settled(before: Host, patience: float = 5.0) -> list[str]:
    """The differences that stay: the kernel frees cgroups and addresses a moment after the last user."""
    deadline = scaled_deadline(patience)
    while True:
        reap_ended(before)
        differences = before.differences(Host.now())
        if not differences or time.monotonic() > deadline:
            return differences
        select.select([], [], [], 0.02)


class Keyrings:
    """The kernel frees a keyring some 20 ms after its last process: so they are looked for when all tests have ended, and
    the test that left one is named then."""

    def __init__(self) -> None:
        self.before = marked_keys()
        self.made_by: dict[str, str] = {}

    def note(self, test: str) -> None:
        """After a test: a keyring that is seen for the first time is that test's."""
        for key in marked_keys() - self.before:
            self.made_by.setdefault(key, test)

    def left(self, patience: float = 5.0) -> list[str]:
        deadline = scaled_deadline(patience)
        while left := marked_keys() - self.before:
            if time.monotonic() > deadline:
                return sorted(f"{key} of {self.made_by.get(key, 'no test')}" for key in left)
            select.select([], [], [], 0.02)
        return []


def sweep(before: Host) -> None:
    """Ends the processes and removes the cgroups a failed test left, so that the next test starts clean."""
    for pid in children() - before.processes:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            pass
    for path in sorted(marked_cgroups() - before.cgroups, key=len, reverse=True):
        try:
            os.rmdir(path)
        except OSError:
            pass  # reported already as a leak
