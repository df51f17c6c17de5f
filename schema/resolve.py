"""The schema files as trees without references.

`Resolver.tree("config-schema.json")` follows every `$ref`, joins the members of `allOf`, and
refuses any keyword it does not know: a constraint must not be dropped in silence.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent

KEYWORDS = {
    "type",
    "properties",
    "required",
    "additionalProperties",
    "patternProperties",
    "items",
    "minItems",
    "enum",
    "pattern",
    "minimum",
    "maximum",
}
TYPES = ("object", "array", "string", "integer", "boolean")
REMARKS = {"description", "$schema"}


class SchemaError(Exception):
    """The schema says something the generator has no rule for."""


class Resolver:
    def __init__(self, directory: Path = HERE) -> None:
        self.directory = directory
        self.files: dict[str, Any] = {}

    def tree(self, reference: str) -> dict[str, Any]:
        """The tree at `file.json#/place`, or the whole file."""
        name, _, place = reference.partition("#")
        return self._expand(self._find(name, place), name, reference)

    def _find(self, name: str, place: str) -> Any:
        if name not in self.files:
            self.files[name] = json.loads((self.directory / name).read_text())
        node = self.files[name]
        for step in place.split("/"):
            if step:
                node = node[step]
        return node

    def _expand(self, node: Any, name: str, where: str) -> dict[str, Any]:
        if not isinstance(node, dict):
            raise SchemaError(f"{where}: no rule for {node!r} in place of a schema")
        if "$ref" in node:  # in draft 4 its siblings do not count
            target, _, place = node["$ref"].partition("#")
            target = target or name
            title = place.rpartition("/definitions/")[2] if "/definitions/" in place else ""
            found = self._expand(self._find(target, place), target, node["$ref"])
            return {**found, "title": f"{target}#{title}"} if title else found
        if "allOf" in node:
            return self._joined(node, name, where)
        unknown = set(node) - KEYWORDS - REMARKS
        if unknown or node.get("type") not in TYPES:
            raise SchemaError(f"{where}: no rule for {sorted(unknown) or node.get('type')}")
        result = {key: value for key, value in node.items() if key in KEYWORDS}
        for keyword in ("properties", "patternProperties"):
            if keyword in node:
                result[keyword] = {
                    key: self._expand(value, name, f"{where}/{keyword}/{key}")
                    for key, value in node[keyword].items()
                }
        for keyword in ("items", "additionalProperties"):
            if keyword in node:
                result[keyword] = self._expand(node[keyword], name, f"{where}/{keyword}")
        return result

    def _joined(self, node: Any, name: str, where: str) -> dict[str, Any]:
        """Members of `allOf` that are plain objects with different properties make one object."""
        if set(node) - {"allOf", "type"} - REMARKS:
            raise SchemaError(f"{where}: allOf beside {sorted(set(node) - {'allOf'})}")
        properties: dict[str, Any] = {}
        required: list[str] = []
        for member in node["allOf"]:
            tree = self._expand(member, name, f"{where}/allOf")
            if tree["type"] != "object" or set(tree) - {"type", "properties", "required", "title"}:
                raise SchemaError(f"{where}: a member of allOf is not a plain object")
            if properties.keys() & tree["properties"].keys():
                raise SchemaError(f"{where}: members of allOf share a property")
            properties.update(tree["properties"])
            required += [key for key in tree.get("required", []) if key not in required]
        return {"type": "object", "properties": properties, "required": required}
