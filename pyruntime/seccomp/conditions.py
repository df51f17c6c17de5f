"""The rules with argument conditions that one system call has, merged into one tree of comparisons.

What counts when several rules match has no word in the specification; profiles rely on libseccomp's answer.
It keeps the comparisons of a system call in levels: the first comparison of a level that leads to an action
decides, one that leads nowhere hands on to the next. A rule's conditions are ordered by argument; a level
puts later arguments first, then equality before less-than before greater-than, then the narrower bound (for
equality and greater-than the larger number). Rules whose comparisons are the same share them, and two rules
that want different actions for the same conditions are refused.

libseccomp (2.5.4 to 2.6) has faults here which are not copied: it lets two rules share a level that only one
of them reaches, forgets the second branch of a rule whose first branch is already decided, and jumps between
comparisons of the two halves of an argument without loading the right half. In those cases its program takes
an action no matching rule asks for; ours never does. tests/unit/seccomp/test_differential.py tells both apart.
"""

from __future__ import annotations

from pyruntime.seccomp.program import AT_LEAST, EQUAL, GREATER, OFFSET_ARGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.seccomp.program import Program

    # (argument, operator, mask, value); the mask is all ones unless the operator is SCMP_CMP_MASKED_EQ.
    Condition = tuple[int, str, int, int]
    Level = list["Comparison"]

ALL_BITS = 0xFFFFFFFFFFFFFFFF
HALF = 0xFFFFFFFF

_MASKED = "SCMP_CMP_MASKED_EQ"
_GREATER_FIRST = ("SCMP_CMP_GT", "SCMP_CMP_GE")
_LESS = ("SCMP_CMP_LT", "SCMP_CMP_LE")
_RANKS = {"SCMP_CMP_LT": 2, "SCMP_CMP_LE": 2, "SCMP_CMP_GT": 1, "SCMP_CMP_GE": 1}
_EQUALITY_RANK = 3


class ConflictError(Exception):
    """Two rules want different actions for the same conditions."""


class Comparison:
    """One 32-bit comparison and where its two answers lead: to a level, to an action, or on."""

    __slots__ = (
        "false_action",
        "false_level",
        "mask",
        "masked",
        "operation",
        "place",
        "rank",
        "true_action",
        "true_level",
        "value",
        "whole",
    )

    def __init__(self, condition: Condition, operation: int, half: int) -> None:
        index, operator, mask, value = condition
        shift = 32 * half
        self.place = index * 2 + half
        self.operation = operation
        self.masked = operator == _MASKED  # an equality with a full mask is still not the same node
        self.rank = _RANKS.get(operator, _EQUALITY_RANK)
        self.mask = mask >> shift & HALF
        self.value = value >> shift & self.mask
        self.whole = value
        self.true_level: Level | None = None
        self.false_level: Level | None = None
        self.true_action: int | None = None
        self.false_action: int | None = None

    def same_as(self, other: Comparison) -> bool:
        return (
            self.place == other.place
            and self.operation == other.operation
            and self.masked == other.masked
            and self.value == other.value
            and self.mask == other.mask
        )

    def comes_before(self, other: Comparison) -> bool:
        if self.place != other.place:
            return self.place > other.place
        if self.rank != other.rank:
            return self.rank > other.rank
        if self.rank == _RANKS["SCMP_CMP_LT"]:
            return self.value < other.value
        return self.value > other.value

    @property
    def ends_here(self) -> bool:
        return self.true_level is None and self.false_level is None


def effective(conditions: list[Condition], *, wide: bool) -> list[Condition]:
    """In order of arguments, without those that hold for every value."""
    bits = ALL_BITS if wide else HALF
    return sorted(c for c in conditions if c[1] != _MASKED or c[2] & bits)


