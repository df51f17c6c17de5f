"""The suite covers what it says: every requirement line, every leaf of the Linux schema, with short lists of exemptions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conformance import catalogue, known, requirements
from tests.unit.features.test_properties import LEAVES

CASES = catalogue.load()
SUITE = Path(catalogue.__file__).parent
TESTED_LEAVES = {leaf for case in CASES for leaf in case.leaves}
TESTED_LINES = {number for case in CASES for number in case.requirements}


def test_there_are_67_lines() -> None:
    assert list(requirements.REQUIREMENTS) == list(range(1, 68))


@pytest.mark.parametrize("number", requirements.REQUIREMENTS)
def test_every_requirement_has_a_test(number: int) -> None:
    assert number in TESTED_LINES or number in requirements.EXEMPT_REQUIREMENTS


@pytest.mark.parametrize("leaf", LEAVES)
def test_every_leaf_has_a_test(leaf: str) -> None:
    assert leaf in TESTED_LEAVES or leaf in requirements.EXEMPT_LEAVES


def test_what_is_declared_exists() -> None:
    assert set(LEAVES) >= TESTED_LEAVES
    assert set(requirements.REQUIREMENTS) >= TESTED_LINES
    assert set(requirements.EXEMPT_LEAVES) <= set(LEAVES) - TESTED_LEAVES
    assert set(requirements.EXEMPT_REQUIREMENTS) <= set(requirements.REQUIREMENTS) - TESTED_LINES


def test_every_test_proves_something_and_names_its_statement() -> None:
    for case in CASES:
        assert case.requirements, case.id
        assert re.match(
            r"(bundle|runtime|runtime-linux|config|config-linux|features|features-linux|glossary)\.md",
            case.statement,
        ), case.id


def test_every_group_has_tests() -> None:
    assert {case.group for case in CASES} == set(catalogue.GROUPS)


def test_no_test_sleeps_or_searches_the_output_of_ps() -> None:
    for path in SUITE.rglob("*.py"):
        text = path.read_text()
        assert "time.sleep" not in text and '"ps"' not in text, path


def test_known_failures_name_tests_and_reasons() -> None:
    listed = known.read()
    listed.check([case.id for case in CASES])
    for entry in listed.entries:
        assert entry.reason and entry.spec and entry.tests and entry.versions, entry
    own = [entry for entry in listed.entries if entry.runtime == "pyruntime"]
    assert len(own) <= 5
    for entry in own:
        file, _, name = entry.engine.partition("::")
        assert f"def {name}(" in (SUITE.parent / file).read_text(), entry
    assert set(listed.skips) == {"v1", "hybrid", "v2"}


def test_a_layout_is_wrong_nowhere() -> None:
    assert set(catalogue.LAYOUTS) <= set(catalogue.GROUPS)
