"""Command lines as runc reads them, from tables.

A row is (long name, short letter or "", placeholder or "", what it is for or ""). A row without a placeholder is a
switch; "N" asks for a number; one that ends in "..." collects every value given; a row without words is accepted and
kept out of --help. `-x`, `--x`, `--x=v`, `--x v` mean the same for every length of name; of repeated options the last
wins; `--` ends them. Options may stand on either side of the id, except where what follows it is a program's. argparse
would be slower than all of `state`, and words its errors differently from what engines probe for.
"""

from __future__ import annotations

from pyruntime import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Row = tuple[str, str, str, str]

HELP: Row = ("help", "h", "", "show help")
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
MAX_NUMBER = 1 << 20
MANY = "..."


class Verb:
    """What a verb takes: its rows, how many arguments, their placeholder, what it does, more for --help; with `stop`
    its options end at the first argument."""

    __slots__ = ("rows", "least", "most", "arguments", "summary", "notes", "stop")

    def __init__(
        self,
        summary: str,
        rows: Sequence[Row] = (),
        arguments: str = "",
        least: int = 0,
        most: int | None = None,
        notes: str = "",
        *,
        stop: bool = False,
    ) -> None:
        self.summary = summary
        self.rows = (*rows, HELP)
        self.arguments = arguments
        self.least = least
        self.most = least if most is None else most
        self.notes = notes
        self.stop = stop


def parse(
    words: Sequence[str], rows: Sequence[Row], *, stop: bool = False
) -> tuple[dict[str, Any], list[str]]:
    """(values by long name, the other words). With `stop` the first other word ends the options."""
    table = {}
    values: dict[str, Any] = {}
    for row in rows:
        table[row[0]] = row
        if row[1]:
            table[row[1]] = row
        values[row[0]] = _absent(row)
    others: list[str] = []
    index = 0
    while index < len(words):
        word = words[index]
        index += 1
        if word[:1] != "-" or word == "-":
            others.append(word)
            if stop:
                break
            continue
        if word == "--":
            break
        name, equals, value = word.removeprefix("-").removeprefix("-").partition("=")
        found = table.get(name)
        if found is None:
            raise errors.UsageError(f"flag provided but not defined: -{name}")
        if found[2] and not equals:
            if index == len(words):
                raise errors.UsageError(f"flag needs an argument: {word}")
            value = words[index]
            index += 1
        if found[2].endswith(MANY):
            values[found[0]].append(value)
        else:
            values[found[0]] = _value(found, value, given=bool(found[2] or equals))
    return values, others + list(words[index:])


def _absent(row: Row) -> Any:
    if row[2].endswith(MANY):
        return []
    return 0 if row[2] == "N" else "" if row[2] else False


def _value(row: Row, text: str, *, given: bool) -> object:
    name, _, placeholder, _ = row
    if not placeholder:
        if given and text not in _TRUE + _FALSE:
            raise errors.UsageError(f'invalid boolean value "{text}" for -{name}: parse error')
        return not given or text in _TRUE
    if placeholder == "N":
        if not (text.isascii() and text.isdigit() and len(text) < 8 and int(text) <= MAX_NUMBER):
            raise errors.UsageError(f'invalid value "{text}" for flag -{name}: parse error')
        return int(text)
    return text


def check_count(name: str, verb: Verb, count: int) -> None:
    """The words of runc, which engines' tests know."""
    if verb.least <= count <= verb.most:
        return
    if verb.least == verb.most:
        wanted = f"exactly {verb.least}"
    else:
        wanted = f"a minimum of {verb.least}" if count < verb.least else f"a maximum of {verb.most}"
    raise errors.UsageError(f'"{name}" requires {wanted} argument(s)')
