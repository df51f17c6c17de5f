"""Reads a `linux.seccomp` object: what the schema cannot say is said here, all of it at once."""

from __future__ import annotations

from pyruntime.seccomp import words
from pyruntime.seccomp.conditions import ALL_BITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pyruntime.seccomp.conditions import Condition

POINTER = "/linux/seccomp"
DEFAULT_ERRNO = 1  # EPERM

_ARGUMENTS = 6


class ProfileError(ValueError):
    """The profile asks for something impossible; `findings` are (JSON pointer, why), all of them."""

    def __init__(self, findings: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{pointer}: {why}" for pointer, why in findings))
        self.findings = findings


class Rule:
    """One entry of `syscalls`. Several alternatives of conditions are alternatives: any of them will do."""

    __slots__ = ("action", "alternatives", "names", "pointer")

    def __init__(
        self, pointer: str, names: list[str], action: int, alternatives: list[list[Condition]]
    ) -> None:
        self.pointer = pointer
        self.names = names
        self.action = action
        self.alternatives = alternatives


def read_flags(document: Mapping[str, Any]) -> int:
    """The flags of seccomp(2) for a profile: without `flags` as in runc, which wants no speculation brake."""
    wanted = document.get("flags")
    if wanted is None:
        wanted = ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]
    findings = [
        (f"{POINTER}/flags/{number}", f"{flag!r} is not a seccomp flag")
        for number, flag in enumerate(wanted)
        if flag not in words.FLAGS
    ]
    if findings:
        raise ProfileError(findings)
    flags = 0
    for flag in wanted:
        flags |= words.FLAGS[flag]
    # One thread loads the filter: there is nobody to synchronise with, and NEW_LISTENER excludes it.
    flags &= ~words.FLAGS["SECCOMP_FILTER_FLAG_TSYNC"]
    if any(rule.get("action") == "SCMP_ACT_NOTIFY" for rule in document.get("syscalls") or ()):
        return flags | words.NEW_LISTENER
    # Of notifications that do not occur; the kernel refuses it without a listener.
    return flags & ~words.FLAGS["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]


class Profile:
    """A profile in numbers."""

    __slots__ = ("architectures", "default", "default_errno", "findings", "rules")

    def __init__(self, document: Mapping[str, Any], native: str) -> None:
        self.findings: list[tuple[str, str]] = []
        self.default_errno: int | None = document.get("defaultErrnoRet")
        self.default = self._read_action(
            POINTER, document, ("defaultAction", "defaultErrnoRet"), may_notify=False
        )
        self.architectures = self._read_architectures(document.get("architectures") or [], native)
        self.rules = [
            self._read_rule(f"{POINTER}/syscalls/{number}", entry)
            for number, entry in enumerate(document.get("syscalls") or ())
        ]
        if self.findings:
            raise ProfileError(self.findings)

    def _find(self, pointer: str, why: str) -> None:
        self.findings.append((pointer, why))

    def _read_action(
        self,
        pointer: str,
        entry: Mapping[str, Any],
        keys: tuple[str, str],
        *,
        may_notify: bool = True,
    ) -> int:
        word, number = entry.get(keys[0]), entry.get(keys[1])
        action = words.ACTIONS.get(word) if isinstance(word, str) else None
        if action is None:
            self._find(f"{pointer}/{keys[0]}", f"{word!r} is not a seccomp action")
            return words.KILL_THREAD
        if action == words.NOTIFY and not may_notify:
            self._find(f"{pointer}/{keys[0]}", "SCMP_ACT_NOTIFY cannot be the default action")
        limit = words.ERRNO_LIMITS.get(action)
        if limit is None:
            if number is not None:
                self._find(f"{pointer}/{keys[1]}", f"{word} has no errno to return")
            return action
        if number is None:
            return action | DEFAULT_ERRNO
        if not 0 <= number <= limit:
            self._find(f"{pointer}/{keys[1]}", f"{number} is not between 0 and {limit}")
            return action
        return action | int(number)

    def _read_architectures(self, names: list[str], native: str) -> list[words.Architecture]:
        """The native one first, whether it is named or not."""
        first = words.ARCHITECTURES[native]
        found = [first]
        for number, name in enumerate(names):
            pointer = f"{POINTER}/architectures/{number}"
            arch = words.ARCHITECTURES.get(name)
            if name in words.WITHOUT_TABLE:
                self._find(pointer, f"the system calls of {name} are not known to this build")
            elif arch is None:
                self._find(pointer, f"{name!r} is not a seccomp architecture")
            elif arch.big_endian != first.big_endian:
                self._find(pointer, f"{name} has another byte order than this machine")
            elif arch not in found:
                found.append(arch)
        return found

    def _read_rule(self, pointer: str, entry: Mapping[str, Any]) -> Rule:
        names = entry.get("names") or []
        if not names:
            self._find(f"{pointer}/names", "at least one system call must be named")
        if "" in names:
            self._find(f"{pointer}/names/{names.index('')}", "a system call has no name")
        action = self._read_action(pointer, entry, ("action", "errnoRet"))
        if action == words.NOTIFY and "write" in names:
            self._find(
                f"{pointer}/names/{names.index('write')}",
                "SCMP_ACT_NOTIFY cannot be used for the write syscall: the listener could not be handed over",
            )
        arguments = entry.get("args") or ()
        conditions = [
            self._read_condition(f"{pointer}/args/{number}", argument)
            for number, argument in enumerate(arguments)
        ]
        # runc's way: a rule that speaks twice of one argument means any of its conditions, not all.
        if len({condition[0] for condition in conditions}) < len(conditions):
            alternatives = [[condition] for condition in conditions]
        else:
            alternatives = [conditions]
        return Rule(pointer, names, action, alternatives)

    def _read_condition(self, pointer: str, entry: Mapping[str, Any]) -> Condition:
        index, operator = entry.get("index", 0), entry.get("op")
        value, second = entry.get("value", 0), entry.get("valueTwo", 0)
        if operator not in words.OPERATORS:
            self._find(f"{pointer}/op", f"{operator!r} is not a seccomp operator")
        if not 0 <= index < _ARGUMENTS:
            self._find(f"{pointer}/index", f"{index} is not between 0 and {_ARGUMENTS - 1}")
        for key, number in (("value", value), ("valueTwo", second)):
            if not 0 <= number <= ALL_BITS:
                self._find(f"{pointer}/{key}", f"{number} does not fit 64 bits")
        if operator == "SCMP_CMP_MASKED_EQ":
            return (index, operator, value, second)
        return (index, str(operator), ALL_BITS, value)
