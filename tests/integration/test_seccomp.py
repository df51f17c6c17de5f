"""linux.seccomp by effect; the generated programs themselves are compared in the unit tests."""

from __future__ import annotations

import platform
import select
import time
from pathlib import Path
from typing import Any

import pytest

from tests.lib import programs
from tests.lib.box import Box, refused, report, run
from tests.lib.bundle import Bundle
from tests.lib.patience import deadline as scaled_deadline

if platform.machine() == "x86_64":
    PROBED, SETHOSTNAME, KCMP, ARCH = 146, 170, 312, "SCMP_ARCH_X86_64"
else:
    PROBED, SETHOSTNAME, KCMP, ARCH = 125, 161, 272, "SCMP_ARCH_AARCH64"


def profile(
    *rules: dict[str, Any], default: str = "SCMP_ACT_ALLOW", **members: Any
) -> dict[str, Any]:
    return {"defaultAction": default, "architectures": [ARCH], "syscalls": list(rules), **members}


def rule(*names: str, action: str = "SCMP_ACT_ERRNO", **members: Any) -> dict[str, Any]:
    return {"names": list(names), "action": action, **members}


def argument(index: int, value: int, op: str, two: int | None = None) -> dict[str, Any]:
    return {"index": index, "value": value, "op": op, **({} if two is None else {"valueTwo": two})}


def syscall(bundle: Bundle, number: int, *args: object) -> dict[str, Any]:
    outcome = run(bundle.inside("syscall", str(number), *map(str, args)))
    assert outcome.lines, str(outcome)
    return outcome.lines[0]


def test_the_mode_is_filter(bundle: Bundle) -> None:
    facts = report(bundle.set("linux.seccomp", profile(rule("kcmp"))))
    assert facts.seccomp == 2 and facts.status["Seccomp"] == "2"


def test_without_a_profile_there_is_no_filter(bundle: Bundle) -> None:
    assert report(bundle).seccomp == 0


@pytest.mark.covers("linux.seccomp.syscalls.names")
@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_errno(bundle: Bundle, no_new_privileges: bool) -> None:
    bundle.set("linux.seccomp", profile(rule("sched_get_priority_max"))).set(
        "process.noNewPrivileges", no_new_privileges
    )
    assert syscall(bundle, PROBED)["errno"] == "EPERM"


@pytest.mark.covers("linux.seccomp.syscalls.errnoRet")
def test_errno_given(bundle: Bundle) -> None:
    assert (
        syscall(
            bundle.set("linux.seccomp", profile(rule("sched_get_priority_max", errnoRet=17))),
            PROBED,
        )["errno"]
        == "EEXIST"
    )


def test_errno_zero_is_success(bundle: Bundle) -> None:
    line = syscall(
        bundle.set("linux.seccomp", profile(rule("sched_get_priority_max", errnoRet=0))), PROBED, 1
    )
    assert (line["errno"], line["value"]) == ("", 0), "the call itself would give 99"


@pytest.mark.covers("linux.seccomp.syscalls.action")
@pytest.mark.parametrize(
    ("action", "code"),
    [
        ("SCMP_ACT_KILL", 159),
        ("SCMP_ACT_KILL_PROCESS", 159),
        ("SCMP_ACT_KILL_THREAD", 159),
        ("SCMP_ACT_TRAP", 159),
    ],
)
def test_killing_actions(bundle: Bundle, action: str, code: int) -> None:
    bundle.set(
        "linux.seccomp", profile(rule("sched_get_priority_max", action=action))
    ).without_namespace("pid")
    assert run(bundle.inside("syscall", str(PROBED))).code == code


