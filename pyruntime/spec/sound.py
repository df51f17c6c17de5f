"""What is done with a document that does not keep to the schema; loaded only then.

A reader wants every mistake in one go, also those that rules beyond the schema find. Rules may rely
on the schema, so they are given the part of the document that keeps to it.
"""

from __future__ import annotations

from pyruntime.lib import handover
from pyruntime.spec.check import check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyruntime.spec.check import Finding


def explained(document: object, what: str, findings: list[Finding]) -> list[Finding]:
    """The findings in jsonschema's judgement where that can be had, otherwise check's own."""
    if not handover.running_full():
        return findings
    try:
        from pyruntime.spec.explain import explain
    except ModuleNotFoundError:
        # Without jsonschema the same mistakes are named; a test holds the two against each other.
        return findings
    return explain(document, what)


def sound_part(document: object, what: str) -> dict[str, object] | None:
    """A copy without the values that have findings; None if the document as a whole is wrong."""
    result = _copy(document)
    while findings := check(result, what):
        # From the end, children first, so that the pointers of what is yet to be removed stay true.
        for pointer in reversed(dict.fromkeys(pointer for pointer, _, _ in findings)):
            if not pointer:
                return None
            _remove(result, pointer)
    return result  # type: ignore[no-any-return]


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value


def _remove(document: Any, pointer: str) -> None:
    steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
    for step in steps[:-1]:
        document = document[int(step) if isinstance(document, list) else step]
    if isinstance(document, list):
        del document[int(steps[-1])]
    else:
        del document[steps[-1]]
