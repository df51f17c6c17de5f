"""Writes the trees as TypedDicts: for the type checker, never imported when the program runs.

Linux alone: a section of another platform is `dict[str, object]`.
"""

from __future__ import annotations

import keyword
from typing import Any

SCALARS = {"string": "str", "integer": "int", "boolean": "bool"}
FOREIGN = {"windows", "solaris", "vm", "zos", "freebsd"}
ROOT_NAMES = {
    "config": "Config",
    "process": "Process",
    "resources": "LinuxResources",
    "state": "State",
    "features": "Features",
}


class Writer:
    def __init__(self) -> None:
        self.rows: list[str] = []
        self.bodies: dict[str, str] = {}

    def name(self, tree: dict[str, Any], path: str) -> str:
        """The expression for a type; writes the definitions it needs first."""
        kind = tree["type"]
        if "enum" in tree:
            return self._define(self._title(tree, path), self._literal(tree["enum"]))
        if kind in SCALARS:
            return SCALARS[kind]
        if kind == "array":
            return f"list[{self.name(tree['items'], _singular(path))}]"
        if "properties" in tree:
            title = self._title(tree, path)
            return self._define(title, self._dict(tree, title))
        for value in [
            tree.get("additionalProperties"),
            *tree.get("patternProperties", {}).values(),
        ]:
            if value is not None:
                return f"dict[str, {self.name(value, path)}]"
        return "dict[str, object]"

    @staticmethod
    def _title(tree: dict[str, Any], path: str) -> str:
        given = tree.get("title", "").partition("#")[2]
        return given[:1].upper() + given[1:] if given else path

    def _define(self, title: str, body: str) -> str:
        if self.bodies.setdefault(title, body) != body:
            raise ValueError(f"two different types would be called {title}")
        row = body.replace("@", title, 1) if "@" in body else f"{title} = {body}\n"
        if row not in self.rows:
            self.rows.append(row)
        return title

    @staticmethod
    def _literal(words: list[str]) -> str:
        return "Literal[\n" + "".join(f'    "{word}",\n' for word in words) + "]"

    def _dict(self, tree: dict[str, Any], title: str) -> str:
        fields = []
        for key, value in tree["properties"].items():
            path = ("" if title == "Config" else title) + key[0].upper() + key[1:]
            kind = "dict[str, object]" if key in FOREIGN else self.name(value, path)
            fields.append((key, f"Required[{kind}]" if key in tree.get("required", ()) else kind))
        if any(keyword.iskeyword(key) for key, _ in fields):
            inner = "".join(f'        "{key}": {kind},\n' for key, kind in fields)
            return f'{title} = TypedDict(\n    "@",\n    {{\n{inner}    }},\n    total=False,\n)\n'
        inner = "".join(f"    {key}: {kind}\n" for key, kind in fields)
        return f"class @(TypedDict, total=False):\n{inner}"


def _singular(path: str) -> str:
    if path.endswith("ies"):
        return path[:-3] + "y"
    return path[:-1] if path.endswith("s") else path


def module(trees: dict[str, Any]) -> str:
    writer = Writer()
    for what, tree in trees.items():
        writer.name(tree, ROOT_NAMES[what])
    imports = (
        "from __future__ import annotations\n\nfrom typing import Literal, Required, TypedDict\n"
    )
    return "\n\n".join([imports, *writer.rows])
