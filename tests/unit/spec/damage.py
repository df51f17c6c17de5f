"""Documents damaged at random, but the same ones for the same seed."""

from __future__ import annotations

import copy
import random
from typing import TYPE_CHECKING, Any

from tests.unit.spec.cases import base, slim, steps

if TYPE_CHECKING:
    from collections.abc import Iterator

VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 511, 512, 2**16, 2**32, 2**63, 2**64, -(2**63) - 1, 1.5, "", "x",
    "RLIMIT_CPU", "2MB", "MB:0=1", "0-1", "c", "SCMP_ACT_ALLOW", "mount", "slave", [], {}, [[]],
    [None], ["x"], [{}], {"type": "pid"}, {"path": "/x"}, {"": ""}, {"a": 1},
]  # fmt: skip
BASES = {"full": "config", "other": "config", "state": "state", "features": "features"}


def documents(seed: int, count: int) -> Iterator[tuple[str, Any]]:
    """(what, document): a base with one to three parts replaced, removed, renamed or doubled."""
    chance = random.Random(seed)
    sources = {name: base(name) for name in BASES}
    for _ in range(count):
        name = chance.choices(list(BASES), [12, 4, 1, 2])[0]
        document = slim(sources[name], chance.choice(pointers(sources[name])))
        document = copy.deepcopy(document)
        for _ in range(chance.randint(1, 3)):
            places = pointers(document)
            if places:
                _damage(chance, document, chance.choice(places))
        yield BASES[name], document


def pointers(node: Any, where: str = "") -> list[str]:
    if isinstance(node, dict):
        rows = [(str(key).replace("~", "~0").replace("/", "~1"), node[key]) for key in node]
    else:
        rows = [(str(index), item) for index, item in enumerate(node)]
    result = []
    for step, child in rows:
        result.append(f"{where}/{step}")
        if isinstance(child, (dict, list)):
            result += pointers(child, f"{where}/{step}")
    return result


def _damage(chance: random.Random, document: Any, pointer: str) -> None:
    *path, last = steps(pointer)
    node = document
    for step in path:
        node = node[int(step) if isinstance(node, list) else step]
    key: Any = int(last) if isinstance(node, list) else last
    way = chance.choice(["replace", "replace", "replace", "remove", "rename", "double"])
    if way == "replace":
        node[key] = copy.deepcopy(chance.choice(VALUES))
    elif way == "remove":
        del node[key]
    elif way == "double" and isinstance(node, list):
        node.insert(key, copy.deepcopy(node[key]))
    elif isinstance(node, dict):
        node[chance.choice([last.upper(), last + "x", "path", "type"])] = node.pop(key)