@pytest.mark.parametrize("action", ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG"])
def test_letting_actions(bundle: Bundle, action: str) -> None:
    bundle.set("linux.seccomp", profile(rule("sched_get_priority_max", action=action)))
    assert syscall(bundle, PROBED)["errno"] == ""


OPERATORS = [
    ("SCMP_CMP_EQ", 5, None, {5: True, 4: False}),
    ("SCMP_CMP_NE", 5, None, {5: False, 4: True}),
    ("SCMP_CMP_LT", 5, None, {4: True, 5: False}),
    ("SCMP_CMP_LE", 5, None, {5: True, 6: False}),
    ("SCMP_CMP_GT", 5, None, {6: True, 5: False}),
    ("SCMP_CMP_GE", 5, None, {5: True, 4: False}),
    ("SCMP_CMP_MASKED_EQ", 6, 4, {5: True, 7: False, 4: True, 2: False}),
    ("SCMP_CMP_EQ", 1 << 32, None, {1 << 32: True, 0: False}),
]


@pytest.mark.covers("linux.seccomp.syscalls.args")
@pytest.mark.parametrize(("operator", "value", "two", "cases"), OPERATORS)
def test_argument_operators(
    bundle: Bundle, operator: str, value: int, two: int | None, cases: dict[int, bool]
) -> None:
    """Both halves of a 64-bit argument count."""
    bundle.set(
        "linux.seccomp",
        profile(rule("kcmp", args=[argument(3, value, operator, two)], errnoRet=95)),
    )
    words: list[str] = []
    for tried in cases:
        words += ["syscall", str(KCMP), "1", "1", "99", str(tried), "0", "--"]
    lines = run(bundle.inside(*words[:-1])).lines
    assert [line["errno"] == "EOPNOTSUPP" for line in lines] == list(cases.values())


def test_two_arguments_must_both_match(bundle: Bundle) -> None:
    args = [argument(0, 1, "SCMP_CMP_EQ"), argument(1, 2, "SCMP_CMP_EQ")]
    bundle.set("linux.seccomp", profile(rule("kcmp", args=args, errnoRet=95)))
    words = f"syscall {KCMP} 1 2 99 -- syscall {KCMP} 1 3 99"
    assert [line["errno"] == "EOPNOTSUPP" for line in run(bundle.inside(*words.split())).lines] == [
        True,
        False,
    ]


def test_two_conditions_on_one_argument_are_alternatives(bundle: Bundle) -> None:
    """As runc reads them: each becomes a rule of its own."""
    args = [argument(0, 1, "SCMP_CMP_EQ"), argument(0, 2, "SCMP_CMP_EQ")]
    bundle.set("linux.seccomp", profile(rule("kcmp", args=args, errnoRet=95)))
    words = f"syscall {KCMP} 1 1 99 -- syscall {KCMP} 2 1 99 -- syscall {KCMP} 3 1 99"
    assert [line["errno"] == "EOPNOTSUPP" for line in run(bundle.inside(*words.split())).lines] == [
        True,
        True,
        False,
    ]


NEEDED = """read write close fstat lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask ioctl access execve
exit exit_group arch_prctl set_tid_address set_robust_list rseq prlimit64 readlinkat readlink getrandom futex
newfstatat openat fcntl getpid writev pread64 prctl""".split()


GO = """setgroups setgid setuid capset capget getppid chdir getcwd getuid getgid statx stat lstat fstatfs getdents64
close_range faccessat faccessat2 tgkill gettid clone clone3 nanosleep epoll_pwait epoll_ctl epoll_create1 sigaltstack
sched_yield rt_sigreturn fchown pipe2 madvise eventfd2 poll ppoll dup dup3""".split()


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_an_allow_list_that_holds_only_what_the_program_needs(
    bundle: Bundle, no_new_privileges: bool
) -> None:
    """R-19: after the filter the set-up uses next to nothing itself: what a Go runtime needs besides is in its own
    profile's list alone."""
    names = [*NEEDED, *GO] if programs.runtime_name() == "runc" else NEEDED
    if not no_new_privileges:
        names = [*names, "capset"]
    bundle.set("process.noNewPrivileges", no_new_privileges)
    bundle.set(
        "linux.seccomp", profile(rule(*names, action="SCMP_ACT_ALLOW"), default="SCMP_ACT_ERRNO")
    )
    outcome = run(
        bundle.inside("syscall", str(SETHOSTNAME), "s:x", "1", "--", "echo", '{"cmd":"ran"}')
    )
    assert outcome.code == 0, str(outcome)
    assert outcome.lines[0]["errno"] == "EPERM" and outcome.lines[1]["cmd"] == "ran"


@pytest.mark.parametrize("errno", [1, 38])
@pytest.mark.parametrize(
    "names", ["statx", "faccessat2", "statx faccessat2", "statx faccessat2 faccessat", "getcwd"]
)
def test_a_filter_that_does_not_know_what_the_set_up_asks(
    bundle: Bundle, names: str, errno: int
) -> None:
    """Without no_new_privs the program is looked up beneath the filter, and allow lists of some years ago know
    neither statx nor faccessat2; that the working directory lies inside the root is asked before it is loaded."""
    bundle.set("process.noNewPrivileges", False).set(
        "linux.seccomp", profile(rule(*names.split(), errnoRet=errno))
    )
    assert report(bundle).seccomp == 2
    assert "no such file or directory" in refused(bundle.args("/nowhere"))


@pytest.mark.parametrize("names", ["faccessat2", "statx faccessat2 faccessat"])
def test_a_program_that_cannot_run_beneath_such_a_filter(bundle: Bundle, names: str) -> None:
    bundle.set("process.noNewPrivileges", False).set("linux.seccomp", profile(rule(*names.split())))
    (bundle.rootfs / "data").touch(mode=0o644)
    assert "permission denied" in refused(bundle.args("/data"))


def test_default_errno(bundle: Bundle) -> None:
    names = [
        *NEEDED,
        "chdir",
        "getcwd",
        "setuid",
        "setgid",
        "setgroups",
        "capset",
        "capget",
        "clone",
        "fchown",
        "sched_get_priority_max",
        "stat",
        "fstatfs",
        "getdents64",
        "epoll_pwait",
        "epoll_ctl",
        "sigaltstack",
        "madvise",
        "tgkill",
        "gettid",
        "nanosleep",
        "pipe2",
        "faccessat2",
        "getuid",
        "close_range",
        "umask",
    ]
    bundle.set(
        "linux.seccomp",
        profile(
            rule(*names, action="SCMP_ACT_ALLOW"), default="SCMP_ACT_ERRNO", defaultErrnoRet=38
        ),
    )
    assert syscall(bundle, SETHOSTNAME, "s:x", 1)["errno"] == "ENOSYS"


def test_calls_newer_than_the_profile_are_not_known(bundle: Bundle) -> None:
    """The default EPERM would break programs that probe; runc and crun answer ENOSYS."""
    names = [
        *NEEDED,
        "chdir",
        "getcwd",
        "setuid",
        "setgid",
        "setgroups",
        "capset",
        "capget",
        "clone",
        "fchown",
        "sched_get_priority_max",
        "stat",
        "fstatfs",
        "getdents64",
        "epoll_pwait",
        "epoll_ctl",
        "sigaltstack",
        "madvise",
        "tgkill",
        "gettid",
        "nanosleep",
        "pipe2",
        "faccessat2",
        "getuid",
        "umask",
    ]
    bundle.set(
        "linux.seccomp", profile(rule(*names, action="SCMP_ACT_ALLOW"), default="SCMP_ACT_ERRNO")
    )
    assert syscall(bundle, 1000)["errno"] == "ENOSYS"


def test_other_architectures_do_not_get_through(bundle: Bundle) -> None:
    bundle.set("linux.seccomp", profile(rule("sched_get_priority_max"), architectures=[ARCH]))
    assert syscall(bundle, PROBED)["errno"] == "EPERM"


def test_several_architectures(bundle: Bundle) -> None:
    bundle.set(
        "linux.seccomp",
        profile(
            rule("sched_get_priority_max"),
            architectures=[ARCH, "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_ARM"],
        ),
    )
    assert syscall(bundle, PROBED)["errno"] == "EPERM"


def test_the_native_architecture_is_always_there(bundle: Bundle) -> None:
    bundle.set(
        "linux.seccomp",
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule("sched_get_priority_max")]},
    )
    assert syscall(bundle, PROBED)["errno"] == "EPERM"


