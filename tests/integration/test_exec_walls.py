"""R-20: a process put in later runs behind the walls of the first one. Every probe is asked of create and of exec."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.test_caller import STATES
from tests.lib.box import Outcome, report, run
from tests.lib.bundle import Bundle
from tests.lib.exec_calls import attached, inside, running
from tests.lib.facts import Facts

CHMOD = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
    "syscalls": [{"names": ["chmod", "fchmodat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 123}],
}
LIMITS = [
    {"type": "RLIMIT_NOFILE", "soft": 77, "hard": 99},
    {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
]
SOME = ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"]


def plain(bundle: Bundle) -> None:
    pass


def strict(bundle: Bundle) -> None:
    """Everything of `process` and `linux` that narrows what a program may."""
    bundle.capabilities(*SOME, ambient=["CAP_KILL"]).set("linux.seccomp", CHMOD)
    bundle.set("process.rlimits", LIMITS).set("process.oomScoreAdj", 300)
    bundle.set("process.user", {"uid": 1000, "gid": 1000, "additionalGids": [50], "umask": 0o77})


def lenient(bundle: Bundle) -> None:
    bundle.privileged().set("process.noNewPrivileges", False)


def filtered(bundle: Bundle) -> None:
    """A filter without no_new_privs is loaded on another way."""
    bundle.privileged().set("process.noNewPrivileges", False).set("linux.seccomp", CHMOD)


def masked(bundle: Bundle) -> None:
    bundle.dir("secret").file("secret/key", "x").file("plain", "x").privileged()
    bundle.set("linux.maskedPaths", ["/secret", "/proc/keys"])
    bundle.set("linux.readonlyPaths", ["/plain", "/proc/sys"]).set("root.readonly", True)


def personal(bundle: Bundle) -> None:
    bundle.set("linux.personality", {"domain": "LINUX32"})


def prioritised(bundle: Bundle) -> None:
    """With a filter that would refuse all of it."""
    bundle.set("process.scheduler", {"policy": "SCHED_BATCH", "nice": -3})
    bundle.set("process.ioPriority", {"class": "IOPRIO_CLASS_RT", "priority": 2})
    bundle.set("linux.memoryPolicy", {"mode": "MPOL_BIND", "nodes": "0"})
    names = ["sched_setattr", "ioprio_set", "set_mempolicy", "sched_setaffinity"]
    rule = {"names": names, "action": "SCMP_ACT_ERRNO"}
    bundle.set("linux.seccomp", {**CHMOD, "syscalls": [rule]}).set("process.noNewPrivileges", False)


SETTINGS: list[Callable[[Bundle], None]] = [
    plain,
    strict,
    lenient,
    filtered,
    masked,
    personal,
    prioritised,
]

# What the two processes must see alike.
SAME = ("uid", "gid", "groups", "umask", "caps", "securebits", "keepcaps", "no_new_privs", "seccomp", "dumpable",
        "pdeathsig", "rlimits", "personality", "timerslack", "policy", "nice", "scheduler", "ioprio", "mempolicy",
        "affinity", "blocked", "ignored", "hostname", "domainname", "machine", "cwd", "env", "root", "dev", "keyring_name")  # fmt: skip


def seen(facts: Facts) -> dict[str, Any]:
    found = {name: facts.report[name] for name in SAME}
    found["fds"] = [entry["fd"] for entry in facts.fds]
    found["oom"] = facts.files["/proc/self/oom_score_adj"]
    found["mounts"] = [
        (mount.point, mount.root, mount.kind, mount.options, mount.super_options)
        for mount in facts.mounts
    ]
    # Times and node numbers are each container's own.
    for entry in (*found["dev"].values(), found["root"]):
        for name in ("ino", "dev", "mtime", "atime", "ctime"):
            entry.pop(name, None)
    found["keyring_name"] = found["keyring_name"].split(";")[:-1]
    return found


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda each: each.__name__)
def test_the_same_sights(bundle: Bundle, setting: Callable[[Bundle], None]) -> None:
    setting(bundle)
    first = seen(report(bundle.inside("report")))
    with running(bundle) as box:
        outcome = attached(box, "ID", "/inside", "report")
        assert outcome.code == 0, str(outcome)
        assert seen(outcome.facts) == first


ATTEMPTS: dict[str, tuple[str, ...]] = {
    "write a kernel setting": ("open", "/proc/sys/kernel/core_pattern", "w"),
    "make a device": ("mknod", "/tmp/sda", "b", "8", "0"),
    "take it away": ("unlink", "/tmp/sda"),
    "mount": ("syscall", "165", "s:none", "s:/tmp", "s:tmpfs", "0", "0"),
    "change the root": ("syscall", "161", "s:/tmp"),
    "read a mask": ("ls", "/secret"),
    "write below a mask": ("create", "/secret/new", "x"),
    "remove from below a mask": ("unlink", "/secret/new"),
    "write a read-only file": ("write", "/plain", "x"),
    "write the root": ("create", "/new", "x"),
    "take it away again": ("unlink", "/new"),
    "write the whole tree": ("trywrite",),
    "chmod": ("syscall", "90", "s:/tmp", "448"),
    "become root": ("setuid", "0"),
    "become another": ("setuid", "4321"),
    "load a kernel module": ("syscall", "175", "0", "0", "s:"),
    "reboot": ("syscall", "169", "0", "0", "0"),
    "set the clock": ("syscall", "227", "0", "0"),
    "raise a limit": ("syscall", "160", "7", "0"),
    "see the host's memory": ("open", "/dev/mem", "r"),
    "use a device of the host": ("device", "/tmp/null", "c", "1", "11"),
    "climb": ("stat", "/../../../.."),
    "a directory of another": ("chdir", "/proc/1/cwd/.."),
}


def results(outcome: Outcome) -> list[tuple[Any, Any]]:
    assert outcome.code == 0, str(outcome)
    return [(line["cmd"], line.get("errno")) for line in outcome.lines]


@pytest.mark.parametrize(
    "setting", [strict, lenient, filtered, masked], ids=lambda each: each.__name__
)
def test_the_same_refusals(bundle: Bundle, setting: Callable[[Bundle], None]) -> None:
    """All attempts in one process: each must end for a late one as it ends for the first."""
    setting(bundle)
    words: list[str] = []
    for attempt in ATTEMPTS.values():
        words += [*attempt, "--"]
    first = results(run(bundle.inside(*words[:-1])))
    assert len(first) == len(ATTEMPTS)
    with running(bundle) as box:
        late = results(attached(box, "ID", "/inside", *words[:-1]))
    told = dict(zip(ATTEMPTS, zip(first, late, strict=True), strict=True))
    assert {name: pair for name, pair in told.items() if pair[0] != pair[1]} == {}


@pytest.mark.parametrize("prepare", STATES, ids=lambda each: each.__name__)
def test_nothing_of_the_caller(bundle: Bundle, prepare: Callable[[], None]) -> None:
    """R-24: how an engine stands when it calls exec is no business of the process."""
    with running(bundle) as box:
        first = seen(inside(box, "report").facts)
        box.prepare = prepare
        outcome = inside(box, "report")
        box.prepare = None
        assert outcome.code == 0, str(outcome)
        assert seen(outcome.facts) == first


def test_the_memory_limit(bundle: Bundle) -> None:
    """The one killed is the late one: the container's first process takes little."""
    bundle.set("linux.resources", {"memory": {"limit": 16 << 20, "swap": 16 << 20}})
    with running(bundle) as box:
        assert attached(box, "ID", "/inside", "alloc", "4").code == 0
        assert attached(box, "ID", "/inside", "alloc", "64").code == 137
        assert box.status == "running"


def test_the_limit_of_processes(bundle: Bundle) -> None:
    bundle.set("linux.resources", {"pids": {"limit": 5}})
    with running(bundle) as box:
        line = attached(box, "ID", "/inside", "forks", "10").lines[0]
        assert (line["errno"], line["made"]) == ("EAGAIN", 3)


def test_a_read_only_kernel(bundle: Bundle) -> None:
    """A filter that allows next to nothing: what the runtime itself does after it is little."""
    allowed = [
        "read", "write", "close", "execve", "exit", "exit_group", "brk", "arch_prctl", "set_tid_address", "mmap",
        "set_robust_list", "rseq", "prlimit64", "readlinkat", "readlink", "getrandom", "mprotect", "fstat", "newfstatat",
        "uname", "munmap",
    ]  # fmt: skip
    rule = {"names": allowed, "action": "SCMP_ACT_ALLOW"}
    bundle.set("linux.seccomp", {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule]})
    with running(bundle) as box:
        outcome = attached(box, "ID", "/inside", "echo", "hello", "--", "mkdir", "/tmp/x")
        assert outcome.code == 0 and outcome.out.startswith("hello\n"), str(outcome)
        assert outcome.lines[0]["errno"] == "EPERM"
