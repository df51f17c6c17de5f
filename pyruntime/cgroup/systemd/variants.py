"""Annotations `org.systemd.property.NAME`: a property of the unit, its value in the text form of D-Bus variants.

The form is GLib's (gvariant-text(7)) as far as properties of units need it: booleans, numbers, strings, arrays, tuples,
and a type before a value (`uint64 7`, `@as []`). A number without a type is an int32, with a point or an exponent a
double. `…Sec` is runc's: seconds, which become the microseconds of `…USec`.
"""

from __future__ import annotations

from pyruntime import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Variant = tuple[str, Any]

PREFIX = "org.systemd.property."
LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
LEAST_LETTERS = 3
# The driver's own: another process than the init must not be drawn in, and delete finds the unit by its description.
RESERVED = frozenset(("PIDs", "Slice", "Delegate", "Description"))
KEYWORDS = {
    "boolean": "b", "byte": "y", "int16": "n", "uint16": "q", "int32": "i", "uint32": "u", "int64": "x",
    "uint64": "t", "double": "d", "string": "s", "objectpath": "o", "signature": "g",
}  # fmt: skip
RANGES = {
    "y": (0, 2**8), "n": (-(2**15), 2**15), "q": (0, 2**16), "i": (-(2**31), 2**31), "u": (0, 2**32),
    "x": (-(2**63), 2**63), "t": (0, 2**64),
}  # fmt: skip
TEXTS = frozenset("sog")
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
WORD_END = frozenset(" \t\r\n,()[]{}<>'\"")
DEEPEST = 16
LONGEST_KIND = 64


def properties(annotations: Mapping[str, str]) -> list[tuple[str, Variant]]:
    """(name, value) of each annotation that is a property; StepError with its pointer where it is none."""
    found = []
    for key, text in annotations.items():
        if not key.startswith(PREFIX):
            continue
        name = key[len(PREFIX) :]
        why = _name_mistake(name)
        value: Variant = ("", None)
        if not why:
            try:
                value = parse(text)
                name, value = _microseconds(name, value)
            except ValueError as error:
                why = f"value `{text}`: {error}"
        if why:
            pointer = "/annotations/" + key.replace("~", "~0").replace("/", "~1")
            raise errors.StepError(f"annotation {key}", pointer, why=why)
        found.append((name, value))
    return found


def _name_mistake(name: str) -> str:
    if len(name) < LEAST_LETTERS or not LETTERS.issuperset(name):
        return f"the name of a property is at least {LEAST_LETTERS} letters, and nothing else"
    return f"{name} is set by the runtime" if name in RESERVED else ""


def _microseconds(name: str, value: Variant) -> tuple[str, Variant]:
    stem = name.removesuffix("Sec")
    if stem == name or not stem[-1:].islower():
        return name, value
    kind, number = value
    if kind not in RANGES and kind != "d":
        raise ValueError("not a number of seconds")
    if not 0 <= number * 1_000_000 < 2**64:
        raise ValueError("out of range")
    return f"{stem}USec", ("t", int(number * 1_000_000))


def parse(text: str) -> Variant:
    """(signature, value); ValueError says what is wrong."""
    reader = _Reader(text)
    node = reader.value(0)
    if reader.peek():
        raise ValueError(f"`{text[reader.place :]}` is left over")
    kind = node.kind or _guess(node.value)
    return kind, _typed(node.value, kind)