def test_unknown_names_are_skipped_in_silence(bundle: Bundle) -> None:
    bundle.set("linux.seccomp", profile(rule("no_such_call", "sched_get_priority_max")))
    with Box(bundle.inside("syscall", str(PROBED))) as box:
        bundle.write(box.id)
        outcome = box.bare(
            "--root", str(box.root), "run", "--bundle", str(bundle.directory), box.id
        )
        assert outcome.lines[0]["errno"] == "EPERM" and outcome.err == ""


def test_the_privilege_that_loads_the_filter_does_not_stay(bundle: Bundle) -> None:
    """Without no_new_privs CAP_SYS_ADMIN is held until the filter is loaded; neither user keeps it, in any set."""
    for user in (0, 1000):
        bundle.set("process.user", {"uid": user, "gid": user}).set("process.noNewPrivileges", False)
        bundle.capabilities("CAP_CHOWN").set("linux.seccomp", profile(rule("kcmp")))
        facts = report(bundle)
        assert facts.seccomp == 2
        for kind in ("effective", "permitted", "inheritable", "bounding", "ambient"):
            assert facts.capabilities(kind) <= {"CAP_CHOWN"}


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["SECCOMP_FILTER_FLAG_LOG"],
        ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
        ["SECCOMP_FILTER_FLAG_TSYNC"],
    ],
)
def test_flags(bundle: Bundle, flags: list[str]) -> None:
    bundle.set("linux.seccomp", profile(rule("sched_get_priority_max"), flags=flags))
    assert syscall(bundle, PROBED)["errno"] == "EPERM"


