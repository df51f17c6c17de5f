"""Every mistake of a document by jsonschema's judgement, in our words; needs the full interpreter.

It reads the same schema as `check` by another road, so that neither is its own judge; a test holds
the two against each other over the corpus and thousands of damaged documents.
"""

from __future__ import annotations

import json

import jsonschema

from pyruntime.spec import sentences
from pyruntime.spec._schema import SCHEMAS
from pyruntime.spec.patterns import PATTERNS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.spec.sentences import Finding

_SCHEMAS = json.loads(SCHEMAS)
_CLASSES = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}


def explain(document: object, what: str = "config") -> list[Finding]:
    """All findings as (pointer, what, why), sorted by pointer; empty if the document is valid."""
    validator = _Validator(_SCHEMAS[what])
    findings: dict[str, set[tuple[str, str]]] = {}
    mistyped = set()
    for error in validator.iter_errors(document):
        pointer = ""
        for step in error.absolute_path:
            pointer = sentences.join(pointer, step)
        if error.validator == "type":
            mistyped.add(pointer)
            findings[pointer] = {_words(error)}
        elif pointer not in mistyped:
            findings.setdefault(pointer, set()).update(_rows(error))
    rows = [(pointer, *words) for pointer, found in findings.items() for words in found]
    return sorted(rows, key=sentences.sort_key)


def _pattern(validator: Any, pattern: str, instance: object, schema: Any) -> Iterator[Any]:
    """In place of jsonschema's own, whose `$` lets a newline follow."""
    if isinstance(instance, str) and not PATTERNS[pattern][0](instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")


_Validator: Any = jsonschema.validators.extend(
    jsonschema.Draft4Validator, validators={"pattern": _pattern}
)


def _rows(error: Any) -> list[tuple[str, str]]:
    if error.validator == "required":
        # jsonschema makes one error per key and names it in its message only.
        return [
            sentences.missing(key) for key in error.validator_value if key not in error.instance
        ]
    return [_words(error)]


def _words(error: Any) -> tuple[str, str]:
    kind, value, instance, schema = (
        error.validator,
        error.validator_value,
        error.instance,
        error.schema,
    )
    if kind == "type":
        return sentences.wrong_type(_CLASSES[value], instance)
    if kind in ("minimum", "maximum"):
        return sentences.out_of_range(schema.get("minimum"), schema.get("maximum"), instance)
    if kind == "enum":
        return sentences.not_in_list(value, instance)
    if kind == "pattern":
        return sentences.wrong_form(PATTERNS[value][1], instance)
    if kind == "minItems":
        return sentences.too_few(value, instance)
    return error.message, ""
