"""Builds pyruntime.kernel._native: the shim in cffi's API mode, and the kernel's numbers from its headers."""

from __future__ import annotations

import builtins
import keyword
import re
import subprocess
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
INIT = HERE.parent / "init"

HEADERS = """
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <asm/unistd.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/ioprio.h>
#include <linux/keyctl.h>
#include <linux/magic.h>
#include <linux/mempolicy.h>
#include <linux/mount.h>
#include <linux/netlink.h>
#include <linux/openat2.h>
#include <linux/personality.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <linux/sockios.h>
#include <linux/stat.h>
#include <linux/version.h>
#include <net/if.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include "shim.h"
#undef MS_RDONLY
#include <sys/mount.h>
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 9, 0)
#define MPOL_WEIGHTED_INTERLEAVE (MPOL_PREFERRED_MANY + 1)
#endif
"""

# System calls a tape may hold; the init has the list.
CALLS = re.findall(r"X\((\w+)\)", (INIT / "calls.h").read_text().partition("TAPE_CALLS(X)")[2])

CONSTANTS = """
    AT_EMPTY_PATH AT_FDCWD AT_RECURSIVE AT_SYMLINK_NOFOLLOW
    CAP_NET_ADMIN CAP_SETGID CAP_SETUID CAP_SYS_ADMIN CAP_SYS_NICE CAP_SYS_PTRACE
    CLOCK_BOOTTIME CLOCK_MONOTONIC
    CLOSE_RANGE_CLOEXEC
    CLONE_NEWCGROUP CLONE_NEWIPC CLONE_NEWNET CLONE_NEWNS CLONE_NEWPID CLONE_NEWTIME CLONE_NEWUSER CLONE_NEWUTS
    FSCONFIG_CMD_CREATE FSCONFIG_CMD_RECONFIGURE FSCONFIG_SET_FLAG FSCONFIG_SET_STRING
    FSMOUNT_CLOEXEC FSOPEN_CLOEXEC FSPICK_CLOEXEC FSPICK_EMPTY_PATH
    IN_CLOSE_NOWRITE IN_CREATE IN_DELETE IN_MOVED_FROM IN_MOVED_TO IN_ONLYDIR IN_Q_OVERFLOW
    IFF_UP KEYCTL_JOIN_SESSION_KEYRING KEYCTL_SETPERM
    IOPRIO_CLASS_BE IOPRIO_CLASS_IDLE IOPRIO_CLASS_RT IOPRIO_CLASS_SHIFT IOPRIO_WHO_PROCESS
    MOUNT_ATTR_IDMAP MOUNT_ATTR_NOATIME MOUNT_ATTR_NODEV MOUNT_ATTR_NODIRATIME MOUNT_ATTR_NOEXEC
    MOUNT_ATTR_NOSUID MOUNT_ATTR_NOSYMFOLLOW MOUNT_ATTR_RDONLY MOUNT_ATTR_RELATIME MOUNT_ATTR_STRICTATIME
    MOUNT_ATTR__ATIME MNT_DETACH
    MPOL_BIND MPOL_DEFAULT MPOL_INTERLEAVE MPOL_LOCAL MPOL_PREFERRED MPOL_PREFERRED_MANY MPOL_WEIGHTED_INTERLEAVE
    MPOL_F_NUMA_BALANCING MPOL_F_RELATIVE_NODES MPOL_F_STATIC_NODES
    MOVE_MOUNT_F_EMPTY_PATH MOVE_MOUNT_T_EMPTY_PATH
    MS_DIRSYNC MS_I_VERSION MS_LAZYTIME MS_MANDLOCK MS_NODEV MS_NOEXEC MS_NOSUID MS_PRIVATE MS_RDONLY MS_REC
    MS_SHARED MS_SILENT MS_SLAVE MS_SYNCHRONOUS MS_UNBINDABLE
    OPEN_TREE_CLOEXEC OPEN_TREE_CLONE
    O_CLOEXEC O_CREAT O_DIRECTORY O_EXCL O_NOCTTY O_NOFOLLOW O_NONBLOCK O_PATH O_RDONLY O_RDWR O_WRONLY
    PR_CAPBSET_DROP PR_CAP_AMBIENT PR_CAP_AMBIENT_CLEAR_ALL PR_CAP_AMBIENT_RAISE
    PR_SET_DUMPABLE PR_SET_KEEPCAPS PR_SET_NO_NEW_PRIVS PR_SET_PDEATHSIG PR_SET_TIMERSLACK
    RESOLVE_BENEATH RESOLVE_IN_ROOT RESOLVE_NO_MAGICLINKS RESOLVE_NO_SYMLINKS RESOLVE_NO_XDEV
    RLIMIT_AS RLIMIT_CORE RLIMIT_CPU RLIMIT_DATA RLIMIT_FSIZE RLIMIT_LOCKS RLIMIT_MEMLOCK RLIMIT_MSGQUEUE
    RLIMIT_NICE RLIMIT_NOFILE RLIMIT_NPROC RLIMIT_RSS RLIMIT_RTPRIO RLIMIT_RTTIME RLIMIT_SIGPENDING RLIMIT_STACK
    SCHED_BATCH SCHED_DEADLINE SCHED_FIFO SCHED_IDLE SCHED_NORMAL SCHED_RR
    SCHED_FLAG_DL_OVERRUN SCHED_FLAG_KEEP_PARAMS SCHED_FLAG_KEEP_POLICY SCHED_FLAG_RECLAIM SCHED_FLAG_RESET_ON_FORK
    SCHED_FLAG_UTIL_CLAMP_MAX SCHED_FLAG_UTIL_CLAMP_MIN
    SECCOMP_SET_MODE_FILTER
    SIOCGSKNS SIOCSIFFLAGS AF_INET AF_NETLINK NETLINK_ROUTE SOCK_CLOEXEC SOCK_DGRAM SOCK_RAW SOL_SOCKET SCM_RIGHTS
    STATX_INO STATX_MNT_ID STATX_MODE STATX_TYPE
    UMOUNT_NOFOLLOW
    TIOCGPTN TIOCGPTPEER TIOCSCTTY TIOCSPTLCK TIOCSWINSZ
    PROC_SUPER_MAGIC DEVPTS_SUPER_MAGIC RAMFS_MAGIC SELINUX_MAGIC TMPFS_MAGIC
    PER_LINUX PER_LINUX32
""".split()