class _Node:
    """A value as read, and its type where the text says one."""

    __slots__ = ("value", "kind")

    def __init__(self, value: Any, kind: str = "") -> None:
        self.value = value
        self.kind = kind


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0

    def peek(self) -> str:
        while self.text[self.place : self.place + 1] in ("", " ", "\t", "\n", "\r"):
            if self.place >= len(self.text):
                return ""
            self.place += 1
        return self.text[self.place]

    def value(self, depth: int) -> _Node:
        if depth > DEEPEST:
            raise ValueError("nested too deeply")
        letter = self.peek()
        if letter in ("'", '"'):
            return _Node(self._string(letter))
        if letter == "[":
            return _Node(self._items("]", depth))
        if letter == "(":
            return _Node(tuple(self._items(")", depth)))
        if letter == "@":
            self.place += 1
            kind = self._word(ends=frozenset(" \t\r\n"))
            _check_kind(kind)
            return _Node(self.value(depth + 1).value, kind)
        word = self._word()
        if word in KEYWORDS:
            return _Node(self.value(depth + 1).value, KEYWORDS[word])
        return _Node(_plain(word))

    def _word(self, ends: frozenset[str] = WORD_END) -> str:
        self.peek()
        start = self.place
        while self.place < len(self.text) and self.text[self.place] not in ends:
            self.place += 1
        word = self.text[start : self.place]
        if not word:
            raise ValueError(
                f"a value is missing before `{self.text[start:]}`" if start else "no value"
            )
        return word

    def _string(self, quote: str) -> str:
        self.place += 1
        out = ""
        while self.place < len(self.text):
            letter = self.text[self.place]
            self.place += 1
            if letter == quote:
                return out
            if letter == "\\":
                letter = self.text[self.place : self.place + 1]
                self.place += 1
                if letter in ("u", "U"):
                    digits = self.text[self.place : self.place + (4 if letter == "u" else 8)]
                    self.place += len(digits)
                    letter = chr(int(digits, 16))
                else:
                    letter = ESCAPES.get(letter, letter)
            out += letter
        raise ValueError("a string without an end")

    def _items(self, close: str, depth: int) -> list[_Node]:
        self.place += 1
        found: list[_Node] = []
        while self.peek() != close:
            if found:
                if self.peek() != ",":
                    raise ValueError(f"`,` or `{close}` is missing")
                self.place += 1
                if self.peek() == close and close == ")":
                    break  # a tuple of one
            found.append(self.value(depth + 1))
        self.place += 1
        return found


def _plain(word: str) -> bool | int | float:
    if word in ("true", "false"):
        return word == "true"
    digits = word.lstrip("+-")
    if not digits.isascii() or not digits[:1].isdigit() or len(word) - len(digits) > 1:
        raise ValueError(f"`{word}` is no value; a string stands in quotes")
    if digits[:2].lower() == "0x":
        return int(word, 16)
    if any(letter in word for letter in ".eE"):
        return float(word)
    return int(word, 8) if len(digits) > 1 and digits[0] == "0" else int(word)


def _guess(value: Any) -> str:
    if isinstance(value, tuple):
        return "(" + "".join(item.kind or _guess(item.value) for item in value) + ")"
    if isinstance(value, list):
        if not value:
            raise ValueError("an empty array needs a type, as `@as []`")
        return "a" + (value[0].kind or _guess(value[0].value))
    if isinstance(value, bool):
        return "b"
    if isinstance(value, str):
        return "s"
    return "d" if isinstance(value, float) else "i"


def _typed(value: Any, kind: str) -> Any:
    """`value` as the type has it, without nodes."""
    if kind[0] == "a":
        if not isinstance(value, list):
            raise ValueError("not an array")
        return [_typed(item.value, _same(item.kind, kind[1:])) for item in value]
    if kind[0] == "(":
        inner = _split(kind[1:-1])
        if not isinstance(value, tuple) or len(value) != len(inner):
            raise ValueError(f"not a tuple of {len(inner)}")
        pairs = zip(value, inner, strict=True)
        return tuple([_typed(item.value, _same(item.kind, part)) for item, part in pairs])
    if kind in RANGES:
        low, high = RANGES[kind]
        if type(value) is not int or not low <= value < high:
            raise ValueError(f"not a number of type {kind}")
        return value
    if kind == "d" and type(value) in (int, float):
        return float(value)
    if not isinstance(value, bool if kind == "b" else str if kind in TEXTS else ()):
        raise ValueError(f"not of type {kind}")
    if (
        isinstance(value, str) and b"\0" in value.encode()
    ):  # a lone surrogate is a ValueError as well
        raise ValueError("a NUL in a string")
    return value


def _same(said: str, wanted: str) -> str:
    if said and said != wanted:
        raise ValueError(f"type {said} among {wanted}")
    return wanted


def _check_kind(kind: str) -> None:
    if not 0 < len(kind) <= LONGEST_KIND or len(_split(kind)) != 1:
        raise ValueError(f"`@{kind}` is no type")


def _split(kinds: str) -> list[str]:
    """The complete types of a signature."""
    found = []
    while kinds:
        length = _length(kinds)
        found.append(kinds[:length])
        kinds = kinds[length:]
    return found


def _length(kinds: str) -> int:
    if kinds[:1] == "a":
        return 1 + _length(kinds[1:])
    if kinds[:1] == "(":
        place = 1
        while kinds[place : place + 1] != ")":
            place += _length(kinds[place:])
        return place + 1
    if not kinds or kinds[0] not in "bynqiuxtdsog":
        raise ValueError(f"`{kinds}` is no type")
    return 1
