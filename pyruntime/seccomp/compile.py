"""Compiles a `linux.seccomp` object into the filter program the kernel loads.

The program finds the architecture, then the system call by bisection over ranges of numbers that share an
action, then compares arguments where a rule asks for it. Three things are not in the profile:

- an architecture the profile does not name, and x32 numbers where x32 is not named, kill the thread;
- system calls newer than every one the profile speaks of return ENOSYS instead of the default action, unless
  that lets calls pass: C libraries try new calls and fall back on ENOSYS alone, so an older profile's EPERM
  would break them (runc's rule; the numbers it compares with are per architecture);
- on architectures with socketcall(2) and ipc(2), a rule for a call they stand for is put on them too.

Loading is the kernel's business and seccomp(2) is called by the init; this module makes bytes from a dict.
"""

from __future__ import annotations

from pyruntime.seccomp import conditions, words
from pyruntime.seccomp.profile import POINTER, Profile, ProfileError
from pyruntime.seccomp.program import (
    AT_LEAST,
    EQUAL,
    MOST_INSTRUCTIONS,
    OFFSET_ARCH,
    OFFSET_NUMBER,
    Program,
)
from pyruntime.seccomp.tables import read_every_name, read_numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any

    from pyruntime.seccomp.conditions import Condition, Level
    from pyruntime.seccomp.profile import Rule

    Leaf = int | Level
    Ranges = list[tuple[int, Leaf]]

ENOSYS = words.ERRNO | 38
BAD_ARCHITECTURE = words.KILL_THREAD

_X86_AUDIT = words.ARCHITECTURES["SCMP_ARCH_X86_64"].audit
_MULTIPLEXED = {
    **{name: ("socketcall", call) for name, call in words.SOCKETCALLS.items()},
    **{name: ("ipc", call) for name, call in words.IPC_CALLS.items()},
}

_END = 1 << 32
_X32_END = 0x80000000
_PASSING = (words.ALLOW, words.LOG)
_SKIP_CALL = 0xFFFFFFFF  # what a tracer sets to have a call skipped: never killed


def compile_filter(document: Mapping[str, Any], native: str) -> tuple[bytes, list[str]]:
    """(struct sock_filter[], notices of names nobody knows) for a machine as uname(2) names it; raises ProfileError."""
    if native not in words.MACHINES:
        raise ProfileError([(POINTER, f"seccomp filters for {native} machines are not known")])
    profile = Profile(document, words.MACHINES[native])
    filters = [_Filter(profile, arch) for arch in profile.architectures]
    program = Program()
    otherwise = program.leave(BAD_ARCHITECTURE)
    by_audit: dict[int, list[_Filter]] = {}
    for each in filters:
        by_audit.setdefault(each.arch.audit, []).append(each)
    big_endian = profile.architectures[0].big_endian
    for audit, group in reversed(by_audit.items()):
        if audit == _X86_AUDIT:
            ranges = _x86_ranges(group, profile.default)
        else:
            ranges = group[0].ranges(0, _END)
        body = _write(ranges, program, profile.default, big_endian=big_endian)
        body = program.load(OFFSET_NUMBER, body)
        otherwise = program.compare(EQUAL, audit, body, otherwise)
    program.load(OFFSET_ARCH, otherwise)
    length = len(program.code)
    if length > MOST_INSTRUCTIONS:
        why = f"the filter has {length} instructions, the kernel takes {MOST_INSTRUCTIONS}"
        raise ProfileError([(POINTER, why)])
    return program.assemble(big_endian=big_endian), _notices(filters)


