"""compile: what is refused and where, what is added to a profile, what comes out."""

from __future__ import annotations

import platform
from typing import Any

import pytest

from pyruntime.seccomp import words
from pyruntime.seccomp.compile import compile_filter
from pyruntime.seccomp.profile import ProfileError, read_flags
from tests.bench import profiles
from tests.lib import bpf
from tests.lib.patience import cpu_time

X86_64, X86, AARCH64 = 0xC000003E, 0x40000003, 0xC00000B7
EPERM, ENOSYS = words.ERRNO | 1, words.ERRNO | 38
READ, WRITE, PERSONALITY, FILE_SETATTR = 0, 1, 135, 469
X32 = words.X32_BIT


def profile(*rules: dict[str, Any], default: str = "SCMP_ACT_ERRNO", **more: Any) -> dict[str, Any]:
    return {"defaultAction": default, "syscalls": list(rules), **more}


def allow(*names: str, **more: Any) -> dict[str, Any]:
    return {"names": list(names), "action": "SCMP_ACT_ALLOW", **more}


def compare(index: int, operator: str, value: int, second: int = 0) -> dict[str, Any]:
    return {"index": index, "op": f"SCMP_CMP_{operator}", "value": value, "valueTwo": second}


class Filter:
    """A compiled profile that can be asked."""

    def __init__(self, document: dict[str, Any], machine: str = "x86_64") -> None:
        code, self.warnings = compile_filter(document, machine)
        self.order = ">" if machine == "s390x" else "<"
        self.program = bpf.decode(code, self.order)
        bpf.check(self.program)

    def __call__(self, number: int, *arguments: int, arch: int = X86_64) -> int:
        call = bpf.Call(arch, number, (*arguments, *[0] * (6 - len(arguments))))
        return bpf.decide(self.program, call, self.order)


def findings(document: dict[str, Any], machine: str = "x86_64") -> list[tuple[str, str]]:
    with pytest.raises(ProfileError) as caught:
        compile_filter(document, machine)
    return caught.value.findings


@pytest.mark.covers("linux.seccomp.defaultAction", "linux.seccomp.syscalls.action")
@pytest.mark.parametrize(
    ("word", "errno", "value"),
    [
        ("SCMP_ACT_ALLOW", None, 0x7FFF0000),
        ("SCMP_ACT_ERRNO", None, 0x00050001),
        ("SCMP_ACT_ERRNO", 0, 0x00050000),
        ("SCMP_ACT_ERRNO", 4094, 0x00050FFE),
        ("SCMP_ACT_KILL", None, 0x00000000),
        ("SCMP_ACT_KILL_PROCESS", None, 0x80000000),
        ("SCMP_ACT_KILL_THREAD", None, 0x00000000),
        ("SCMP_ACT_LOG", None, 0x7FFC0000),
        ("SCMP_ACT_NOTIFY", None, 0x7FC00000),
        ("SCMP_ACT_TRACE", None, 0x7FF00001),
        ("SCMP_ACT_TRACE", 0xFFFF, 0x7FF0FFFF),
        ("SCMP_ACT_TRAP", None, 0x00030000),
    ],
)
def test_actions(word: str, errno: int | None, value: int) -> None:
    rule: dict[str, Any] = {"names": ["read"], "action": word}
    if errno is not None:
        rule["errnoRet"] = errno
    assert Filter(profile(rule, defaultErrnoRet=2))(READ) == value


