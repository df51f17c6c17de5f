"""The corpus in schema/corpus/ as single cases (its README has the format)."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

CORPUS = Path(__file__).resolve().parents[3] / "schema" / "corpus"


@dataclass
class Case:
    name: str
    what: str
    document: Any
    # Where something was set or removed; None for a document as it stands.
    pointer: str | None
    findings: list[str]
    value: Any = None
    removed: bool = False


def corpus(verdict: str) -> Iterator[Case]:
    """All cases in accept/ or reject/; nothing is cached, each document may be changed."""
    for path in sorted((CORPUS / verdict).glob("*.json")):
        table = json.loads(path.read_text())
        if "document" in table:
            findings = table.get("findings", [])
            yield Case(path.stem, table["what"], table["document"], None, findings)
            continue
        source = base(table["base"])
        for pointer, values in table.get("set", {}).items():
            for value in values:
                name = f"{path.stem}: {pointer} = {json.dumps(value)}"
                document = put(slim(source, pointer), pointer, value)
                found = [pointer] if verdict == "reject" else []
                yield Case(name, table["what"], document, pointer, found, value)
        for pointer, where in table.get("remove", {}).items():
            document = take(slim(source, pointer), pointer)
            name = f"{path.stem}: without {pointer}"
            yield Case(name, table["what"], document, pointer, [where], removed=True)


def base(name: str) -> Any:
    return json.loads((CORPUS / "base" / f"{name}.json").read_text())


def steps(pointer: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def slim(document: Any, pointer: str) -> Any:
    """The document without what lies off the way to `pointer`, so that thousands of cases are quick.

    Lists of values and flat objects stay, because they may be required.
    """
    path = steps(pointer)
    result = copy.copy(document)
    node = result
    for number, step in enumerate(path):
        last = number == len(path) - 1
        keys = list(node) if isinstance(node, dict) else range(len(node))
        for key in keys:
            if str(key) == step and not last:
                node[key] = copy.copy(node[key])
            elif isinstance(node, dict) and str(key) != step and _is_nested(node[key]):
                del node[key]
        if last:
            break
        if isinstance(node, dict) and step not in node:
            node[step] = {}
        node = node[int(step) if isinstance(node, list) else step]
    return result


def _is_nested(value: Any) -> bool:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return any(isinstance(part, dict) for part in parts)


def put(document: Any, pointer: str, value: Any) -> Any:
    *path, last = steps(pointer)
    node = document
    for step in path:
        node = node[int(step) if isinstance(node, list) else step]
    node[int(last) if isinstance(node, list) else last] = value
    return document


def take(document: Any, pointer: str) -> Any:
    *path, last = steps(pointer)
    node = document
    for step in path:
        node = node[int(step) if isinstance(node, list) else step]
    del node[int(last) if isinstance(node, list) else last]
    return document