class _Filter:
    """What a profile means for one architecture: an action or conditions for each number."""

    __slots__ = ("_conditional", "_default", "_numbers", "_plain", "arch", "newest", "unknown")

    def __init__(self, profile: Profile, arch: words.Architecture) -> None:
        self.arch = arch
        self.unknown: set[str] = set()
        self._default = profile.default
        self._numbers = read_numbers(arch.table)
        self._plain: dict[int, int] = {}
        self._conditional: dict[int, Level] = {}
        newest = 0
        for rule in profile.rules:
            newest = max(newest, self._add(rule))
        self.unknown.difference_update(self._numbers)
        returns_enosys = (
            newest
            and profile.default_errno != ENOSYS & 0xFFFF
            and profile.default not in _PASSING
            and profile.default & 0xFFFF0000 != words.TRACE
        )
        self.newest = newest if returns_enosys else None

    def _add(self, rule: Rule) -> int:
        """Adds a rule for all its names; gives the largest number it speaks of."""
        names = rule.names
        found: set[Any] = set(map(self._numbers.get, names))
        if None in found:
            found.remove(None)
            self.unknown.update(names)
        newest: int = max(found, default=0)
        multiplexed: list[str] = []
        if self.arch.multiplexed:
            multiplexed = [name for name in names if name in _MULTIPLEXED]
            found.difference_update(map(self._numbers.get, multiplexed))
        # A rule that says what happens anyway is not there: it does not decide over later ones either.
        if rule.action == self._default:
            return newest
        for alternative in rule.alternatives:
            self._add_alternative(found, alternative, rule)
            for name in multiplexed:
                newest = max(newest, self._add_multiplexed(name, alternative, rule))
        return newest

    def _add_alternative(
        self, numbers: Collection[int], alternative: list[Condition], rule: Rule
    ) -> None:
        effective = alternative and conditions.effective(alternative, wide=self.arch.wide)
        if effective:
            for number in numbers:
                self._add_conditional(number, effective, rule)
            return
        # The first rule without conditions stays, whatever rules with conditions say.
        plain, action = self._plain, rule.action
        if len(numbers) > len(plain) >> 3:
            self._plain = dict.fromkeys(numbers, action) | plain
        else:
            for number in numbers:
                plain.setdefault(number, action)

    def _add_conditional(self, number: int, effective: list[Condition], rule: Rule) -> None:
        if number in self._plain:
            return
        level = conditions.build(effective, rule.action, wide=self.arch.wide)
        present = self._conditional.setdefault(number, level)
        if present is level:
            return
        try:
            conditions.merge(present, level[0])
        except conditions.ConflictError:
            name = next(name for name, value in self._numbers.items() if value == number)
            why = f"an earlier rule for {name} wants another action for the same conditions"
            raise ProfileError([(rule.pointer, why)]) from None

    def _add_multiplexed(self, name: str, alternative: list[Condition], rule: Rule) -> int:
        """On the multiplexer, whose first argument says the call; on the call's own number as well."""
        multiplexer, call = _MULTIPLEXED[name]
        selector: Any = (0, "SCMP_CMP_EQ", conditions.ALL_BITS, call)
        # libseccomp's way: a condition on the call's first argument gives way, the others stay, although
        # they now look at the multiplexer's.
        others = [condition for condition in alternative if condition[0] != 0]
        number = self._numbers[multiplexer]
        if number not in self._plain:
            self._add_alternative((number,), [selector, *others], rule)
        direct = self._numbers.get(name)
        if direct is not None:
            self._add_alternative((direct,), alternative, rule)
        return number

    def ranges(self, start: int, end: int) -> Ranges:
        """(first number, leaf) from `start` to before `end`."""
        leaves: dict[int, Leaf] = {**self._conditional, **self._plain}
        default = self._default
        if self.newest is not None and self.arch.table in ("s390", "s390x"):
            # The kernel puts 0 in place of a number that is too large for it.
            leaves[0] = ENOSYS
        ranges: Ranges = []
        following = start
        last: Leaf | None = None
        for number in sorted(leaves):
            leaf = leaves[number]
            if number != following and last != default:
                ranges.append((following, default))
                last = default
            if leaf != last:
                ranges.append((number, leaf))
                last = leaf
            following = number + 1
        if self.newest is None:
            ranges.append((following, default))
        else:
            if following <= self.newest:
                ranges.append((following, default))
            ranges.append((self.newest + 1, ENOSYS))
        return [each for each in ranges if each[0] < end]


def _x86_ranges(group: list[_Filter], default: int) -> Ranges:
    """x86-64 and x32 share an audit number; bit 30 tells them apart, and -1 belongs to nobody."""
    by_table = {each.arch.table: each for each in group}
    x86_64, x32 = by_table.get("x86_64"), by_table.get("x32")
    ranges: Ranges = [(0, BAD_ARCHITECTURE)]
    if x86_64:
        ranges = x86_64.ranges(0, words.X32_BIT)
    if x32 is None:
        ranges.append((words.X32_BIT, BAD_ARCHITECTURE))
        beyond, beyond_x32 = BAD_ARCHITECTURE, BAD_ARCHITECTURE
    else:
        ranges += x32.ranges(words.X32_BIT, _X32_END)
        beyond, beyond_x32 = default, default if x32.newest is None else ENOSYS
    if x86_64 and x86_64.newest is not None:
        beyond = ENOSYS
    ranges += [(_X32_END, beyond), (_X32_END | words.X32_BIT, beyond_x32)]
    if x32 is None:
        ranges.append((_SKIP_CALL, default))
    return ranges


def _write(ranges: Ranges, program: Program, default: int, *, big_endian: bool) -> int:
    def write(low: int, high: int) -> int:
        if high - low == 1:
            leaf = ranges[low][1]
            if isinstance(leaf, int):
                return program.leave(leaf)
            otherwise = program.leave(default)
            return conditions.write(leaf, program, otherwise, big_endian=big_endian)
        middle = low + high >> 1
        right = write(middle, high)
        return program.compare(AT_LEAST, ranges[middle][0], right, write(low, middle))

    return write(0, len(ranges))


def _notices(filters: list[_Filter]) -> list[str]:
    unknown = filters[0].unknown.intersection(*(each.unknown for each in filters[1:]))
    if unknown:
        unknown -= read_every_name()
    return [f"seccomp: unknown system call {name} ignored" for name in sorted(unknown)]
