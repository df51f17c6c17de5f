"""Profiles to compare on, from a seed, and the calls worth trying against a profile."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from pyruntime.seccomp import tables, words
from tests.lib.bpf import Call
from tests.unit.seccomp import oracle

OPERATORS = tuple(oracle.COMPARISONS)
ACTIONS: tuple[dict[str, Any], ...] = (
    {"action": "SCMP_ACT_ALLOW"},
    {"action": "SCMP_ACT_ERRNO"},
    {"action": "SCMP_ACT_ERRNO", "errnoRet": 38},
    {"action": "SCMP_ACT_TRACE", "errnoRet": 7},
    {"action": "SCMP_ACT_TRAP"},
    {"action": "SCMP_ACT_LOG"},
    {"action": "SCMP_ACT_KILL"},
    {"action": "SCMP_ACT_KILL_PROCESS"},
    {"action": "SCMP_ACT_KILL_THREAD"},
    {"action": "SCMP_ACT_NOTIFY"},
)
DEFAULTS = tuple(each for each in ACTIONS if each["action"] != "SCMP_ACT_NOTIFY")
VALUES = (
    *(0, 1, 2, 5, 7, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF),
    *(0x100000000, 0x100000001, 0x100000005, 0x1000000FF, 0x200000000),
    *(0xFFFFFFFF00000000, 0xFFFFFFFFFFFFFFFF),
)
# Numbers at which something changes: the ends of the tables, of x32, of what is a number at all.
EDGES = (
    *(1000, 4000, 5000, 6000, 0xF0001, 0x3FFFFFFF, 0x40000000, 0x40000200, 0x7FFFFFFF),
    *(0x80000000, 0xBFFFFFFF, 0xC0000000, 0xFFFFFFFE, 0xFFFFFFFF),
)
FOREIGN = 0xC0DE


def condition(source: random.Random, index: int, operators: tuple[str, ...]) -> dict[str, Any]:
    return {
        "index": index,
        "op": source.choice(operators),
        "value": source.choice(VALUES),
        "valueTwo": source.choice(VALUES),
    }


def rule(
    source: random.Random,
    names: list[str],
    *,
    conditions: int,
    operators: tuple[str, ...] = OPERATORS,
    actions: tuple[dict[str, Any], ...] = ACTIONS,
    arguments: int = 3,
) -> dict[str, Any]:
    made = {"names": names, **source.choice(actions)}
    if conditions:
        chosen = source.sample(range(arguments), conditions)
        made["args"] = [condition(source, index, operators) for index in chosen]
    return made


def names_of(arch: str) -> list[str]:
    """Names that a table of this architecture has and that libseccomp can translate to it."""
    table = tables.read_numbers(words.ARCHITECTURES[arch].table)
    return sorted(name for name in table if oracle.translates(name))


# The kernel's headers give them to x32, and Debian 12's libseccomp does not.
NEWER_ON_X32 = {"map_shadow_stack", "uprobe", "uretprobe"}


def known(profile: dict[str, Any]) -> dict[str, Any]:
    """Without the names this libseccomp has never heard of: we know newer system calls."""
    rules = []
    for each in profile["syscalls"]:
        names = [name for name in each["names"] if oracle.number_of(name) != oracle.UNKNOWN]
        if names:
            rules.append({**each, "names": names})
    return {**profile, "syscalls": rules}


def document(
    source: random.Random, rules: list[dict[str, Any]], architectures: list[str]
) -> dict[str, Any]:
    default = source.choice(DEFAULTS)
    made: dict[str, Any] = {"defaultAction": default["action"], "syscalls": rules}
    if "errnoRet" in default:
        made["defaultErrnoRet"] = default["errnoRet"]
    made["architectures"] = architectures
    for each in rules:
        if each["action"] == "SCMP_ACT_NOTIFY" and "write" in each["names"]:
            each["names"] = [name if name != "write" else "read" for name in each["names"]]
    return made


def interesting(rules: list[dict[str, Any]]) -> list[list[int]]:
    """For each argument, the values around what the rules compare it with."""
    values: list[set[int]] = [{0, 3} for _ in range(6)]
    for each in rules:
        for compared in each.get("args", ()):
            for value in (compared["value"], compared.get("valueTwo", 0)):
                values[compared["index"]] |= {
                    (value + step) & 0xFFFFFFFFFFFFFFFF for step in (-1, 0, 1)
                }
    return [sorted(each) for each in values]


def arguments(
    source: random.Random, rules: list[dict[str, Any]], count: int
) -> Iterator[tuple[int, ...]]:
    """Every interesting value once, then mixtures."""
    values = interesting(rules)
    for index, each in enumerate(values):
        for value in each:
            yield tuple(value if place == index else 0 for place in range(6))
    for _ in range(count):
        yield tuple(source.choice(each) for each in values)


def calls(
    source: random.Random, profile: dict[str, Any], native: str, *, numbers: int, mixtures: int
) -> Iterator[Call]:
    """Every number below `numbers` plainly on every architecture, arguments where rules look at them."""
    conditional = [each for each in profile["syscalls"] if each.get("args")]
    names = {name for each in conditional for name in each["names"]} | {"socketcall", "ipc"}
    multiplexed = [
        (number, 0, 0, 0, 0, 0)
        for number in (*words.SOCKETCALLS.values(), *words.IPC_CALLS.values())
    ]
    for arch in dict.fromkeys([native, *profile.get("architectures", ())]):
        audit = words.ARCHITECTURES[arch].audit
        table = tables.read_numbers(words.ARCHITECTURES[arch].table)
        base = min(table.values()) & ~0xFFF if arch != "SCMP_ARCH_MIPS" else 4000
        base = min(table.values())
        for number in {*range(base, base + numbers), *range(64), *EDGES, *table.values()}:
            yield Call(audit, number, (0, 0, 0, 0, 0, 0))
        for name in sorted(names & table.keys()):
            for values in [*arguments(source, conditional, mixtures), *multiplexed]:
                yield Call(audit, table[name], values)
    for number in (0, 1, 64, 0x40000000):
        yield Call(FOREIGN, number, (0, 0, 0, 0, 0, 0))
