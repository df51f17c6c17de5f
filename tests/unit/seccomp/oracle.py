"""libseccomp as the oracle: the program it writes for a profile, driven the way runc drives it.

Also what runc adds in front (ENOSYS for newer system calls), and an independent reading of a profile: which
actions its rules permit for a call. The last decides when libseccomp and we disagree.
"""

from __future__ import annotations

import ctypes
import os
import signal
from typing import Any

from pyruntime.seccomp import words
from tests.lib import bpf

ENOSYS_ACTION = words.ERRNO | 38
OPTIMIZE = 8  # SCMP_FLTATR_CTL_OPTIMIZE
EXISTS = -17
UNKNOWN = -1
LARGE = 32  # rules from which runc asks for the binary tree
# enum scmp_compare of <seccomp.h>
COMPARISONS = {
    f"SCMP_CMP_{name}": number
    for number, name in enumerate(("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"), start=1)
}


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


def _open() -> ctypes.CDLL:
    """Missing libseccomp is an error, not a skip: without it nothing would have been compared."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    for name, *arguments in (
        ("release",),
        ("arch_add", ctypes.c_uint32),
        ("arch_remove", ctypes.c_uint32),
        ("attr_set", ctypes.c_int, ctypes.c_uint32),
        (
            "rule_add_array",
            ctypes.c_uint32,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.POINTER(_Comparison),
        ),
        ("export_bpf", ctypes.c_int),
    ):
        getattr(library, f"seccomp_{name}").argtypes = [ctypes.c_void_p, *arguments]
    resolve = library.seccomp_syscall_resolve_name_arch
    resolve.argtypes = [ctypes.c_uint32, ctypes.c_char_p]
    resolve = library.seccomp_syscall_resolve_num_arch
    resolve.argtypes, resolve.restype = [ctypes.c_uint32, ctypes.c_int], ctypes.c_void_p
    return library


_LIBRARY = _open()
_FREE = ctypes.CDLL(None).free
_FREE.argtypes = [ctypes.c_void_p]
NATIVE = int(_LIBRARY.seccomp_arch_native())


class Refused(Exception):
    """libseccomp will not have the profile."""


def token(arch: str) -> int:
    """libseccomp's number of an SCMP_ARCH_ word; for x32 it is not the audit number."""
    name = arch.removeprefix("SCMP_ARCH_").lower()
    number = int(_LIBRARY.seccomp_arch_resolve_name(name.encode()))
    if number == 0:
        raise Refused(arch)
    return number


def number_of(name: str, arch: int = NATIVE) -> int:
    """The number of a call; negative where it has none of its own, -1 where libseccomp knows nothing."""
    return int(_LIBRARY.seccomp_syscall_resolve_name_arch(arch, name.encode()))


def translates(name: str) -> bool:
    """Whether the name survives libseccomp's way to other architectures, which is by native number."""
    number = number_of(name)
    if number == UNKNOWN:
        return False
    pointer = _LIBRARY.seccomp_syscall_resolve_num_arch(NATIVE, number)
    if not pointer:
        return False
    found = ctypes.string_at(pointer).decode()
    _FREE(pointer)
    return found == name


def action_of(entry: dict[str, Any], word: str = "action", number: str = "errnoRet") -> int:
    action = words.ACTIONS[entry[word]]
    if action in words.ERRNO_LIMITS:
        return action | int(entry.get(number, 1))
    return action


def default_of(profile: dict[str, Any]) -> int:
    return action_of(profile, "defaultAction", "defaultErrnoRet")


