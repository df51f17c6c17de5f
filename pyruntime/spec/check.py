"""Does a document keep to the schema? Walks the tables that schema/generate.py made of it.

A good document costs one pass and builds nothing: each walker returns None all the way up. Findings
are made on the way back from a mistake, where the pointer grows from the right. A node of the
tables is a tuple of the class the value must have, the kind of what else is to be checked, and its
operands:

    (class, ANY)                          nothing else
    (int, RANGE, low, high)               either may be None
    (str, ENUM, words)
    (str, PATTERN, predicate, wanted)
    (list, LIST, item node, least)
    (dict, OBJECT, properties, required)
    (dict, MAP, value node, key predicate or None)

`bool` is not `int` here and a float is never one: the JSON door has already made 1.0 a 1.
"""

from __future__ import annotations

from pyruntime.spec import _tables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Finding = tuple[str, str, str]
    # A finding on its way up, and whether it is only a warning.
    Row = tuple[str, str, str, bool]
    Node = tuple[Any, ...]

ANY, RANGE, ENUM, PATTERN, LIST, OBJECT, MAP = range(7)
_STRINGS = {str}


def check(document: object, what: str = "config") -> list[Finding] | None:
    """None if `document` is a valid config, process, resources, state or features; else why not."""
    return inspect(document, what)[0] or None


def inspect(document: object, what: str = "config") -> tuple[list[Finding], list[Finding]]:
    """Findings and warnings, each (pointer, what, why); a warning is a key in the wrong case."""
    root = _tables.ROOTS[what]
    rows = _walk_child(root, document)
    if not rows:
        return [], []
    from pyruntime.spec.sentences import sort_key

    findings = [row[:3] for row in rows if not row[3]]
    warnings = [row[:3] for row in rows if row[3]]
    return sorted(findings, key=sort_key), sorted(warnings, key=sort_key)


def _walk_child(node: Node, value: Any) -> list[Row] | None:
    if value.__class__ is not node[0]:
        return [_mismatch(node, value)]
    return _WALKERS[node[1]](node, value)


def _walk_any(node: Node, value: Any) -> list[Row] | None:
    return None


def _walk_range(node: Node, value: Any) -> list[Row] | None:
    low, high = node[2], node[3]
    if (low is None or low <= value) and (high is None or value <= high):
        return None
    return [_mismatch(node, value)]


def _walk_enum(node: Node, value: Any) -> list[Row] | None:
    return None if value in node[2] else [_mismatch(node, value)]


def _walk_pattern(node: Node, value: Any) -> list[Row] | None:
    return None if node[2](value) else [_mismatch(node, value)]


def _walk_object(node: Node, value: Any) -> list[Row] | None:
    rows: list[Row] | None = None
    properties = node[2]
    for key, item in value.items():
        child = properties.get(key)
        if child is None:
            wrong = _unknown(key, properties)
        elif item.__class__ is not child[0]:
            wrong = [_mismatch(child, item)]
        elif child[1]:
            wrong = _WALKERS[child[1]](child, item)
        else:
            continue
        if wrong:
            rows = _under(key, wrong, rows)
    for key in node[3]:
        if key not in value:
            rows = [*(rows or []), _lack(key)]
    return rows


def _walk_list(node: Node, value: Any) -> list[Row] | None:
    rows: list[Row] | None = None
    child = node[2]
    # Hundreds of system call names: the class of all of them at once.
    if child[0] is not str or child[1] or not _STRINGS.issuperset(map(type, value)):
        for index, item in enumerate(value):
            wrong = _walk_child(child, item)
            if wrong:
                rows = _under(index, wrong, rows)
    if len(value) < node[3]:
        rows = [*(rows or []), _shortage(node[3], value)]
    return rows


def _walk_map(node: Node, value: Any) -> list[Row] | None:
    rows: list[Row] | None = None
    child, counts = node[2], node[3]
    for key, item in value.items():
        if counts is None or counts(key):
            wrong = _walk_child(child, item)
            if wrong:
                rows = _under(key, wrong, rows)
    return rows


_WALKERS: tuple[Callable[[Node, Any], list[Row] | None], ...] = (
    _walk_any,
    _walk_range,
    _walk_enum,
    _walk_pattern,
    _walk_list,
    _walk_object,
    _walk_map,
)


# What follows only runs once something is wrong, and is where the words are first needed.


def _under(key: str | int, wrong: list[Row], rows: list[Row] | None) -> list[Row]:
    from pyruntime.spec.sentences import join

    step = join("", key)
    moved = [(step + pointer, what, why, mild) for pointer, what, why, mild in wrong]
    return moved if rows is None else rows + moved


def _mismatch(node: Node, value: Any) -> Row:
    from pyruntime.spec import sentences

    if value.__class__ is not node[0]:
        what, why = sentences.wrong_type(node[0], value)
    elif node[1] == RANGE:
        what, why = sentences.out_of_range(node[2], node[3], value)
    elif node[1] == ENUM:
        what, why = sentences.not_in_list(node[2], value)
    else:
        what, why = sentences.wrong_form(node[3], value)
    return "", what, why, False


def _lack(key: str) -> Row:
    from pyruntime.spec import sentences

    return "", *sentences.missing(key), False


def _shortage(least: int, value: list[object]) -> Row:
    from pyruntime.spec import sentences

    return "", *sentences.too_few(least, value), False


def _unknown(key: str, properties: dict[str, Node]) -> list[Row] | None:
    """The spec has unknown properties ignored; but other runtimes read `Process` as `process`."""
    folded = key.casefold()
    for known in properties:
        if known.casefold() == folded:
            from pyruntime.spec import sentences

            return [("", *sentences.miscased(key, known), True)]
    return None
