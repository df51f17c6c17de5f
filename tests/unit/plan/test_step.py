"""when, unless, attempt: which instructions are passed over, played by a model of the init's loop."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from pyruntime.plan import step
from pyruntime.plan.step import attempt, expect, refuse, sys, unless, when

if TYPE_CHECKING:
    from pyruntime.plan.step import Instruction

A, B, C, D = (sys(number) for number in range(4))
TRUE, FALSE = expect(1, 1), expect(0, 1)
FRAGILE = sys(9, ok=(2,))


def played(ops: list[Instruction], failing: frozenset[int] = frozenset()) -> list[int]:
    """The numbers of the calls that are made; those in `failing` fail with an errno they accept."""
    made, at = [], 0
    while at < len(ops):
        op, number, args, ok, skip, _, _ = ops[at]
        at += 1
        if op == step.SYSCALL:
            made.append(number)
            if number in failing:
                assert ok, "the step fails"
                at += skip
        elif op == step.JUMP or args[0] != args[3]:
            at += skip
    assert at == len(ops), "a jump out of the step"
    return made


def test_when() -> None:
    assert played([*when(TRUE, [A, B]), C]) == [0, 1, 2]
    assert played([*when(FALSE, [A, B]), C]) == [2]
    assert played([*when(TRUE, [A], otherwise=[B]), C]) == [0, 2]
    assert played([*when(FALSE, [A], otherwise=[B]), C]) == [1, 2]
    assert played([*when(TRUE, (), otherwise=[A, B]), C]) == [2]


@pytest.mark.parametrize("tests", list(itertools.product([TRUE, FALSE], repeat=3)))
def test_when_all_hold(tests: tuple[Instruction, ...]) -> None:
    holds = FALSE not in tests
    assert played([*when(list(tests), [A], otherwise=[B]), C]) == [0 if holds else 1, 2]
    assert played([*when(list(tests), (), otherwise=[B]), C]) == ([2] if holds else [1, 2])


def test_unless() -> None:
    assert played([*unless(TRUE, [A, B]), C]) == [2]
    assert played([*unless(FALSE, [A, B]), C]) == [0, 1, 2]


def test_attempt() -> None:
    for instead, done in (((), []), ([D], [3])):
        ops = [*attempt([A, FRAGILE, B], instead=instead), C]
        assert played(ops) == [0, 9, 1, 2]
        assert played(ops, frozenset({9})) == [0, 9, *done, 2]
    with pytest.raises(AssertionError, match="the step fails"):
        played(attempt([A, FRAGILE]), frozenset({0}))


def test_they_nest() -> None:
    inner = attempt([FRAGILE, A], instead=[B])
    ops = [*when(FALSE, [D], otherwise=inner), C]
    assert played(ops) == [9, 0, 2]
    assert played(ops, frozenset({9})) == [9, 1, 2]
    assert played([*attempt([sys(8, ok=(1,)), *inner], instead=[D]), C], frozenset({8})) == [
        8,
        3,
        2,
    ]


def test_refuse() -> None:
    assert refuse(17) == expect(0, 1, errno=17)