def test_every_mistake_is_found_at_its_place() -> None:
    document = profile(
        {"names": [], "action": "SCMP_ACT_ALLOW"},
        {"names": ["read"], "action": "SCMP_ACT_MAYBE"},
        allow("read", errnoRet=1),
        {"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4095},
        {"names": ["read", "write"], "action": "SCMP_ACT_NOTIFY"},
        allow(
            "read",
            args=[
                {"index": 6, "op": "SCMP_CMP_EQ", "value": 0},
                {"index": 0, "op": "EQ", "value": 1 << 64},
            ],
        ),
        allow("read", ""),
        default="SCMP_ACT_NOTIFY",
        defaultErrnoRet=1,
        architectures=["SCMP_ARCH_VAX", "SCMP_ARCH_SH", "SCMP_ARCH_S390X"],
    )
    assert [pointer.removeprefix("/linux/seccomp") for pointer, _ in findings(document)] == [
        "/defaultAction",
        "/defaultErrnoRet",
        "/architectures/0",
        "/architectures/1",
        "/architectures/2",
        "/syscalls/0/names",
        "/syscalls/1/action",
        "/syscalls/2/errnoRet",
        "/syscalls/3/errnoRet",
        "/syscalls/4/names/1",
        "/syscalls/5/args/0/index",
        "/syscalls/5/args/1/op",
        "/syscalls/5/args/1/value",
        "/syscalls/6/names/1",
    ]


def test_contradicting_rules_are_refused() -> None:
    kill = {"names": ["read"], "action": "SCMP_ACT_KILL", "args": [compare(0, "EQ", 1)]}
    ((pointer, why),) = findings(profile(allow("read", args=[compare(0, "EQ", 1)]), kill))
    assert pointer == "/linux/seccomp/syscalls/1"
    assert "read" in why


def test_an_unknown_machine_is_refused() -> None:
    assert findings(profile(), "vax")[0][0] == "/linux/seccomp"


def test_a_program_too_long_is_refused() -> None:
    names = [f"{kind}{call}" for kind in ("", "f", "l") for call in ("setxattr", "getxattr")]
    rules = [
        allow(
            name,
            args=[compare(index, "GT", index << 40 | 5 + number) for index in range(6)],
        )
        for name in names
        for number in range(12)
    ]
    ((pointer, why),) = findings(profile(*rules))
    assert pointer == "/linux/seccomp"
    assert "4096" in why


@pytest.mark.covers("linux.seccomp.syscalls.names")
def test_unknown_names_are_told_and_skipped() -> None:
    document = profile(allow("read", "no_such_call", "riscv_flush_icache"))
    made = Filter(document)
    assert made.warnings == ["seccomp: unknown system call no_such_call ignored"]
    assert made(READ) == words.ALLOW


@pytest.mark.covers("linux.seccomp.defaultErrnoRet")
def test_newer_calls_get_enosys() -> None:
    made = Filter(profile(allow("read"), allow("personality"), defaultErrnoRet=13))
    assert made(WRITE) == words.ERRNO | 13
    assert made(PERSONALITY) == words.ALLOW
    assert made(PERSONALITY + 1) == ENOSYS
    assert made(0x3FFFFFFF) == ENOSYS


def test_what_counts_as_known() -> None:
    """Names in rules that change nothing count too, conditional ones as well; ours reach Linux 6.18."""
    same = {"names": ["personality"], "action": "SCMP_ACT_ERRNO"}
    assert Filter(profile(allow("read"), same))(PERSONALITY - 1) == EPERM
    conditional = allow("personality", args=[compare(0, "EQ", 0)])
    assert Filter(profile(allow("read"), conditional))(PERSONALITY, 1) == EPERM
    assert Filter(profile(allow("file_setattr")))(FILE_SETATTR) == words.ALLOW
    # read is number 0, which nothing is older than: no measure.
    assert Filter(profile(allow("read")))(WRITE) == EPERM


@pytest.mark.parametrize("default", ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"])
def test_no_enosys_where_the_default_lets_pass(default: str) -> None:
    document = profile({"names": ["personality"], "action": "SCMP_ACT_KILL"}, default=default)
    assert Filter(document)(600) == Filter(document)(READ) != ENOSYS


@pytest.mark.parametrize("default", ["SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"])
def test_enosys_where_the_default_kills(default: str) -> None:
    assert Filter(profile(allow("personality"), default=default))(600) == ENOSYS


@pytest.mark.covers("linux.seccomp.architectures")
def test_architectures() -> None:
    made = Filter(profile(allow("personality", "read")))
    assert made(READ, arch=X86) == words.KILL_THREAD
    assert made(READ, arch=AARCH64) == words.KILL_THREAD
    assert made(READ | X32) == words.KILL_THREAD
    both = Filter(profile(allow("personality", "read"), architectures=["SCMP_ARCH_X86"]))
    assert both(3, arch=X86) == words.ALLOW, "the native one is there although it is not named"
    assert both(READ) == words.ALLOW
    assert both(READ, arch=X86) == EPERM


def test_x32() -> None:
    made = Filter(profile(allow("personality", "ioctl"), architectures=["SCMP_ARCH_X32"]))
    assert made(16) == words.ALLOW
    assert made(16 | X32) == EPERM, "x32 has its own ioctl"
    assert made(514 | X32) == words.ALLOW
    assert made(515 | X32) == ENOSYS


def test_a_call_skipped_by_a_tracer_is_never_killed() -> None:
    assert Filter(profile(allow("read")))(-1) == EPERM
    assert Filter(profile(allow("personality")))(-2) == words.KILL_THREAD


@pytest.mark.covers(
    "linux.seccomp.syscalls.args.index",
    "linux.seccomp.syscalls.args.op",
    "linux.seccomp.syscalls.args.value",
    "linux.seccomp.syscalls.args.valueTwo",
)
def test_whole_arguments_are_compared() -> None:
    made = Filter(profile(allow("personality", args=[compare(1, "EQ", 0x1_0000_0005)])))
    assert made(PERSONALITY, 0, 0x1_0000_0005) == words.ALLOW
    assert made(PERSONALITY, 0, 5) == EPERM
    assert made(PERSONALITY, 0, 0x2_0000_0005) == EPERM
    masked = Filter(
        profile(allow("personality", args=[compare(0, "MASKED_EQ", 0x1_0000_00F0, 0x10)]))
    )
    assert masked(PERSONALITY, 0xFFFFFFFE_0000001F) == words.ALLOW
    assert masked(PERSONALITY, 0x1_0000_0010) == EPERM


def test_unconditional_rules_beat_conditional_ones_and_the_first_stays() -> None:
    kill = {"names": ["personality"], "action": "SCMP_ACT_KILL", "args": [compare(0, "EQ", 1)]}
    trap = {"names": ["personality"], "action": "SCMP_ACT_TRAP"}
    assert Filter(profile(kill, allow("personality"), trap))(PERSONALITY, 1) == words.ALLOW
    assert Filter(profile(allow("personality"), kill))(PERSONALITY, 1) == words.ALLOW


def test_a_rule_that_says_the_default_decides_nothing() -> None:
    same = {"names": ["personality"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}
    assert Filter(profile(same, allow("personality")))(PERSONALITY) == words.ALLOW


def test_multiplexed_calls() -> None:
    document = profile(allow("socket", "shmget"), architectures=["SCMP_ARCH_X86"])
    made = Filter(document)
    socketcall, ipc = 102, 117
    assert made(socketcall, 1, arch=X86) == words.ALLOW
    assert made(socketcall, 2, arch=X86) == EPERM
    assert made(ipc, 23, arch=X86) == words.ALLOW
    assert made(359, arch=X86) == made(395, arch=X86) == words.ALLOW


def test_s390_answers_enosys_for_number_0() -> None:
    """There the kernel puts 0 for numbers above its table."""
    made = Filter(profile(allow("personality")), "s390x")
    assert made(0, arch=words.ARCHITECTURES["SCMP_ARCH_S390X"].audit) == ENOSYS


@pytest.mark.covers("linux.seccomp.flags")
def test_flags() -> None:
    log, brake = "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"
    assert read_flags(profile()) == 4
    assert read_flags(profile(flags=[])) == 0
    assert read_flags(profile(flags=[log, brake, "SECCOMP_FILTER_FLAG_TSYNC"])) == 6
    notify = {"names": ["read"], "action": "SCMP_ACT_NOTIFY"}
    assert read_flags(profile(notify, flags=["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"])) == 0x28
    with pytest.raises(ProfileError) as caught:
        read_flags(profile(flags=[log, "SECCOMP_FILTER_FLAG_NEW_LISTENER"]))
    assert [pointer for pointer, _ in caught.value.findings] == ["/linux/seccomp/flags/1"]


def test_the_input_is_not_touched() -> None:
    document = profiles.docker()
    before = repr(document)
    compile_filter(document, platform.machine())
    assert repr(document) == before


def test_cost() -> None:
    """Podman's profile: short, and far below the 17 to 35 ms libseccomp takes (bound ten times ours)."""
    document = profiles.podman(set())
    code, _ = compile_filter(document, platform.machine())
    assert len(code) < 8 * 500
    assert cpu_time(lambda: compile_filter(document, platform.machine())) < 0.012
