"""What a finding says: (pointer, what was expected, what was found). Loaded when one is needed.

`check` and `explain` find mistakes in different ways and must say the same: the words live here.
"""

from __future__ import annotations

from pyruntime.lib import jsondoor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Finding = tuple[str, str, str]

_KINDS = {
    dict: "an object",
    list: "a list",
    str: "a string",
    int: "an integer",
    bool: "true or false",
}
_SEARCHED_FOR = {
    "/linux/memoryPolicy": "invalid memory policy mode",  # it is what is missing
    "/linux/memoryPolicy/mode": "invalid memory policy mode",
    "/linux/memoryPolicy/flags": "invalid memory policy flag",
}
_MANY = 12
_LONG = 60


def join(pointer: str, key: str | int) -> str:
    """One step further down, as RFC 6901 writes it."""
    if isinstance(key, int):
        return f"{pointer}/{key}"
    return f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"


def sort_key(finding: Finding) -> tuple[list[tuple[int, int, str]], str]:
    """By pointer, where indices are numbers: /mounts/2 before /mounts/10."""
    parts = [
        (0, int(part), "") if part.isdecimal() else (1, 0, part)
        for part in finding[0].split("/")[1:]
    ]
    return parts, finding[1]


def with_runcs_words(finding: Finding) -> Finding:
    """What runc says of such a mistake comes first, where people search for it."""
    pointer, what, why = finding
    head, _, tail = pointer.rpartition("/")
    words = _SEARCHED_FOR.get(head if tail.isdecimal() else pointer)
    return (pointer, f"{words}: {what}", why) if words else finding


def wrong_type(wanted: type, value: object) -> tuple[str, str]:
    return f"expected {_KINDS[wanted]}", found(value)


def out_of_range(low: int | None, high: int | None, value: int) -> tuple[str, str]:
    if high is None:
        return f"expected an integer not below {low}", found(value)
    if low is None:
        return f"expected an integer not above {high}", found(value)
    return f"expected an integer from {low} to {high}", found(value)


def not_in_list(words: Iterable[str], value: object) -> tuple[str, str]:
    known = sorted(words)
    shown = ", ".join(f"`{word}`" for word in known[:_MANY])
    if len(known) > _MANY:
        shown += f" or {len(known) - _MANY} more"
    what = f"expected {'one of ' if len(known) > 1 else ''}{shown}"
    near = _nearest(value, known) if isinstance(value, str) else ""
    return what, found(value) + (f"; did you mean `{near}`?" if near else "")


def wrong_form(wanted: str, value: object) -> tuple[str, str]:
    return f"expected {wanted}", found(value)


def too_few(least: int, value: list[object]) -> tuple[str, str]:
    plural = "entry" if least == 1 else "entries"
    return f"expected at least {least} {plural}", f"found {len(value) or 'none'}"


def missing(key: str) -> tuple[str, str]:
    return f"`{key}` is missing", "it is required"


def miscased(key: str, known: str) -> tuple[str, str]:
    return f"the unknown property `{key}` is ignored", f"did you mean `{known}`?"


def found(value: object) -> str:
    if value is None:
        return "found null"
    if isinstance(value, dict):
        return "found an object" if value else "found an empty object"
    if isinstance(value, list):
        return "found a list" if value else "found an empty list"
    if isinstance(value, bool):
        return f"found {'true' if value else 'false'}"
    if isinstance(value, str):
        short = value if len(value) <= _LONG else value[:_LONG] + "…"
        return f"found the string {jsondoor.dumps(short)}"
    return f"found the number {value}"


def _nearest(text: str, known: list[str]) -> str:
    """The word that was probably meant, or nothing."""
    wanted = text.lower()
    for word in known:
        low = word.lower()
        if (
            low == wanted
            or (len(wanted) > 2 and low.startswith(wanted))
            or low.endswith("_" + wanted)
        ):
            return word
    distance, word = min((_distance(wanted, word.lower()), word) for word in known)
    return word if distance <= max(1, len(word) // 4) else ""


def _distance(left: str, right: str) -> int:
    """Levenshtein's count of insertions, deletions and replacements."""
    row = list(range(len(right) + 1))
    for number, char in enumerate(left[:_LONG], 1):
        before, row[0] = row[0], number
        for column, other in enumerate(right, 1):
            before, row[column] = (
                row[column],
                min(row[column] + 1, row[column - 1] + 1, before + (char != other)),
            )
    return row[-1]
