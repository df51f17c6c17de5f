"""The mutations still apply, and break what they say: tests that exist, statements and leaves that are all hit."""

from __future__ import annotations

import pytest

from conformance import catalogue, mutating, requirements, tap

MUTATIONS = mutating.read()
CASES = catalogue.load()
IDS = {case.id for case in CASES}


@pytest.mark.parametrize("one", MUTATIONS, ids=lambda one: one.name)
def test_it_applies_and_its_tests_exist(one: mutating.Mutation) -> None:
    assert one.problem() == ""
    assert one.text != one.into
    assert one.fails
    for test in one.fails:
        assert any(test in (name, name.partition("[")[0]) for name in IDS), test


def hit() -> tuple[set[int], set[str]]:
    lines: set[int] = set()
    leaves: set[str] = set()
    tests = {test for one in MUTATIONS for test in one.fails}
    for case in CASES:
        if case.id in tests or case.id.partition("[")[0] in tests:
            lines |= set(case.requirements)
            leaves |= set(case.leaves)
    return lines, leaves


def test_every_requirement_is_hit_but_those_listed() -> None:
    lines, _ = hit()
    assert set(requirements.REQUIREMENTS) - lines == set(requirements.WITHOUT_MUTATION)


def test_every_leaf_is_hit_but_those_listed() -> None:
    _, leaves = hit()
    missing = {leaf for case in CASES for leaf in case.leaves} - leaves
    assert missing == set(requirements.LEAVES_WITHOUT_MUTATION)


def test_an_edit_that_is_no_python_is_a_problem() -> None:
    file = "pyruntime/features/io_priority.py"
    assert "no Python" in mutating.Mutation("x", file, "LOWEST = 7", "LOWEST = (", ("a",)).problem()


def test_a_crash_is_no_failure() -> None:
    row = {"status": tap.FAILED, "details": {"found": f"err: {mutating.CRASH}KeyError: 'x'"}}
    assert mutating.ending(row) == mutating.CRASHED
    assert mutating.ending({"status": tap.FAILED, "details": {"found": "err: no"}}) == tap.FAILED
