"""The native parts built for arm64 by a cross compiler: without a warning, and with the same layouts as here.

The tape holds structures of the kernel that Python lays out for both machines alike; here both compilers are asked.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import sysconfig
from pathlib import Path

import pytest

from pyruntime.kernel.native import lib
from pyruntime.seccomp import tables
from tests.lib import foreign
from tests.lib.foreign import CROSS
from tests.lib.programs import PROJECT

LARGEST_INIT = 64 << 10
NATIVE = PROJECT / "native"
STRICT = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"]
# Numbers that arm64 has of its own; all others are the same for both.
DIFFERENT = {"O_DIRECTORY", "O_NOFOLLOW"}
LAYOUT = """
#define _GNU_SOURCE
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/stat.h>
#include <asm/statfs.h>
#include <asm/termbits.h>
#include <net/if.h>
#include <stddef.h>
#include <sys/socket.h>
struct rlimit64_ { unsigned long long soft, hard; };
const long long table[] = {
	sizeof(struct statx), offsetof(struct statx, stx_mode), offsetof(struct statx, stx_ino),
	offsetof(struct statx, stx_rdev_major), offsetof(struct statx, stx_rdev_minor), offsetof(struct statx, stx_mnt_id),
	sizeof(struct clone_args), sizeof(struct open_how), sizeof(struct mount_attr), sizeof(struct statfs),
	offsetof(struct statfs, f_type), sizeof(struct msghdr), offsetof(struct msghdr, msg_control),
	offsetof(struct msghdr, msg_controllen), sizeof(struct cmsghdr), sizeof(struct ifreq), sizeof(struct sock_fprog),
	offsetof(struct sock_fprog, filter), sizeof(struct sock_filter), sizeof(struct __user_cap_data_struct),
	sizeof(struct rlimit64_), sizeof(long), sizeof(void *), (long long)(char)-1 < 0,
};
"""
ACTION = """
#include <stddef.h>
#include <linux/types.h>
#include <asm/signal.h>
const long long table[] = { sizeof(struct sigaction), offsetof(struct sigaction, sa_flags),
	offsetof(struct sigaction, sa_mask), SIGCHLD, SIGPIPE, SIGTERM, SIGUSR1, SIGUSR2, 0x04000000 };
"""


def table(source: str, prefix: str, tmp: Path) -> tuple[int, ...]:
    """The numbers of `table` as that compiler lays them out."""
    unit, data = tmp / f"{prefix}table.o", tmp / f"{prefix}table"
    subprocess.run(
        [foreign.tool(f"{prefix}gcc"), "-x", "c", "-c", "-o", str(unit), "-"],
        input=source, text=True, check=True,
    )  # fmt: skip
    copy = [foreign.tool(f"{prefix}objcopy"), "-O", "binary", "--only-section=.rodata"]
    subprocess.run([*copy, str(unit), str(data)], check=True)
    return tuple(value for (value,) in struct.iter_unpack("<q", data.read_bytes()))


@pytest.mark.parametrize("source", [LAYOUT, ACTION], ids=["structures", "signals"])
def test_layouts_are_those_of_this_machine(tmp_path: Path, source: str) -> None:
    here, there = table(source, "", tmp_path), table(source, CROSS, tmp_path)
    if source == LAYOUT:
        assert (here[-1], there[-1]) == (1, 0), "char: signed here, unsigned there"
        here, there = here[:-1], there[:-1]
    assert here == there and len(here) > 8


def test_numbers() -> None:
    """System calls have others, constants the same but for two."""
    names = foreign.names(lib)
    found = foreign.numbers(names)
    calls = {name for name in names if name.startswith("NR_")}
    assert (found["NR_openat"], found["NR_write"], found["NR_openat2"]) == (56, 64, 437)
    other = {name for name in names if found[name] != getattr(lib, name)}
    assert other - calls == DIFFERENT
    assert len(calls) > 40


def test_seccomp_numbers_are_the_headers() -> None:
    """Every system call of the generated table that these headers know."""
    ours = tables.read_numbers("aarch64")
    text = "#include <asm/unistd.h>\n" + "".join(
        f"#ifdef __NR_{name}\nFOUND {name} __NR_{name}\n#endif\n" for name in sorted(ours)
    )
    done = subprocess.run(
        [foreign.tool(f"{CROSS}gcc"), "-E", "-P", "-x", "c", "-"],
        input=text, text=True, check=True, capture_output=True,
    )  # fmt: skip
    rows = [line.split(maxsplit=2)[1:] for line in done.stdout.splitlines() if line[:5] == "FOUND"]
    read = {name: eval(value, {}) for name, value in rows}  # such as (244 + 15)
    assert read == {name: ours[name] for name in read}
    assert len(read) > 300


def test_the_init() -> None:
    foreign.build()
    assert foreign.INIT.stat().st_size <= LARGEST_INIT
    header = foreign.INIT.read_bytes()[:64]
    assert header[:6] == b"\x7fELF\x02\x01" and int.from_bytes(header[18:20], "little") == 183
    done = subprocess.run(
        [foreign.tool(f"{CROSS}readelf"), "-lW", str(foreign.INIT)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "INTERP" not in done.stdout and "DYNAMIC" not in done.stdout
    parts = [line.split() for line in done.stdout.splitlines() if line.split()[:1] == ["LOAD"]]
    assert parts and all(part[-1] == "0x10000" for part in parts), "kernels may have 64 KiB pages"


@pytest.mark.parametrize("name", ["shim", "bpf"])
def test_the_shim(tmp_path: Path, name: str) -> None:
    source = NATIVE / f"shim/{name}.c"
    command = [foreign.tool(f"{CROSS}gcc"), *STRICT, "-fstack-protector-strong", "-c"]
    subprocess.run([*command, str(source), "-o", str(tmp_path / "unit.o")], check=True)


@pytest.mark.parametrize("name", ["launcher", "heap", "inittab", "plain"])
def test_the_launcher(tmp_path: Path, name: str) -> None:
    """Compiled, not linked: this machine has no libpython for arm64. Its pyconfig.h serves, both are LP64."""
    include = Path(sysconfig.get_path("include"))
    place = tmp_path / "aarch64-linux-gnu" / include.name
    place.mkdir(parents=True)
    own = include.parent / str(sysconfig.get_config_var("MULTIARCH")) / include.name / "pyconfig.h"
    shutil.copy(own if own.exists() else include / "pyconfig.h", place)
    words = [f"-I{NATIVE / 'launcher'}", "-isystem", str(include), "-isystem", str(tmp_path)]
    words += ["-DPy_BUILD_CORE", '-DPR_INTERPRETER="x"', "-Wno-unused-parameter", "-Wconversion"]
    command = [foreign.tool(f"{CROSS}gcc"), *STRICT, *words, "-c"]
    source = NATIVE / f"launcher/{name}.c"
    subprocess.run([*command, str(source), "-o", str(tmp_path / "unit.o")], check=True)
