"""linux.seccomp by what it does to system calls."""

from __future__ import annotations

import platform
from typing import Any

from conformance.catalogue import test
from conformance.claims import equal, excludes, holds, not_created, skip
from conformance.place import Place

GROUP = "seccomp"

X86 = platform.machine() == "x86_64"
PRIORITY, KCMP, ARCH = (146, 312, "SCMP_ARCH_X86_64") if X86 else (125, 272, "SCMP_ARCH_AARCH64")
"""sched_get_priority_max(policy) and kcmp(pid, pid, type, index, index): nothing else in a container calls them."""
X32_BIT = 0x40000000


def profile(
    *rules: dict[str, Any], default: str = "SCMP_ACT_ALLOW", **members: Any
) -> dict[str, Any]:
    return {"defaultAction": default, "architectures": [ARCH], "syscalls": list(rules), **members}


def rule(*names: str, action: str = "SCMP_ACT_ERRNO", **members: Any) -> dict[str, Any]:
    return {"names": list(names), "action": action, **members}


def call(
    place: Place, document: dict[str, Any], number: int = PRIORITY, *args: int, name: str = "bundle"
) -> str:
    """The errno of that system call under the profile."""
    bundle = place.bundle(name).set("linux.seccomp", document)
    return str(place.line(bundle, "syscall", str(number), *map(str, args))["errno"])


def refused(place: Place, document: dict[str, Any], what: str) -> None:
    with place.container(place.bundle().set("linux.seccomp", document)) as box:
        not_created(box, what)


@test(
    leaves=("linux.seccomp.syscalls.*.names.*", "linux.seccomp.syscalls.*.action"),
    requirements=(15, 62),
)
def errno(place: Place) -> None:
    """config-linux.md, Seccomp: names of the system calls that an action is for; SCMP_ACT_ERRNO is EPERM by default."""
    document = profile(rule("personality", "sched_get_priority_max"))
    equal(call(place, document), "EPERM", "the second of two names")
    equal(call(place, profile(rule("personality")), name="other"), "", "a system call not named")


@test(leaves=("linux.seccomp.syscalls.*.errnoRet",), requirements=(15, 62))
def errno_given(place: Place) -> None:
    """config-linux.md, Seccomp: errnoRet is the errno to use."""
    equal(call(place, profile(rule("sched_get_priority_max", errnoRet=17))), "EEXIST", "errno 17")


@test(leaves=("linux.seccomp.defaultAction",), requirements=(15,))
def default_action(place: Place) -> None:
    """config-linux.md, Seccomp: defaultAction is for system calls that no entry names."""
    allowed = rule(*EVERYTHING, action="SCMP_ACT_ALLOW")
    document = profile(allowed, default="SCMP_ACT_ERRNO")
    equal(call(place, document, PRIORITY), "EPERM", "a system call that is not named")


@test(leaves=("linux.seccomp.defaultErrnoRet",), requirements=(15, 62))
def default_errno(place: Place) -> None:
    """config-linux.md, Seccomp: defaultErrnoRet is the errno of the default action."""
    allowed = rule(*EVERYTHING, action="SCMP_ACT_ALLOW")
    document = profile(allowed, default="SCMP_ACT_ERRNO", defaultErrnoRet=18)
    equal(call(place, document, PRIORITY), "EXDEV", "a system call that is not named")


# What a static program and a runtime's last steps need; and nothing that the tests try.
EVERYTHING = """
access arch_prctl bind brk capget capset chdir clone clone3 close close_range connect dup dup2 dup3 epoll_create1
epoll_ctl epoll_pwait execve execveat exit exit_group faccessat faccessat2 fchdir fchown fcntl fstat fstatfs
fsync futex getcwd getdents64 getegid geteuid getgid getgroups getpgid getpid getppid getrandom getrlimit getsid
gettid getuid ioctl keyctl kill lseek lstat madvise mkdirat mmap mount mprotect mremap munmap nanosleep newfstatat open
openat openat2 pipe2 poll ppoll prctl pread64 prlimit64 pwrite64 read readlink readlinkat recvmsg rseq
rt_sigaction rt_sigprocmask rt_sigreturn sched_getaffinity sched_yield sendmsg sendto set_robust_list
set_tid_address setgid setgroups setresgid setresuid setsid setuid sigaltstack socket socketpair stat statfs statx
symlinkat tgkill umask uname unlinkat wait4 waitid write writev recvfrom epoll_wait epoll_create eventfd2 sysinfo
""".split()