def build(conditions: list[Condition], action: int, *, wide: bool) -> Level:
    """The level of a rule alone. Branches that meet again get copies: levels must not be shared."""
    condition, rest = conditions[0], conditions[1:]
    operator = condition[1]

    def proceed(node: Comparison, *, when: bool) -> Comparison:
        level = build(rest, action, wide=wide) if rest else None
        if when:
            node.true_level, node.true_action = level, None if rest else action
        else:
            node.false_level, node.false_action = level, None if rest else action
        return node

    positive = operator not in ("SCMP_CMP_NE", *_LESS)
    low = proceed(Comparison(condition, _low_operation(operator), 0), when=positive)
    if not wide:
        return [low]
    high = Comparison(condition, EQUAL, 1)
    high.true_level = [low]
    if operator in ("SCMP_CMP_EQ", _MASKED):
        return [high]
    if operator == "SCMP_CMP_NE":
        return [proceed(high, when=False)]
    above = Comparison(condition, GREATER, 1)
    above.false_level = [high]
    if operator in _GREATER_FIRST:
        return [proceed(above, when=True)]
    proceed(high, when=False)
    return [above]


def _low_operation(operator: str) -> int:
    if operator in ("SCMP_CMP_GT", "SCMP_CMP_LE"):
        return GREATER
    if operator in ("SCMP_CMP_GE", "SCMP_CMP_LT"):
        return AT_LEAST
    return EQUAL


def merge(level: Level, new: Comparison) -> None:
    """Adds a rule, as its first comparison, to a level."""
    for position, old in enumerate(level):
        if old.same_as(new):
            _join(old, new)
            return
        if new.comes_before(old):
            level.insert(position, new)
            return
    level.append(new)


def _join(old: Comparison, new: Comparison) -> None:
    if new.true_action is not None:
        if old.true_action is None:
            _refuse_others(old.true_level, new.true_action)
            old.true_level, old.true_action = None, new.true_action
        elif old.true_action != new.true_action:
            # Greater-than on the high half of a larger number: the narrower rule goes first.
            if new.place & 1 and new.whole > old.whole:
                old.true_action = new.true_action
            _refuse_ends(old, new)
    if new.false_action is not None:
        if old.false_action is None:
            _refuse_others(old.false_level, new.false_action)
            old.false_level, old.false_action = None, new.false_action
        elif old.false_action != new.false_action:
            _refuse_ends(old, new)
    if new.true_level is not None:
        if old.true_level is not None:
            merge(old.true_level, new.true_level[0])
        elif old.true_action is None:
            old.true_level = new.true_level
    if new.false_level is not None:
        if old.false_level is not None:
            merge(old.false_level, new.false_level[0])
        elif old.false_action is None:
            old.false_level = new.false_level


def _refuse_ends(old: Comparison, new: Comparison) -> None:
    if old.ends_here or new.ends_here:
        raise ConflictError


def _refuse_others(level: Level | None, action: int) -> None:
    """A shorter rule swallows the longer ones it covers, if they want the same."""
    for node in level or ():
        if node.true_action not in (None, action) or node.false_action not in (None, action):
            raise ConflictError
        _refuse_others(node.true_level, action)
        _refuse_others(node.false_level, action)


def write(level: Level, program: Program, otherwise: int, *, big_endian: bool) -> int:
    """Writes the level; who matches nothing goes to the label `otherwise`."""
    following = otherwise
    for node in reversed(level):
        labels = []
        for branch, action in (
            (node.true_level, node.true_action),
            (node.false_level, node.false_action),
        ):
            if branch is not None:
                labels.append(write(branch, program, following, big_endian=big_endian))
            elif action is not None:
                labels.append(program.leave(action))
            else:
                labels.append(following)
        label = program.compare(node.operation, node.value, *labels)
        if node.mask != HALF:
            program.mask(node.mask)
            label += 1
        high_first = (node.place & 1) != big_endian
        offset = OFFSET_ARGS + 8 * (node.place >> 1) + (4 if high_first else 0)
        following = program.load(offset, label)
    return following
