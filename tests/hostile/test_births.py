"""R-31: every descriptor is born close-on-exec; one that was not was CVE-2024-21626."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator

import pytest

from tests.hostile.test_joining import Call, trace
from tests.lib.box import Box
from tests.lib.bundle import Bundle
from tests.lib.namespaces import SUBORDINATE, map_users
from tests.lib.ordinary_user import own, place

# What makes a descriptor, and the word without which it may not.
WORDS = {
    "open": "O_CLOEXEC",
    "openat": "O_CLOEXEC",
    "openat2": "O_CLOEXEC",
    "socket": "SOCK_CLOEXEC",
    "socketpair": "SOCK_CLOEXEC",
    "accept4": "SOCK_CLOEXEC",
    "pipe2": "O_CLOEXEC",
    "memfd_create": "MFD_CLOEXEC",
    "fsopen": "FSOPEN_CLOEXEC",
    "fsmount": "FSMOUNT_CLOEXEC",
    "open_tree": "OPEN_TREE_CLOEXEC",
    "recvmsg": "MSG_CMSG_CLOEXEC",
    "eventfd2": "EFD_CLOEXEC",
    "timerfd_create": "TFD_CLOEXEC",
    "signalfd4": "SFD_CLOEXEC",
    "epoll_create1": "EPOLL_CLOEXEC",
    "inotify_init1": "IN_CLOEXEC",
}
NEVER = {"creat", "pipe", "accept", "dup", "eventfd", "signalfd", "epoll_create", "inotify_init"}

# What an interpreter with the whole standard library opens and closes before it runs a line of ours.
INTERPRETER = re.compile(
    r'"(/proc/sys/vm/overcommit_memory|/usr/(bin/)?(pyvenv\.cfg|pybuilddir\.txt)|[^"]*\._pth)"'
)


def wrong(call: Call) -> bool:
    _, name, line = call
    if INTERPRETER.search(line):
        return False
    if name in WORDS:
        return WORDS[name] not in line
    if name in ("dup2", "dup3"):
        return "O_CLOEXEC" not in line and not re.search(r", [012](, 0)?\) ", line)
    if name == "fcntl":
        return "F_DUPFD," in line or "F_SETFD, 0" in line
    if name == "ioctl" and "TIOCGPTPEER" in line:
        return "O_CLOEXEC" not in line
    return name in NEVER


def ours(calls: list[Call], runtime: int) -> Iterator[Call]:
    """The runtime's calls and the init's: not those between a clone and its exec, where descriptors are moved into
    place, and not those of programs, which is what hooks and the container's own are."""
    watched = {runtime}
    for call in calls:
        pid, name, line = call
        if name == "execveat" and line.endswith("= 0"):
            watched.add(pid)
        elif name == "execve" and line.endswith("= 0") and pid != runtime:
            watched.discard(pid)
        elif name == "clone3" and pid in watched and "CLONE_PARENT" in line:
            child = re.search(r"= (\d+)$", line)
            assert child, line
            watched.add(int(child[1]))
        elif pid in watched:
            yield call


def check(calls: list[Call]) -> None:
    seen = list(ours(calls, calls[0][0]))
    makers = [call for call in seen if call[1] in WORDS]
    assert len(makers) > 5, "hardly anything was traced"
    assert not [call[2] for call in seen if wrong(call)]


@pytest.fixture(params=["cloned", "staged"])
def busy(request: pytest.FixtureRequest) -> Iterator[Bundle]:
    """With what opens something: binds, devices, masks, a filter, hooks, limits."""
    with place() as top:
        bundle = Bundle(top / "bundle").inside("pause").namespace("cgroup")
        bundle.bind("/etc/hostname", "/etc/hostname").mount("/data", "tmpfs", "tmpfs")
        bundle.set("linux.maskedPaths", ["/proc/kcore", "/proc/acpi"])
        bundle.set("linux.readonlyPaths", ["/proc/sys"]).set("linux.resources.pids", {"limit": 99})
        bundle.set("linux.seccomp", {"defaultAction": "SCMP_ACT_ALLOW"}).hostname("web")
        bundle.hook("createRuntime", "/bin/true").hook("createContainer", "/bin/true")
        if request.param == "staged":
            map_users(bundle, SUBORDINATE).namespace("time")
            bundle.set("linux.timeOffsets", {"boottime": {"secs": 5}})
            own(bundle.rootfs, SUBORDINATE[0].host)
        yield bundle


def test_of_every_verb(busy: Bundle) -> None:
    with Box(busy) as box:
        box.create()
        for words in (
            ["start", box.id],
            ["state", box.id],
            ["list"],
            ["exec", box.id, "/inside", "exit", "0"],
            ["kill", box.id, "KILL"],
        ):
            check(trace(box, *words))
        assert box.wait() == 137
        check(trace(box, "delete", box.id))


def test_of_a_create_that_fails_at_its_end(busy: Bundle) -> None:
    """One that succeeds leaves the init, and the tracer would wait for that."""
    with Box(busy) as box:
        busy.write(box.id)
        where = ["--bundle", str(busy.directory), "--pid-file", "/nowhere/pid"]
        check(trace(box, "create", *where, box.id, code=1))


def test_of_run(busy: Bundle) -> None:
    """Under a service manager, which hears nothing."""
    busy.inside("exit", "0")
    name = f"pyruntime-test-{os.getpid()}"
    env = {"PATH": "/usr/bin:/bin", "NOTIFY_SOCKET": f"@{name}"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, Box(busy, env=env) as box:
        manager.bind("\0" + name)
        busy.write(box.id)
        check(trace(box, "run", "--bundle", str(busy.directory), box.id))
