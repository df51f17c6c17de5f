"""The JSON door against the standard library: never more than it, and less only where the door says so."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import strategies as st

from pyruntime.lib import jsondoor
from tests.fuzz.budget import explore

SCALARS = (
    st.none() | st.booleans() | st.integers(-(10**20) + 1, 10**20 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"))
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3).map(str.strip), inner),
    max_leaves=12,
)


class Refused(Exception):
    """What the door refuses on purpose."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise Refused("a key twice")
    return dict(pairs)


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > jsondoor.MAX_DIGITS:
        raise Refused("digits")
    return int(digits)


def _number(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise Refused("infinite")
    return int(value) if value.is_integer() and abs(value) <= 2**53 else value


def _constant(word: str) -> Any:
    raise Refused(word)


def _refuse_texts(value: Any, depth: int = 0) -> None:
    if isinstance(value, str):
        if "\0" in value or any(0xD800 <= ord(letter) < 0xE000 for letter in value):
            raise Refused("a text")
    elif isinstance(value, (list, dict)):
        if depth == jsondoor.MAX_DEPTH:
            raise Refused("depth")
        for child in value:
            _refuse_texts(child, depth + 1)
        for child in value.values() if isinstance(value, dict) else ():
            _refuse_texts(child, depth + 1)


def oracle(data: bytes) -> Any:
    """What the standard library reads of it, with the door's restrictions."""
    text = data.decode("utf-8")
    if text.startswith("\ufeff"):
        raise Refused("a mark")
    value = json.loads(
        text, object_pairs_hook=_pairs, parse_int=_integer, parse_float=_number,
        parse_constant=_constant,
    )  # fmt: skip
    _refuse_texts(value)
    return value


def same(one: Any, other: Any) -> bool:
    return repr(one) == repr(other)


def compare(data: bytes) -> None:
    try:
        wanted = oracle(data)
    except (Refused, ValueError, RecursionError):
        wanted = Refused
    try:
        found = jsondoor.loads(data)
    except jsondoor.JsonError:
        found = Refused
    assert same(found, wanted)
    if found is not Refused:
        slowly = jsondoor._Reader(data.decode()).document()
        assert same(slowly, found), "the slow reader reads something else"


DIGITS = st.text("0123456789-+.eE", min_size=1, max_size=26)
ESCAPES = st.text('\\u0dDcC8aA"ntb', max_size=14).map('"{}"'.format)
PIECES = st.sampled_from(
    ["{", "}", "[", "]", ",", ":", '"a"', '"', "null", "true", "NaN", "-Infinity", " ", "\n", "\ufeff", '"a":', "é",
     "[" * 63, "]" * 63, "[" * 70, '{"a":' * 64, "\\", "\\u0000", "1.0", "1e400", "\x00", "\x1f", "\x7f", "\u2028"]
)  # fmt: skip


def test_bytes() -> None:
    text = st.lists(PIECES | DIGITS | ESCAPES, max_size=10).map("".join)
    explore("json bytes", st.binary(max_size=40) | text.map(str.encode), compare)


def damaged(value: Any, at: int, byte: int) -> bytes:
    data = bytearray(json.dumps(value, ensure_ascii=bool(at & 1)).encode("utf-8", "replace"))
    data[at % len(data)] = byte
    return bytes(data)


def test_documents() -> None:
    whole = VALUES.map(lambda value: json.dumps(value).encode())
    broken = st.builds(damaged, VALUES, st.integers(0, 1 << 16), st.integers(0, 255))
    explore("json documents", whole | broken, compare)


def write(value: Any) -> None:
    for indent in (None, 4):
        text = jsondoor.dumps(value, indent)
        assert same(json.loads(text), value)


def test_what_is_written_can_be_read() -> None:
    explore("json written", VALUES, write)
