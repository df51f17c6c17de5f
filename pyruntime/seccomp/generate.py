"""Writes tables/: run `python -m pyruntime.seccomp.generate` on a machine with libseccomp, then commit.

System call numbers are asked of libseccomp's resolver, which carries the tables of all architectures (Debian
12's is at Linux 6.4); what is newer than that library stands below, taken from the kernel's own tables.
Nothing at run time needs libseccomp or this module.
"""

from __future__ import annotations

import ctypes
import pathlib
import re
import sys

from pyruntime.seccomp import words

HEADER = pathlib.Path("/usr/include/seccomp-syscalls.h")
HOME = pathlib.Path(__file__).with_name("tables")
LARGEST_GAP = 8  # a longer hole starts a new segment instead of being filled with dashes
WIDTH = 96

# Numbers from 424 on are the same everywhere (alpha aside), counted from the base of the architecture.
NEWER = {
    "futex_wake": 454,
    "futex_wait": 455,
    "futex_requeue": 456,
    "statmount": 457,
    "listmount": 458,
    "lsm_get_self_attr": 459,
    "lsm_set_self_attr": 460,
    "lsm_list_modules": 461,
    "mseal": 462,
    "setxattrat": 463,
    "getxattrat": 464,
    "listxattrat": 465,
    "removexattrat": 466,
    "open_tree_attr": 467,
    "file_getattr": 468,
    "file_setattr": 469,
}
NEWER_HERE = {
    "riscv64": {"riscv_hwprobe": 258},
    "x86_64": {"uretprobe": 335, "uprobe": 336},
    "x32": {"uretprobe": 335, "uprobe": 336, "map_shadow_stack": 453},
}
BASES = {"mips": 4000, "mips64": 5000, "mips64n32": 6000, "x32": words.X32_BIT}

# loongarch64 is newer than the libseccomp of Debian 12. It uses the kernel's generic table like riscv64,
# without what that has of its own, the calls prlimit64 replaced, and secret memory.
LOONGARCH64_LACKS = (
    "getrlimit",
    "setrlimit",
    "memfd_secret",
    "riscv_flush_icache",
    "riscv_hwprobe",
)


class Resolver:
    """libseccomp, asked for numbers and names."""

    def __init__(self) -> None:
        library = ctypes.CDLL("libseccomp.so.2")
        self._token = library.seccomp_arch_resolve_name
        self._token.restype = ctypes.c_uint32
        self._number = library.seccomp_syscall_resolve_name_arch
        self._number.argtypes = [ctypes.c_uint32, ctypes.c_char_p]
        self._name = library.seccomp_syscall_resolve_num_arch
        self._name.argtypes = [ctypes.c_uint32, ctypes.c_int]
        self._name.restype = ctypes.c_void_p
        self._free = ctypes.CDLL(None).free
        self._free.argtypes = [ctypes.c_void_p]

    def name_of(self, token: int, number: int) -> str | None:
        pointer = self._name(token, number)
        if not pointer:
            return None
        name = ctypes.string_at(pointer).decode()
        self._free(pointer)
        return name

    def table(self, arch: str, names: list[str]) -> dict[str, int]:
        """Name to number. Multiplexed calls resolve to a negative stand-in: those are found by number."""
        token = self._token(arch.encode())
        if not token:
            raise SystemExit(f"libseccomp does not know the architecture {arch}")
        found = {name: self._number(token, name.encode()) for name in names}
        table = {name: number for name, number in found.items() if number >= 0}
        base = BASES.get(arch, 0)
        if arch != "x32":
            for number in range(base, base + 600):
                name = self.name_of(token, number)
                if name is not None:
                    table.setdefault(name, number)
        return table


def complete(arch: str, table: dict[str, int]) -> dict[str, int]:
    base = BASES.get(arch, 0)
    for name, number in {**NEWER, **NEWER_HERE.get(arch, {})}.items():
        if table.setdefault(name, base + number) != base + number:
            raise SystemExit(f"{arch}: {name} is {table[name]}, expected {base + number}")
    return table


def segments(table: dict[str, int]) -> list[tuple[int, list[str]]]:
    by_number = {number: name for name, number in table.items()}
    if len(by_number) != len(table):
        raise SystemExit("two names share a number: the table format has no place for that")
    parts: list[tuple[int, list[str]]] = []
    for number in sorted(by_number):
        if parts:
            base, names = parts[-1]
            gap = number - (base + len(names))
            if gap <= LARGEST_GAP:
                names.extend("-" * gap)
                names.append(by_number[number])
                continue
        parts.append((number, [by_number[number]]))
    return parts


def wrap(names: list[str], indent: str) -> str:
    lines, line = [], ""
    for name in names:
        if line and len(indent) + len(line) + len(name) + 4 > WIDTH:
            lines.append(line)
            line = ""
        line += name + " "
    lines.append(line.rstrip())
    return "\n".join(f'{indent}"{line}"' for line in lines)


def render(arch: str, table: dict[str, int]) -> str:
    out = [
        f'"""System call numbers of {arch}. Written by pyruntime/seccomp/generate.py, not by hand."""',
        "",
        "SEGMENTS = (",
    ]
    for base, names in segments(table):
        out += ["    (", f"        {base},", wrap(names, "        ") + ",", "    ),"]
    return "\n".join([*out, ")", ""])


def render_names(names: set[str]) -> str:
    return "\n".join(
        [
            '"""Every system call name of any architecture. Written by pyruntime/seccomp/generate.py."""',
            "",
            "NAMES = (",
            wrap(sorted(names), "    "),
            ")",
            "",
        ]
    )


def generate() -> dict[str, str]:
    """File name to text, for writing and for the test that compares."""
    names = sorted(set(re.findall(r"__SNR_(\w+)", HEADER.read_text())))
    resolver = Resolver()
    wanted = {arch.table for arch in words.ARCHITECTURES.values()} - {"loongarch64"}
    tables = {arch: complete(arch, resolver.table(arch, names)) for arch in sorted(wanted)}
    tables["loongarch64"] = {
        name: number for name, number in tables["riscv64"].items() if name not in LOONGARCH64_LACKS
    }
    known = set(names) | {name for table in tables.values() for name in table}
    files = {f"{arch}.py": render(arch, table) for arch, table in tables.items()}
    files["every.py"] = render_names(known)
    return files


if __name__ == "__main__":
    for file_name, text in generate().items():
        HOME.joinpath(file_name).write_text(text)
        sys.stdout.write(f"{file_name}: {len(text)} bytes\n")
