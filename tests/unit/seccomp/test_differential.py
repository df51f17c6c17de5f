"""Every decision of our program against libseccomp's program for the same profile, both simulated.

Equal everywhere is demanded of: the default profiles of Docker and Podman, whole random profiles, profiles
for other machines, and single system calls with any conditions. Where several rules with conditions speak of
one system call, libseccomp has faults (see conditions.py). There a difference is accepted only if it is
proven one: the action libseccomp takes is wanted by no rule that matches. Ours must always be wanted by one.
"""

from __future__ import annotations

import platform
import random
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from pyruntime.seccomp import words
from pyruntime.seccomp.compile import compile_filter
from pyruntime.seccomp.profile import ProfileError
from tests.bench import profiles
from tests.lib import bpf
from tests.unit.seccomp import material, oracle

HERE = platform.machine()
NATIVE = words.MACHINES[HERE]
# A libseccomp before 2.6 has no table for this one.
FOREIGN_MACHINES = sorted(set(words.MACHINES) - {"loongarch64", "i386", "i586", "armv8l", HERE})
FAULTS_PER_HUNDRED = 20


def ours(profile: dict[str, Any], machine: str = HERE, order: str = "<") -> bpf.Program:
    program = bpf.decode(compile_filter(profile, machine)[0], order)
    bpf.check(program)
    return program


class Reference:
    """What runc with libseccomp decides."""

    def __init__(self, profile: dict[str, Any], native: str, order: str = "<") -> None:
        self._profile, self._native, self._order = profile, native, order
        self._program = oracle.program_of(profile, native, order)
        self._last = {
            arch: oracle.newest(profile, arch) for arch in (native, *profile["architectures"])
        }

    def decide(self, call: bpf.Call) -> int:
        if oracle.newer_than(self._profile, self._native, call, self._last):
            return oracle.ENOSYS_ACTION
        return bpf.decide(self._program, call, self._order)


def compare(
    profile: dict[str, Any], calls: Iterable[bpf.Call], machine: str = HERE, order: str = "<"
) -> int:
    """The number of calls on which both agree; fails at the first on which they do not."""
    try:
        reference = Reference(profile, words.MACHINES[machine], order)
    except oracle.Refused:
        with pytest.raises(ProfileError):
            compile_filter(profile, machine)
        return 0
    program = ours(profile, machine, order)
    count = 0
    for count, call in enumerate(calls, start=1):  # noqa: B007
        mine, theirs = bpf.decide(program, call, order), reference.decide(call)
        assert mine == theirs, f"{call}: {mine:#x}, libseccomp {theirs:#x}\n{profile}"
    return count


@pytest.mark.parametrize(
    "profile",
    [
        pytest.param(profiles.docker(), id="docker"),
        pytest.param(profiles.podman(set()), id="podman"),
        pytest.param(profiles.podman({"CAP_SYS_ADMIN", "CAP_BPF"}), id="podman with capabilities"),
    ],
)
def test_default_profiles(profile: dict[str, Any]) -> None:
    profile = material.known(profile)
    calls = material.calls(random.Random(1), profile, NATIVE, numbers=600, mixtures=20)
    assert compare(profile, calls) > 2500


def whole_profile(source: random.Random, native: str, others: list[str]) -> dict[str, Any]:
    """Several rules with names from all over; a name with conditions is in one rule only.

    Without the multiplexers themselves: libseccomp adds one name after the other, we a rule at once, so that
    of two contradicting rules for `shmctl` the second, if it goes on to name `ipc`, is refused there only.
    """
    left_out = {"ipc", "socketcall", *material.NEWER_ON_X32}
    names = source.sample(sorted({*material.names_of(native)} - left_out), 40)
    rules = [
        material.rule(source, names[first : first + 4], conditions=source.choice((0, 0, 1, 2)))
        for first in range(0, 24, 4)
    ]
    # Unconditional rules may name anything again: the first of them stays.
    rules += [material.rule(source, source.sample(names, 8), conditions=0) for _ in range(3)]
    if {*names} & {*words.SOCKETCALLS, *words.IPC_CALLS}:
        # "Newest" is counted differently for multiplexed calls (see compile.py): name a newer one.
        rules.append({"names": ["futex_waitv"], "action": "SCMP_ACT_ALLOW"})
    source.shuffle(rules)
    return material.document(source, rules, others)


def whole_profiles(seed: int, count: int) -> int:
    source = random.Random(seed)
    others = [name for name, arch in words.ARCHITECTURES.items() if not arch.big_endian]
    others.remove("SCMP_ARCH_LOONGARCH64")
    compared = 0
    for _ in range(count):
        profile = whole_profile(source, NATIVE, source.sample(others, source.randint(0, 3)))
        calls = material.calls(source, profile, NATIVE, numbers=40, mixtures=4)
        compared += compare(profile, calls)
    return compared


def test_random_profiles() -> None:
    assert whole_profiles(2, 25) > 10_000


@pytest.mark.nightly
def test_many_random_profiles() -> None:
    assert whole_profiles(3, 2000) > 1_000_000


@pytest.mark.parametrize("machine", FOREIGN_MACHINES)
def test_other_machines(machine: str) -> None:
    """Byte order, multiplexed calls, numbers with a base, ENOSYS for 0 on s390."""
    native = words.MACHINES[machine]
    big_endian = words.ARCHITECTURES[native].big_endian
    order = ">" if big_endian else "<"
    source = random.Random(machine)
    others = {"SCMP_ARCH_S390X": ["SCMP_ARCH_S390"], "SCMP_ARCH_PPC64": ["SCMP_ARCH_PPC"]}
    compared = 0
    for number in range(6):
        profile = whole_profile(source, native, others.get(native, []) if number % 2 else [])
        calls = material.calls(source, profile, native, numbers=100, mixtures=4)
        compared += compare(profile, calls, machine, order)
    assert compared > 500


