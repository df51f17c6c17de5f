"""The tables against this machine's kernel headers and against what the generator writes today."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import pytest

from pyruntime.seccomp import generate, tables, words

HERE = platform.machine()
INCLUDE = Path(f"/usr/include/{HERE}-linux-gnu/asm")
HEADERS = {
    "x86_64": {
        "x86_64": "unistd_64.h",
        "x86": "unistd_32.h",
        "x32": "unistd_x32.h",
    },
    # One file, <asm-generic/unistd.h>, with conditions: no plain list to compare with.
    "aarch64": {},
}[HERE]
NEWEST = max(generate.NEWER.values())  # newer headers may know more
DEFINITION = re.compile(r"#define __NR_(\w+)\s+(?:\(__X32_SYSCALL_BIT \+ )?(\d+)\)?$", re.MULTILINE)


@pytest.mark.parametrize("table", HEADERS)
def test_tables_agree_with_the_kernel_headers(table: str) -> None:
    numbers = tables.read_numbers(table)
    bit = words.X32_BIT if table == "x32" else 0
    checked = 0
    for name, number in DEFINITION.findall(INCLUDE.joinpath(HEADERS[table]).read_text()):
        if name in numbers or int(number) <= NEWEST:
            assert numbers[name] == int(number) | bit, name
            checked += 1
    assert checked > 340


def test_every_architecture_has_its_table() -> None:
    for name, arch in words.ARCHITECTURES.items():
        numbers = tables.read_numbers(arch.table)
        assert len(numbers) > 300, name
        assert len(set(numbers.values())) == len(numbers), name
        assert numbers["clone3"] == 435 + generate.BASES.get(arch.table, 0), name
        assert numbers.keys() <= tables.read_every_name()
        if arch.multiplexed:
            assert {"socketcall", "ipc"} <= numbers.keys(), name


TABLES = sorted({arch.table for arch in words.ARCHITECTURES.values()})


@pytest.mark.parametrize("table", TABLES)
def test_the_generator_would_write_the_same_form(table: str) -> None:
    text = generate.HOME.joinpath(f"{table}.py").read_text()
    assert generate.render(table, tables.read_numbers(table)) == text


@pytest.mark.parametrize("table", sorted({*TABLES} - {"loongarch64"}))
def test_tables_agree_with_libseccomp(table: str) -> None:
    """With whatever version is installed: names only one side knows are the other's age."""
    ours = tables.read_numbers(table)
    theirs = generate.Resolver().table(table, sorted(tables.read_every_name()))
    shared = ours.keys() & theirs.keys()
    assert len(shared) > 300
    assert {name: ours[name] for name in shared} == {name: theirs[name] for name in shared}


def test_words_agree_with_the_kernel_headers() -> None:
    header = Path("/usr/include/linux/seccomp.h").read_text()
    for flag, value in words.FLAGS.items():
        shift = re.search(rf"#define {flag}\s+\(1UL << (\d+)\)", header)
        assert shift is not None, flag
        assert value == 1 << int(shift[1])
    for word, value in words.ACTIONS.items():
        kernel = word.replace("SCMP_ACT_", "SECCOMP_RET_").replace("NOTIFY", "USER_NOTIF")
        found = re.search(rf"#define {kernel}\s+(0x[0-9a-f]+)U", header)
        if word != "SCMP_ACT_KILL":
            assert found is not None, kernel
            assert value == int(found[1], 16)


def test_audit_numbers_agree_with_the_kernel_headers() -> None:
    audit = Path("/usr/include/linux/audit.h").read_text()
    machines = Path("/usr/include/linux/elf-em.h").read_text()
    names = {"X86": "I386", "X32": "X86_64"}
    for word, arch in words.ARCHITECTURES.items():
        short = word.removeprefix("SCMP_ARCH_")
        found = re.search(rf"#define AUDIT_ARCH_{names.get(short, short)}\s+\(([^)]+)\)", audit)
        assert found is not None, word
        value = 0
        for part in found[1].replace("\\\n", "").split("|"):
            value |= _part(part.strip(), audit, machines)
        assert arch.audit == value, word


def _part(name: str, audit: str, machines: str) -> int:
    found = re.search(rf"#define {name}\s+(0x[0-9a-fA-F]+|\d+)", audit + machines)
    assert found is not None, name
    return int(found[1], 0)