@test(
    leaves=("linux.seccomp.syscalls.*.action",),
    requirements=(15,),
    each=("KILL", "KILL_PROCESS", "KILL_THREAD", "TRAP"),
)
def killing_actions(place: Place, label: str) -> None:
    """config-linux.md, Seccomp: a valid list of constants; each ends the program with SIGSYS."""
    bundle = place.bundle().set(
        "linux.seccomp", profile(rule("sched_get_priority_max", action=f"SCMP_ACT_{label}"))
    )
    bundle.without_namespace("pid").inside("syscall", str(PRIORITY))
    with place.container(bundle) as box:
        equal(box.finish_all(), 128 + 31, "how the program ended")


@test(leaves=("linux.seccomp.syscalls.*.action",), requirements=(15,), each=("ALLOW", "LOG"))
def letting_actions(place: Place, label: str) -> None:
    """config-linux.md, Seccomp: actions that let the call through, where an entry before the default does not."""
    allowed = rule(*EVERYTHING, action="SCMP_ACT_ALLOW")
    let = rule("sched_get_priority_max", action=f"SCMP_ACT_{label}")
    equal(call(place, profile(allowed, let, default="SCMP_ACT_ERRNO"), PRIORITY, 1), "", "the call")


# operator: value, valueTwo, {argument: whether the rule is for it}
OPERATORS: dict[str, tuple[int, int | None, dict[int, bool]]] = {
    "SCMP_CMP_EQ": (5, None, {5: True, 4: False, 5 + (1 << 32): False}),
    "SCMP_CMP_NE": (5, None, {5: False, 4: True}),
    "SCMP_CMP_LT": (5, None, {4: True, 5: False}),
    "SCMP_CMP_LE": (5, None, {5: True, 6: False}),
    "SCMP_CMP_GT": (5, None, {6: True, 5: False, 1 << 32: True}),
    "SCMP_CMP_GE": (5, None, {5: True, 4: False}),
    "SCMP_CMP_MASKED_EQ": (6, 4, {5: True, 7: False, 4: True, 2: False}),
}


@test(
    leaves=[
        f"linux.seccomp.syscalls.*.args.*.{name}" for name in ("op", "value", "valueTwo", "index")
    ],
    requirements=(15,),
    each=OPERATORS,
)
def operators(place: Place, label: str) -> None:
    """config-linux.md, Seccomp: op compares the argument of that index with value, and valueTwo where it is masked."""
    value, two, cases = OPERATORS[label]
    argument = {
        "index": 3,
        "value": value,
        "op": label,
        **({} if two is None else {"valueTwo": two}),
    }
    bundle = place.bundle().set(
        "linux.seccomp", profile(rule("kcmp", args=[argument], errnoRet=95))
    )
    words = [["syscall", str(KCMP), "1", "1", "9", str(number), "0"] for number in cases]
    flat = [word for each in words for word in (*each, "--")]
    found = [line["errno"] == "EOPNOTSUPP" for line in place.lines(bundle, *flat[:-1])]
    equal(dict(zip(cases, found, strict=True)), cases, "whether the rule was for the argument")


@test(
    leaves=("linux.seccomp.syscalls.*.args.*.index",), requirements=(15,), each=map(str, range(5))
)
def index(place: Place, label: str) -> None:
    """config-linux.md, Seccomp: index is that of the system call's argument."""
    argument = {"index": int(label), "value": 77, "op": "SCMP_CMP_EQ"}
    bundle = place.bundle().set(
        "linux.seccomp", profile(rule("kcmp", args=[argument], errnoRet=95))
    )
    words: list[str] = []
    for number in range(5):
        words += ["syscall", str(KCMP), *("77" if number == n else "0" for n in range(5)), "--"]
    found = [line["errno"] == "EOPNOTSUPP" for line in place.lines(bundle, *words[:-1])]
    equal(found, [number == int(label) for number in range(5)], "for which argument the rule was")