def test_the_filter_stands_while_created_processes_wait(bundle: Bundle) -> None:
    """With no_new_privs the filter is loaded before the wait for start."""
    with Box(bundle.set("linux.seccomp", profile(rule("kcmp")))) as box:
        box.create()
        status = Path(f"/proc/{box.pid}/status")
        deadline = scaled_deadline(3)
        while "Seccomp:\t2\n" not in status.read_text():
            assert time.monotonic() < deadline, "the init waits without its filter"
            select.select(
                [], [], [], 0.005
            )  # it may still be on the way from its report to the wait


WRONG: list[dict[str, Any]] = [
    profile(rule("sched_get_priority_max", action="SCMP_ACT_NOPE")),
    profile(rule("sched_get_priority_max"), default="SCMP_ACT_NOPE"),
    profile(rule("sched_get_priority_max"), architectures=["SCMP_ARCH_NOPE"]),
    profile(rule("sched_get_priority_max", args=[argument(0, 1, "SCMP_CMP_NOPE")])),
    profile(rule("sched_get_priority_max", args=[argument(6, 1, "SCMP_CMP_EQ")])),
    profile(rule()),
    profile(rule("sched_get_priority_max"), flags=["SECCOMP_FILTER_FLAG_NOPE"]),
    profile(rule("sched_get_priority_max", action="SCMP_ACT_KILL", errnoRet=1)),
    profile(rule("sched_get_priority_max"), default="SCMP_ACT_NOTIFY"),
]


@pytest.mark.covers("linux.seccomp.architectures", "linux.seccomp.flags")
@pytest.mark.parametrize(
    "wrong",
    WRONG,
    ids=["action", "default", "arch", "operator", "index", "names", "flag", "errno", "notify"],
)
def test_wrong_profiles(bundle: Bundle, wrong: dict[str, Any]) -> None:
    refused(bundle.set("linux.seccomp", wrong))
