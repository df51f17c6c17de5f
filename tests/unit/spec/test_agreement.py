"""Three judges, one verdict: check's tables, explain's document, jsonschema on the files themselves.

With PYRUNTIME_OCI_SCHEMA naming a directory that holds the published 1.3.0 files, they are the
fourth, but for the differences that schema/README.md lists; each of those must show.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import referencing
import referencing.jsonschema

from pyruntime.spec.check import check
from pyruntime.spec.explain import explain
from tests.unit.spec.cases import Case, corpus
from tests.unit.spec.damage import documents

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = Path(__file__).resolve().parents[3] / "schema"
PUBLISHED = os.environ.get("PYRUNTIME_OCI_SCHEMA", "")
FILES = {
    "config": "config-schema.json",
    "state": "state-schema.json",
    "features": "features-schema.json",
}
# The table in schema/README.md: where the published files judge otherwise.
DIFFERENCES = (
    "/linux/rootfsPropagation",
    "/linux/devices",
    "/linux/memoryPolicy",
    "/linux/personality",
    "/linux/intelRdt/schemata",
    "/linux/intelRdt/monitoring",
    "/vm/hwConfig/iomems",
)


class Files:
    """jsonschema on a directory of schema files, references and all."""

    def __init__(self, directory: Path) -> None:
        draft4 = referencing.jsonschema.DRAFT4
        registry: Any = referencing.Registry()
        for path in directory.glob("*.json"):
            contents = json.loads(path.read_text().replace('"#definitions/', '"#/definitions/'))
            registry = registry.with_resource(path.name, draft4.create_resource(contents))
        self.validators = {
            what: jsonschema.Draft4Validator({"$ref": name}, registry=registry)
            for what, name in FILES.items()
        }

    def accepts(self, document: object, what: str) -> bool:
        return bool(self.validators[what].is_valid(document))


@pytest.fixture(scope="module")
def ours() -> Files:
    return Files(OURS)


@pytest.fixture(scope="module")
def published() -> Files:
    if not PUBLISHED:
        pytest.skip("PYRUNTIME_OCI_SCHEMA does not name the published 1.3.0 schema files")
    return Files(Path(PUBLISHED))


def both() -> Iterator[Case]:
    for verdict in ("accept", "reject"):
        yield from (case for case in corpus(verdict) if case.what in FILES)


def has_final_newline(node: object) -> bool:
    """Python's `$` lets a newline follow, which ECMA 262 and our predicates do not."""
    if isinstance(node, dict):
        return any(map(has_final_newline, node.values()))
    if isinstance(node, list):
        return any(map(has_final_newline, node))
    return isinstance(node, str) and node.endswith("\n")


def judge(files: Files, seed: int, count: int, stride: int) -> tuple[int, int]:
    """How many damaged documents were accepted, and how many refused, by all three.

    jsonschema takes long over references, so the files judge one document in `stride`.
    """
    accepted = 0
    for number, (what, document) in enumerate(documents(seed, count)):
        found = check(document, what) or []
        assert explain(document, what) == found, json.dumps(document)
        if number % stride == 0:
            assert files.accepts(document, what) == (not found), json.dumps(document)
        accepted += not found
    return accepted, count - accepted


@pytest.mark.parametrize("stride", [10, pytest.param(1, marks=pytest.mark.nightly)])
def test_files_judge_the_corpus_alike(ours: Files, stride: int) -> None:
    for case in [*both()][::stride]:
        if not has_final_newline(case.document):
            assert (ours.accepts(case.document, case.what), case.name) == (
                not case.findings,
                case.name,
            )


def test_damaged_documents(ours: Files) -> None:
    accepted, refused = judge(ours, seed=130, count=2000, stride=10)
    assert accepted > 150
    assert refused > 1000


@pytest.mark.nightly
@pytest.mark.slow
def test_damaged_documents_at_length(ours: Files) -> None:
    accepted, refused = judge(ours, seed=131, count=40_000, stride=1)
    assert accepted > 4000
    assert refused > 20_000


def test_published_files_judge_the_corpus_alike(published: Files) -> None:
    shown = set()
    for case in both():
        if published.accepts(case.document, case.what) != (not case.findings):
            at = case.pointer or case.findings[0]
            known = [place for place in DIFFERENCES if at.startswith(place)]
            assert known, case.name
            shown.update(known)
    assert shown == set(DIFFERENCES)


def test_published_files_judge_damage_alike(published: Files) -> None:
    for what, document in documents(132, 3000):
        found = [pointer for pointer, _, _ in check(document, what) or []]
        if published.accepts(document, what) != (not found):
            assert all(pointer.startswith(DIFFERENCES) for pointer in found), (document, found)
            assert found or {"rootfsPropagation", "devices"} & set(document["linux"])


def test_published_samples(published: Files) -> None:
    counted = 0
    for what in FILES:
        for path in (Path(PUBLISHED) / "test" / what).glob("*/*.json"):
            try:
                document = json.loads(path.read_text())
            except ValueError:
                continue
            counted += 1
            assert (check(document, what) is None) == (path.parent.name == "good"), path
    assert counted > 10