# RLIMIT_RTTIME and friends may be enumerators, newer numbers may be missing from old headers: both are said here.
RENAMED = {name: f"__NR_{name}" for name in CALLS}


def embedded_init() -> str:
    """The init's bytes as a C array; `make -C native/init` made them."""
    subprocess.run(["make", "-s", "-C", str(INIT)], check=True)
    image = (INIT / "init").read_bytes()
    rows = [", ".join(str(b) for b in image[at : at + 24]) for at in range(0, len(image), 24)]
    return "static const unsigned char init_image[] = {\n" + ",\n".join(rows) + "};\n"


def declarations() -> str:
    header = (HERE / "shim.h").read_text()
    functions = "\n".join(re.findall(r"^int pr_[^;]*;", header, re.MULTILINE))
    numbers = [f"#define NR_{name} ..." for name in CALLS] + [
        f"#define {name} ..." for name in CONSTANTS
    ]
    return functions + "\n" + "\n".join(numbers)


PYTHON_TYPES = {"const char *": "bytes", "char *": "Any", "int": "int"}


def stub() -> str:
    """The native module as type checkers see it: every function and number by name."""
    header = " ".join((HERE / "shim.h").read_text().split())
    functions = []
    for name, arguments in re.findall(r"int (pr_\w+)\(([^)]*)\);", header):
        taken = ["self"]
        for argument in arguments.split(", ") if arguments != "void" else ():
            kind, word = re.fullmatch(r"(.*?[ *])(\w+)", argument).groups()
            number = "*" not in kind
            if keyword.iskeyword(word) or hasattr(builtins, word):
                word += "_"
            taken.append(f"{word}: {'int' if number else PYTHON_TYPES.get(kind, 'Any')}")
        functions.append(f"    def {name}({', '.join(taken)}) -> int: ...\n")
    numbers = [
        f"    {name}: int\n" for name in sorted([f"NR_{name}" for name in CALLS] + CONSTANTS)
    ]
    return (
        '"""Made by native/shim/build.py: the functions of shim.h and the numbers it takes from headers."""\n\n# fmt: off\n'
        "from typing import Any\n\nffi: Any\n\nclass Library:\n"
        + "".join(numbers + functions)
        + "\nlib: Library\n"
    )


def source() -> str:
    numbers = "\n".join(f"#define NR_{name} {RENAMED[name]}" for name in CALLS)
    return HEADERS + numbers + "\n"


ffibuilder = FFI()
ffibuilder.cdef(declarations())
STUB = HERE.parents[1] / "pyruntime/kernel/_native.pyi"
if not STUB.exists() or STUB.read_text() != stub():
    STUB.write_text(stub())
(HERE / "init_image.h").write_text(embedded_init())
ffibuilder.set_source(
    "pyruntime.kernel._native",
    source(),
    sources=[
        "native/shim/shim.c",
        "native/shim/bpf.c",
        "native/shim/notice.c",
        "native/shim/terminal.c",
    ],
    include_dirs=["native/shim"],
    extra_compile_args=["-O2", "-std=gnu11", "-fstack-protector-strong", "-Wall", "-Wextra"],
    extra_link_args=["-Wl,-z,relro,-z,now"],
)

if __name__ == "__main__":
    ffibuilder.compile(verbose=True)
