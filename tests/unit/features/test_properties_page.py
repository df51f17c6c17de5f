"""docs/properties.md is what the generator makes, and what it says is true: a leaf has an owner, a supported one a test."""

from __future__ import annotations

import ast
import sys
import tomllib
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.unit.features.test_properties import EXAMPLES, refusal, rich, within

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "schema"))

import properties  # noqa: E402

TABLE = tomllib.loads(properties.BY_HAND.read_text())


def test_the_page_is_current() -> None:
    made = properties.text(properties.rows())
    assert properties.TARGET.read_text() == made, "run `make docs`"


def test_what_the_page_calls_refused_is_refused() -> None:
    """By a sentence about this version: once it is done, the line of docs/properties.toml goes."""
    for path in TABLE["refused"]:
        is_refused(path)


def is_refused(path: str) -> None:
    examples = {name: value for name, value in EXAMPLES.items() if properties.plain(name) == path}
    assert examples, "test_properties.py has no example of it"
    for name, value in examples.items():
        document = rich()
        *parents, last = name.split(".")
        place: Any = document
        for part in parents:
            place = place[0] if part == "*" else place[part]
        place[last] = value
        assert refusal(document)[0] == "refused", (
            f"{path} is not refused any more: take it out of the table"
        )


def test_remarks_are_single_lines_of_a_table() -> None:
    for section in TABLE.values():
        for text in section.values():
            assert "|" not in text and "\n" not in text and text == text.strip()


# The marks, as the generator finds them.

SOURCE = """
pytestmark = pytest.mark.covers("hostname")
ROWS = [pytest.param(1, marks=pytest.mark.covers("root.path", "annotations"))]

@pytest.mark.slow
@covers("linux.maskedPaths.*")
def test_x():
    pass

@pytest.mark.parametrize("y", [1])
def test_y(y):
    pass
"""


def test_marks_are_read_from_the_syntax_tree() -> None:
    assert list(properties.marks(ast.parse(SOURCE), "a/test_z.py")) == [
        ("hostname", "a/test_z.py"),
        ("root.path", "a/test_z.py"),
        ("annotations", "a/test_z.py"),
        ("linux.maskedPaths.*", "a/test_z.py::test_x"),
    ]


@pytest.mark.parametrize("argument", ["*NAMES", "NAME", 'f"{name}"', "1"])
def test_a_mark_that_cannot_be_read_is_an_error(argument: str) -> None:
    with pytest.raises(properties.PropertyError, match="plain strings"):
        list(properties.marks(ast.parse(f"pytest.mark.covers({argument})"), "a"))


def problems(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> list[str]:
    """What the generator finds when the world is a little different."""
    real = {"owners": properties.owners(), "covered": properties.covered()}
    for name, change in changes.items():
        changed = change(real[name])
        monkeypatch.setattr(properties, name, partial(dict, changed))
    with pytest.raises(properties.PropertyError) as caught:
        properties.rows()
    return str(caught.value).splitlines()


def test_a_leaf_without_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(tests: dict[str, list[str]]) -> dict[str, list[str]]:
        return {path: places for path, places in tests.items() if path != "hostname"}

    assert problems(monkeypatch, covered=change) == [
        'hostname: no test is marked covers("hostname")'
    ]


def test_a_leaf_without_an_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(owners: dict[str, str]) -> dict[str, str]:
        return {path: owner for path, owner in owners.items() if path != "linux.sysctl"}

    assert problems(monkeypatch, owners=change) == ["linux.sysctl: no feature has it in PROPERTIES"]


def test_a_leaf_that_found_an_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in TABLE["unowned"]:
        found = problems(monkeypatch, owners=lambda owners, path=path: {**owners, path: "affinity"})
        assert any("features/affinity.py has it" in line for line in found)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("linux.maskedPath", "which the schema does not have"),
        ("linux.resources", "name what is below it"),
        ("process.commandLine", "not to be listed as ignored"),
    ],
)
def test_marks_of_nothing_and_of_too_much(
    monkeypatch: pytest.MonkeyPatch, path: str, words: str
) -> None:
    found = problems(monkeypatch, covered=lambda tests: {**tests, path: ["a/test_b.py"]})
    assert any(words in line for line in found), found


def test_every_row_is_within_a_mark_it_shows() -> None:
    covered = properties.covered()
    for row in properties.rows():
        for test in row.tests:
            paths = [path for path, places in covered.items() if test in places]
            assert any(within(properties.plain(row.leaf), path) for path in paths)
