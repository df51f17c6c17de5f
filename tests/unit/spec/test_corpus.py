"""check and explain give the corpus's verdicts, and the corpus has a case for every node."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from pyruntime.spec.check import check
from pyruntime.spec.explain import explain
from tests.unit.spec.cases import Case, base, corpus, steps

SCHEMA = Path(__file__).resolve().parents[3] / "schema"
sys.path.insert(0, str(SCHEMA))
from generate import ROOTS  # noqa: E402
from resolve import Resolver  # noqa: E402

TREES = {what: Resolver().tree(place) for what, place in ROOTS.items()}


def pointers(findings: list[tuple[str, str, str]] | None) -> list[str]:
    return list(dict.fromkeys(pointer for pointer, _, _ in findings or []))


def test_the_corpus_is_there() -> None:
    assert sum(1 for _ in corpus("accept")) > 800
    assert sum(1 for _ in corpus("reject")) > 2400


def test_accept() -> None:
    for case in corpus("accept"):
        assert (check(case.document, case.what), case.name) == (None, case.name)
        assert (explain(case.document, case.what), case.name) == ([], case.name)


def test_reject() -> None:
    for case in corpus("reject"):
        found = check(case.document, case.what)
        assert (pointers(found), case.name) == (case.findings, case.name)
        assert (explain(case.document, case.what), case.name) == (found, case.name)


@pytest.mark.parametrize(
    ("name", "what"),
    [(n, n) for n in ("state", "features")] + [("full", "config"), ("other", "config")],
)
def test_bases_are_valid(name: str, what: str) -> None:
    assert check(base(name), what) is None
    assert explain(base(name), what) == []


def test_findings_read_as_sentences() -> None:
    """Words, not reprs: no finding shows Python, and each says what was found."""
    for case in corpus("reject"):
        for _, what, why in check(case.document, case.what) or []:
            assert re.fullmatch(r"expected .+|`\S+` is missing", what, re.DOTALL), (case.name, what)
            assert why.startswith(("found ", "it is required")), (case.name, why)
            assert not re.search(r"\bNone\b|\bTrue\b|\bFalse\b|<class|\n", what + why), case.name


# Coverage: every node of the trees against the cases that reach it.


def nodes(tree: dict[str, Any], where: str = "") -> dict[str, dict[str, Any]]:
    """pattern (a `*` for an index or a free key) -> node"""
    result = {where: tree} if where else {}
    for key, child in tree.get("properties", {}).items():
        result |= nodes(child, f"{where}/{key}")
    for child in [
        tree.get("items"),
        tree.get("additionalProperties"),
        *tree.get("patternProperties", {}).values(),
    ]:
        if child is not None:
            result |= nodes(child, f"{where}/*")
    return result


def place(tree: dict[str, Any], pointer: str) -> str:
    """The pattern a pointer belongs to."""
    where = ""
    for step in steps(pointer):
        if step in tree.get("properties", {}):
            tree, where = tree["properties"][step], f"{where}/{step}"
            continue
        inner = tree.get("items") or tree.get("additionalProperties")
        inner = inner or next(iter(tree.get("patternProperties", {}).values()), None)
        if inner is None:
            return ""
        tree, where = inner, f"{where}/*"
    return where


def lacks(node: dict[str, Any], good: list[Case], bad: list[Case]) -> list[str]:
    accepted = [case.value for case in good]
    refused = [case.value for case in bad if not case.removed]
    kind = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
    same = [value for value in refused if type(value) is kind[node["type"]]]
    wanted = {"a wrong type": len(refused) > len(same)}
    if node["type"] in ("string", "integer", "boolean"):
        wanted["a good value"] = bool(accepted)
    for bound, beyond in (("minimum", -1), ("maximum", 1)):
        if bound in node:
            wanted[bound] = node[bound] in accepted and node[bound] + beyond in refused
    if "enum" in node:
        wanted["every word"] = set(node["enum"]) <= set(accepted) and bool(same)
    if "pattern" in node:
        wanted["a wrong form"] = bool(same)
    if "minItems" in node:
        wanted["too few items"] = bool(same)
    return [name for name, there in wanted.items() if not there]


@pytest.mark.parametrize("what", ["config", "state", "features"])
def test_every_node_has_its_cases(what: str) -> None:
    tree = TREES[what]
    reached: dict[str, tuple[list[Case], list[Case]]] = {}
    absent = set()
    for verdict in (0, 1):
        for case in corpus(("accept", "reject")[verdict]):
            if case.what == what and case.pointer is not None:
                where = place(tree, case.pointer)
                reached.setdefault(where, ([], []))[verdict].append(case)
                if case.removed:
                    absent.add(where)
    missing = []
    for where, node in nodes(tree).items():
        missing += [f"{where}: {lack}" for lack in lacks(node, *reached.get(where, ([], [])))]
        missing += [
            f"{where}: without {key}"
            for key in node.get("required", [])
            if f"{where}/{key}" not in absent
        ]
    assert missing == []