@pytest.mark.parametrize("arch", ["SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS64N32"])
def test_mips_beside_another_machine(arch: str) -> None:
    source = random.Random(arch)
    compared = 0
    for _ in range(6):
        profile = whole_profile(source, "SCMP_ARCH_S390X", [arch, "SCMP_ARCH_PARISC"])
        calls = material.calls(source, profile, "SCMP_ARCH_S390X", numbers=100, mixtures=4)
        compared += compare(profile, calls, "s390x", ">")
    assert compared > 500


def single_call(
    seed: int, count: int, arch: str, make: Callable[[random.Random], list[dict[str, Any]]]
) -> None:
    """Many small profiles about `read`; both must refuse the same ones and agree on the others."""
    source = random.Random(seed)
    number = oracle.number_of("read", oracle.token(arch))
    audit = words.ARCHITECTURES[arch].audit
    compared = 0
    for _ in range(count):
        profile = material.document(source, make(source), [arch])
        tries = (
            bpf.Call(audit, number, values)
            for values in material.arguments(source, profile["syscalls"], 60)
        )
        compared += compare(profile, tries) > 0
    assert compared > count * 0.7


BOTH_WIDTHS = pytest.mark.parametrize("arch", ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"])
if HERE == "aarch64":
    BOTH_WIDTHS = pytest.mark.parametrize("arch", ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"])


def one_rule(source: random.Random) -> list[dict[str, Any]]:
    return [material.rule(source, ["read"], conditions=source.randint(1, 4), arguments=6)]


def equal_rules(source: random.Random) -> list[dict[str, Any]]:
    operators = ("SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ")
    return [
        material.rule(source, ["read"], conditions=1, operators=operators)
        for _ in range(source.randint(1, 4))
    ]


def repeated_argument(source: random.Random) -> list[dict[str, Any]]:
    """runc's old meaning: conditions on the same argument are alternatives."""
    made = material.rule(source, ["read"], conditions=1)
    index = made["args"][0]["index"]
    made["args"].append(material.condition(source, index, ("SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ")))
    return [made]


@BOTH_WIDTHS
@pytest.mark.parametrize("make", [one_rule, equal_rules, repeated_argument])
def test_conditions(arch: str, make: Callable[[random.Random], list[dict[str, Any]]]) -> None:
    single_call(4, 200, arch, make)


@pytest.mark.nightly
@BOTH_WIDTHS
@pytest.mark.parametrize("make", [one_rule, equal_rules, repeated_argument])
def test_many_conditions(arch: str, make: Callable[[random.Random], list[dict[str, Any]]]) -> None:
    single_call(5, 6000, arch, make)


def several_rules(seed: int, count: int, arch: str, conditions: int) -> Counter[str]:
    """Any rules for one call. Counts profiles by outcome."""
    source = random.Random(seed)
    number = oracle.number_of("read", oracle.token(arch))
    audit = words.ARCHITECTURES[arch].audit
    outcome: Counter[str] = Counter()
    for _ in range(count):
        rules = [
            material.rule(source, ["read"], conditions=source.randint(1, conditions))
            for _ in range(source.randint(2, 3))
        ]
        profile = material.document(source, rules, [])
        if arch != NATIVE:
            profile["architectures"] = [arch]
        profile.pop("defaultErrnoRet", None)
        outcome[verdict(source, profile, bpf.Call(audit, number, ()), arch)] += 1
    return outcome


def verdict(source: random.Random, profile: dict[str, Any], call: bpf.Call, arch: str) -> str:
    try:
        program = ours(profile)
    except ProfileError:
        program = None
    try:
        theirs = oracle.program_within(5, profile, NATIVE)
    except oracle.Refused:
        return "both refuse" if program is None else "only libseccomp refuses"
    if program is None:
        return "only we refuse"
    outcome = "equal"
    for values in material.arguments(source, profile["syscalls"], 100):
        tried = call._replace(arguments=values)
        mine = bpf.decide(program, tried)
        permitted = oracle.permitted(profile, arch, tried)
        assert mine in permitted, f"{tried}: {mine:#x}, permitted {permitted}\n{profile}"
        if theirs is None:
            outcome = "libseccomp does not come back"
        elif bpf.decide(theirs, tried) not in permitted:
            outcome = "libseccomp takes an action no rule wants"
        elif bpf.decide(theirs, tried) != mine and outcome == "equal":
            outcome = "libseccomp overlooks the first rule"
    return outcome


def judge(outcome: Counter[str]) -> None:
    faults = outcome.total() - outcome["equal"] - outcome["both refuse"]
    assert faults * 100 <= FAULTS_PER_HUNDRED * outcome.total(), outcome
    assert outcome["libseccomp overlooks the first rule"] * 100 <= outcome.total(), outcome
    assert outcome["only we refuse"] * 100 <= outcome.total(), outcome


@BOTH_WIDTHS
def test_several_rules_with_one_condition(arch: str) -> None:
    judge(several_rules(6, 60, arch, 1))


@BOTH_WIDTHS
def test_several_rules_with_conditions(arch: str) -> None:
    judge(several_rules(7, 40, arch, 3))


@pytest.mark.nightly
@BOTH_WIDTHS
@pytest.mark.parametrize("conditions", [1, 2, 3])
def test_many_several_rules(arch: str, conditions: int) -> None:
    judge(several_rules(8, 1000, arch, conditions))
