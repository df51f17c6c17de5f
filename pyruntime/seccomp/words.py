"""The words of a seccomp profile and what they are called in the kernel.

Values come from <linux/seccomp.h> and <linux/audit.h>; they are ABI and never change. They are written down
here because most of them belong to architectures whose headers the build machine does not have.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

KILL_THREAD = 0x00000000
KILL_PROCESS = 0x80000000
TRAP = 0x00030000
ERRNO = 0x00050000
NOTIFY = 0x7FC00000
TRACE = 0x7FF00000
LOG = 0x7FFC0000
ALLOW = 0x7FFF0000

ACTIONS: Final[Mapping[str, int]] = {
    "SCMP_ACT_ALLOW": ALLOW,
    "SCMP_ACT_ERRNO": ERRNO,
    "SCMP_ACT_KILL": KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": KILL_PROCESS,
    "SCMP_ACT_KILL_THREAD": KILL_THREAD,
    "SCMP_ACT_LOG": LOG,
    "SCMP_ACT_NOTIFY": NOTIFY,
    "SCMP_ACT_TRACE": TRACE,
    "SCMP_ACT_TRAP": TRAP,
}

# The actions that carry a number, and the largest one. libseccomp refuses 4095 itself although the kernel
# would take it; above that the kernel silently lowers it.
ERRNO_LIMITS: Final[Mapping[int, int]] = {ERRNO: 4094, TRACE: 0xFFFF}

OPERATORS: Final[tuple[str, ...]] = (
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_LE",
    "SCMP_CMP_LT",
    "SCMP_CMP_MASKED_EQ",
    "SCMP_CMP_NE",
)

# Flags of seccomp(2) a profile may ask for. TSYNC does nothing: the process that loads the filter has one thread.
FLAGS: Final[Mapping[str, int]] = {
    "SECCOMP_FILTER_FLAG_TSYNC": 1 << 0,
    "SECCOMP_FILTER_FLAG_LOG": 1 << 1,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 1 << 2,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": 1 << 5,
}
NEW_LISTENER = 1 << 3

X32_BIT = 0x40000000


class Architecture:
    """One calling convention: its table, its number in `seccomp_data.arch`, how its arguments lie."""

    __slots__ = ("audit", "big_endian", "multiplexed", "table", "wide")

    def __init__(
        self,
        table: str,
        audit: int,
        *,
        wide: bool,
        big_endian: bool = False,
        multiplexed: bool = False,
    ) -> None:
        self.table = table
        self.audit = audit
        self.wide = wide  # arguments have 64 bits
        self.big_endian = big_endian
        self.multiplexed = multiplexed  # socketcall(2) and ipc(2) stand for many calls


def _architectures() -> dict[str, Architecture]:
    make = Architecture
    big, mux = {"big_endian": True}, {"multiplexed": True}
    return {
        "SCMP_ARCH_AARCH64": make("aarch64", 0xC00000B7, wide=True),
        "SCMP_ARCH_ARM": make("arm", 0x40000028, wide=False),
        "SCMP_ARCH_LOONGARCH64": make("loongarch64", 0xC0000102, wide=True),
        "SCMP_ARCH_MIPS": make("mips", 0x00000008, wide=False, **big, **mux),
        "SCMP_ARCH_MIPS64": make("mips64", 0x80000008, wide=True, **big),
        "SCMP_ARCH_MIPS64N32": make("mips64n32", 0xA0000008, wide=False, **big),
        "SCMP_ARCH_MIPSEL": make("mips", 0x40000008, wide=False, **mux),
        "SCMP_ARCH_MIPSEL64": make("mips64", 0xC0000008, wide=True),
        "SCMP_ARCH_MIPSEL64N32": make("mips64n32", 0xE0000008, wide=False),
        "SCMP_ARCH_PARISC": make("parisc", 0x0000000F, wide=False, **big),
        "SCMP_ARCH_PARISC64": make("parisc64", 0x8000000F, wide=True, **big),
        "SCMP_ARCH_PPC": make("ppc", 0x00000014, wide=False, **big, **mux),
        "SCMP_ARCH_PPC64": make("ppc64", 0x80000015, wide=True, **big, **mux),
        "SCMP_ARCH_PPC64LE": make("ppc64", 0xC0000015, wide=True, **mux),
        "SCMP_ARCH_RISCV64": make("riscv64", 0xC00000F3, wide=True),
        "SCMP_ARCH_S390": make("s390", 0x00000016, wide=False, **big, **mux),
        "SCMP_ARCH_S390X": make("s390x", 0x80000016, wide=True, **big, **mux),
        "SCMP_ARCH_X32": make("x32", 0xC000003E, wide=False),
        "SCMP_ARCH_X86": make("x86", 0x40000003, wide=False, **mux),
        "SCMP_ARCH_X86_64": make("x86_64", 0xC000003E, wide=True),
    }


ARCHITECTURES: Final[Mapping[str, Architecture]] = _architectures()

# The specification knows these too; a filter for them would need their tables.
WITHOUT_TABLE: Final[tuple[str, ...]] = ("SCMP_ARCH_M68K", "SCMP_ARCH_SH", "SCMP_ARCH_SHEB")

# What uname(2) calls the machine.
MACHINES: Final[Mapping[str, str]] = {
    "aarch64": "SCMP_ARCH_AARCH64",
    "armv7l": "SCMP_ARCH_ARM",
    "armv8l": "SCMP_ARCH_ARM",
    "i386": "SCMP_ARCH_X86",
    "i586": "SCMP_ARCH_X86",
    "i686": "SCMP_ARCH_X86",
    "loongarch64": "SCMP_ARCH_LOONGARCH64",
    "ppc64": "SCMP_ARCH_PPC64",
    "ppc64le": "SCMP_ARCH_PPC64LE",
    "riscv64": "SCMP_ARCH_RISCV64",
    "s390x": "SCMP_ARCH_S390X",
    "x86_64": "SCMP_ARCH_X86_64",
}

# Sub-call numbers of socketcall(2) (<linux/net.h>) and ipc(2) (<linux/ipc.h>), for `multiplexed`
# architectures.
SOCKETCALLS: Final[Mapping[str, int]] = {
    "socket": 1,
    "bind": 2,
    "connect": 3,
    "listen": 4,
    "accept": 5,
    "getsockname": 6,
    "getpeername": 7,
    "socketpair": 8,
    "send": 9,
    "recv": 10,
    "sendto": 11,
    "recvfrom": 12,
    "shutdown": 13,
    "setsockopt": 14,
    "getsockopt": 15,
    "sendmsg": 16,
    "recvmsg": 17,
    "accept4": 18,
    "recvmmsg": 19,
    "sendmmsg": 20,
}
IPC_CALLS: Final[Mapping[str, int]] = {
    "semop": 1,
    "semget": 2,
    "semctl": 3,
    "semtimedop": 4,
    "msgsnd": 11,
    "msgrcv": 12,
    "msgget": 13,
    "msgctl": 14,
    "shmat": 21,
    "shmdt": 22,
    "shmget": 23,
    "shmctl": 24,
}