@test(leaves=("linux.seccomp.syscalls.*.args.*.index",), requirements=(15,))
def all_arguments_count(place: Place) -> None:
    """config-linux.md, Seccomp: an entry with several args is for calls for which all of them hold."""
    arguments = [{"index": n, "value": 7, "op": "SCMP_CMP_EQ"} for n in (3, 4)]
    bundle = place.bundle().set("linux.seccomp", profile(rule("kcmp", args=arguments, errnoRet=95)))
    both, one = place.lines(
        bundle, *f"syscall {KCMP} 1 1 9 7 7 -- syscall {KCMP} 1 1 9 7 0".split()
    )
    equal(both["errno"], "EOPNOTSUPP", "both arguments")
    excludes([one["errno"]], ["EOPNOTSUPP"], "one of them")


@test(leaves=("linux.seccomp.architectures.*",), requirements=(15,), each=("without", "with"))
def architectures(place: Place, label: str) -> None:
    """config-linux.md, Seccomp: architectures used for system calls; entries are for calls of these."""
    if not X86:
        skip("a program of this machine can make calls of one architecture only")
    document = profile(rule("sched_get_priority_max", errnoRet=17))
    if label == "with":
        document["architectures"].append("SCMP_ARCH_X32")
        equal(
            call(place, document, X32_BIT | PRIORITY), "EEXIST", "a call of the other architecture"
        )
        return
    bundle = place.bundle().set("linux.seccomp", document).without_namespace("pid")
    with place.container(bundle.inside("syscall", str(X32_BIT | PRIORITY))) as box:
        box.finish_all()
        excludes(
            [line["errno"] for line in box.lines],
            ["EEXIST"],
            "a call of an architecture not listed",
        )


@test(leaves=("linux.seccomp.flags.*",), requirements=(15,), each=("TSYNC", "LOG", "SPEC_ALLOW"))
def flags(place: Place, label: str) -> None:
    """config-linux.md, Seccomp: flags to use with seccomp(2)."""
    document = profile(rule("sched_get_priority_max"), flags=[f"SECCOMP_FILTER_FLAG_{label}"])
    equal(call(place, document), "EPERM", "the call")


@test(requirements=(15,), leaves=("linux.seccomp.syscalls.*.names.*",))
def an_unknown_name_is_passed_over(place: Place) -> None:
    """config-linux.md, Seccomp: names of system calls that this kernel or this architecture does not have."""
    document = profile(rule("no_such_system_call", "sched_get_priority_max"))
    equal(call(place, document), "EPERM", "the call that is known")


@test(requirements=(15,), leaves=("linux.seccomp.defaultAction",))
def the_filter_is_inherited(place: Place) -> None:
    """config-linux.md, Seccomp: in the container, so for the children of the program, too; and without there is none."""
    seen = place.report(place.bundle().set("linux.seccomp", profile(rule("kcmp"))))
    equal(seen.status["Seccomp"], "2", "the mode of seccomp")
    equal(place.report(place.bundle("other")).status["Seccomp"], "0", "without linux.seccomp")
    holds(seen.status["Seccomp_filters"] != "0", "the number of filters", seen.status)


WRONG: dict[str, dict[str, Any]] = {
    "no names": profile({"names": [], "action": "SCMP_ACT_ERRNO"}),
    "names missing": profile({"action": "SCMP_ACT_ERRNO"}),
    "unknown action": profile(rule("kcmp", action="SCMP_ACT_NONSENSE")),
    "unknown default": profile(default="SCMP_ACT_NONSENSE"),
    "unknown operator": profile(rule("kcmp", args=[{"index": 0, "value": 1, "op": "SCMP_CMP_X"}])),
    "index 6": profile(rule("kcmp", args=[{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}])),
    "unknown architecture": profile(architectures=["SCMP_ARCH_NONSENSE"]),
    "unknown flag": profile(rule("kcmp"), flags=["SECCOMP_FILTER_FLAG_NONSENSE"]),
    "errno of allow": profile(
        rule("kcmp", action="SCMP_ACT_ALLOW", errnoRet=5), default="SCMP_ACT_ERRNO"
    ),
    "errno of kill": profile(rule("kcmp", action="SCMP_ACT_KILL", errnoRet=5)),
    "default errno of allow": profile(rule("kcmp"), defaultErrnoRet=5),
}


@test(
    requirements=(62, 44),
    leaves=[f"linux.seccomp.{name}" for name in ("flags.*", "architectures.*", "defaultErrnoRet")],
    each=WRONG,
)
def profiles_that_cannot_be(place: Place, label: str) -> None:
    """config-linux.md, Seccomp: names MUST contain at least one entry; when the action doesn't support an errno, the
    runtime MUST print an error and fail."""
    refused(place, WRONG[label], label)