def alternatives(rule: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """runc's reading of `args`: all of them, or any of them if an argument appears twice."""
    conditions = rule.get("args") or []
    if len({each["index"] for each in conditions}) < len(conditions):
        return [[each] for each in conditions]
    return [conditions]


def program_of(profile: dict[str, Any], native: str, order: str = "<") -> bpf.Program:
    """libseccomp's program, without runc's addition; raises Refused."""
    default = default_of(profile)
    context = _LIBRARY.seccomp_init(default)
    try:
        if token(native) != NATIVE:
            _LIBRARY.seccomp_arch_remove(context, NATIVE)
            _expect(_LIBRARY.seccomp_arch_add(context, token(native)), native)
        for arch in profile.get("architectures", ()):
            status = _LIBRARY.seccomp_arch_add(context, token(arch))
            _expect(0 if status == EXISTS else status, arch)
        if sum(len(rule["names"]) for rule in profile["syscalls"]) > LARGE:
            _LIBRARY.seccomp_attr_set(context, OPTIMIZE, 2)
        for rule in profile["syscalls"]:
            _add(context, rule, default)
        return bpf.decode(_export(context), order)
    finally:
        _LIBRARY.seccomp_release(context)


def _expect(status: int, what: str) -> None:
    if status != 0:
        raise Refused(f"{what}: {os.strerror(-status)}")


def _add(context: int, rule: dict[str, Any], default: int) -> None:
    action = action_of(rule)
    if action == default:
        return
    for name in rule["names"]:
        number = number_of(name)
        if number == UNKNOWN:
            continue
        for conditions in alternatives(rule):
            array = (_Comparison * max(1, len(conditions)))(
                *(
                    _Comparison(
                        each["index"],
                        COMPARISONS[each["op"]],
                        each["value"],
                        each.get("valueTwo", 0),
                    )
                    for each in conditions
                )
            )
            count = len(conditions)
            status = _LIBRARY.seccomp_rule_add_array(context, action, number, count, array)
            _expect(status, name)


def _export(context: int) -> bytes:
    descriptor = os.memfd_create("program")
    try:
        _expect(_LIBRARY.seccomp_export_bpf(context, descriptor), "export")
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    finally:
        os.close(descriptor)


def program_within(seconds: int, profile: dict[str, Any], native: str) -> bpf.Program | None:
    """Like `program_of`, in a child: libseccomp does not come back from some profiles. None is for those."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(seconds)
        os.close(reading)
        try:
            code = b"".join(
                each.code.to_bytes(2, "little")
                + bytes((each.true, each.false))
                + each.value.to_bytes(4, "little")
                for each in program_of(profile, native)
            )
            with os.fdopen(writing, "wb") as stream:
                stream.write(code)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        code = stream.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == 1:
        raise Refused("libseccomp refuses")
    return bpf.decode(code) if status == 0 else None


def newest(profile: dict[str, Any], arch: str) -> int:
    """The largest number the profile speaks of: runc's measure of what it could have known."""
    numbers = [
        number_of(name, token(arch)) for rule in profile["syscalls"] for name in rule["names"]
    ]
    return max([0, *numbers])


def newer_than(profile: dict[str, Any], native: str, call: bpf.Call, lasts: dict[str, int]) -> bool:
    """Whether runc's addition answers ENOSYS before libseccomp's program sees the call.

    `lasts` is `newest` of each architecture.
    """
    default = default_of(profile)
    if profile.get("defaultErrnoRet") == ENOSYS_ACTION & 0xFFFF:
        return False
    if default in (words.ALLOW, words.LOG) or default & 0xFFFF0000 == words.TRACE:
        return False
    for arch in {native, *profile.get("architectures", ())}:
        known = words.ARCHITECTURES[arch]
        last = lasts[arch]
        if known.audit != call.arch or last == 0:
            continue
        if known.table in ("s390", "s390x") and call.number == 0:
            return True
        if known.table in ("x86_64", "x32"):
            x32 = bool(call.number & words.X32_BIT)
            if x32 != (known.table == "x32"):
                continue
        if call.number > last:
            return True
    return False


def holds(condition: dict[str, Any], arguments: tuple[int, ...], *, wide: bool) -> bool:
    """One condition, on the half of the argument a 32-bit architecture has or on all of it."""
    bits = 0xFFFFFFFFFFFFFFFF if wide else 0xFFFFFFFF
    argument = arguments[condition["index"]] & bits
    value, second = condition["value"] & bits, condition.get("valueTwo", 0) & bits
    if condition["op"] == "SCMP_CMP_MASKED_EQ":
        # A mask of zero compares nothing and holds.
        return argument & value == second & value
    return {
        "SCMP_CMP_NE": argument != value,
        "SCMP_CMP_LT": argument < value,
        "SCMP_CMP_LE": argument <= value,
        "SCMP_CMP_EQ": argument == value,
        "SCMP_CMP_GE": argument >= value,
        "SCMP_CMP_GT": argument > value,
    }[str(condition["op"])]


def permitted(profile: dict[str, Any], arch: str, call: bpf.Call) -> set[int]:
    """The actions of all rules that match; the default's if none does. For calls that are not multiplexed."""
    default = default_of(profile)
    wide = words.ARCHITECTURES[arch].wide
    return {
        action_of(rule)
        for rule in profile["syscalls"]
        if action_of(rule) != default
        and any(number_of(name, token(arch)) == call.number for name in rule["names"])
        and any(
            all(holds(each, call.arguments, wide=wide) for each in conditions)
            for conditions in alternatives(rule)
        )
    } or {default}
