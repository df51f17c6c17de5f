"""The one door JSON comes in and goes out by.

`loads` is stricter than the standard library: UTF-8 only, no byte order mark, no NaN or infinities,
integers of at most 20 digits, no key twice in one object (an admission check may have read the
first, we the last), nesting of at most 64, no NUL and no lone surrogate in a string. A number such
as `1.0` that is whole comes out as an integer: no float ever stands where the schema says integer.

The fast path is CPython's own C scanner. It raises whatever its version raises on bad text
(StopIteration, SystemError, an import of `json` that a core-only interpreter lacks), so it is never
asked why: `_Reader` reads the text again, slowly, and names the line and column.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, NoReturn

_json: Any
try:
    import _json
except ImportError:  # an interpreter built without the accelerator: the slow reader does all
    _json = None

MAX_DEPTH = 64
MAX_DIGITS = 20
_BLANK = " \t\n\r"
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS = {"true": True, "false": False, "null": None}
_DIGITS = "0123456789"
# Escapes the C scanner lets through and we may have to refuse; rare enough for the slow reader.
_DOUBTFUL = (b"\\u0000", b"\\ud", b"\\uD")
_SCAN_FAILURES = (StopIteration, SystemError, ImportError, ValueError, RecursionError)


class JsonError(ValueError):
    """Text that is not the JSON we accept; `place` is "line L column C", or empty when writing."""

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(f"{place}: {message}" if place else message)
        self.message = message
        self.place = place


def loads(data: bytes) -> object:
    """Decode one JSON document, or raise JsonError."""
    try:
        text = str(data, "utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        raise JsonError("this is not UTF-8", _place(before, len(before))) from None
    if _scan is None or any(mark in data for mark in _DOUBTFUL):
        return _Reader(text).document()
    start = 0 if text[:1] == "{" else len(text) - len(text.lstrip(_BLANK))
    try:
        value, end = _scan(text, start)
    except _SCAN_FAILURES:
        return _Reader(text).document()
    if text[end:].strip(_BLANK):
        return _Reader(text).document()
    # Fewer brackets than levels allowed is proof enough for a small document.
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH and _is_too_deep(value):
        return _Reader(text).document()
    return value


def loads_spec(data: bytes) -> object:
    """A document of the specification: a property that is null counts as absent (as runc's and crun's readers have it);
    a null in an array stays one, and is refused by the schema."""
    value = loads(data)
    return _without_nulls(value) if b"null" in data else value


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def dumps(value: object, indent: int | str | None = None) -> str:
    """Encode with the keys in their order: compact, or one entry a line indented by `indent`."""
    step = " " * indent if isinstance(indent, int) else indent
    text = "".join(_encode(value, step, "\n"))
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise JsonError("a text that is not UTF-8 cannot be written as JSON") from None
    return text


def _place(text: str, index: int) -> str:
    line_start = text.rfind("\n", 0, index) + 1
    return f"line {text.count(chr(10), 0, index) + 1} column {index - line_start + 1}"


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice")
    return result


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS and len(digits.lstrip("-")) > MAX_DIGITS:
        raise ValueError("too many digits")
    return int(digits)


def _number(digits: str) -> int | float:
    value = float(digits)
    if value - value != 0.0:
        raise ValueError("infinite")
    # Beyond 2**53 a float does not tell neighbouring integers apart: it stays one and is refused.
    return int(value) if value == value // 1 and -(2**53) <= value <= 2**53 else value


def _constant(word: str) -> object:
    raise ValueError(word)


class _Hooks:
    """What make_scanner reads its settings from."""

    strict = True
    object_hook = None
    object_pairs_hook = staticmethod(_pairs)
    parse_float = staticmethod(_number)
    parse_int = staticmethod(_integer)
    parse_constant = staticmethod(_constant)


_scan: Any = _json.make_scanner(_Hooks()) if _json is not None else None


def _is_too_deep(value: object) -> bool:
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            for child in (node.values() if node.__class__ is dict else node)
            if child.__class__ is dict or child.__class__ is list
        ]
        if not level:
            return False
    return True


class _Reader:
    """The same grammar read character by character, for the sake of the message."""

    __slots__ = ("depth", "index", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.index = 0
        self.depth = 0

    def document(self) -> object:
        if self.text[:1] == "\ufeff":
            self.fail("the text starts with a byte order mark")
        self.skip_blank()
        value = self.value()
        self.skip_blank()
        if self.index < len(self.text):
            self.fail("more text follows the end of the document")
        return value

    def fail(self, message: str, index: int | None = None) -> NoReturn:
        raise JsonError(message, _place(self.text, self.index if index is None else index))

    def skip_blank(self) -> None:
        text, index = self.text, self.index
        while index < len(text) and text[index] in _BLANK:
            index += 1
        self.index = index

    def value(self) -> object:
        char = self.text[self.index : self.index + 1]
        if char == '"':
            return self.string()
        if char in ("{", "["):
            self.depth += 1
            if self.depth > MAX_DEPTH:
                self.fail(f"nested deeper than {MAX_DEPTH} levels")
            found = self.read_object() if char == "{" else self.read_array()
            self.depth -= 1
            return found
        if char == "-" or (char and char in _DIGITS):
            return self.number()
        for word, meaning in _WORDS.items():
            if self.text.startswith(word, self.index):
                self.index += len(word)
                return meaning
        return self.fail(self.unexpected("a value"))

    def unexpected(self, wanted: str) -> str:
        for word in ("NaN", "Infinity", "-Infinity"):
            if self.text.startswith(word, self.index):
                return f"`{word}` is not JSON"
        char = self.text[self.index : self.index + 1]
        found = f"`{char}`" if char.isprintable() and char else "a control character"
        return f"expected {wanted}, found {found if char else 'the end of the text'}"

    def members(self, end: str) -> Iterator[int]:
        """Yield the index of each member up to the closing bracket; the caller reads it."""
        self.index += 1
        self.skip_blank()
        if self.text.startswith(end, self.index):
            self.index += 1
            return
        while True:
            yield self.index
            self.skip_blank()
            if self.text.startswith(end, self.index):
                self.index += 1
                return
            if not self.text.startswith(",", self.index):
                self.fail(self.unexpected(f"`,` or `{end}`"))
            self.index += 1
            self.skip_blank()

    def read_object(self) -> dict[str, object]:
        result: dict[str, object] = {}
        for start in self.members("}"):
            if not self.text.startswith('"', start):
                self.fail(self.unexpected("a key in double quotes"))
            key = self.string()
            if key in result:
                self.fail(f"the key `{key}` stands twice in one object", start)
            self.skip_blank()
            if not self.text.startswith(":", self.index):
                self.fail(self.unexpected(f"`:` after the key `{key}`"))
            self.index += 1
            self.skip_blank()
            result[key] = self.value()
        return result

    def read_array(self) -> list[object]:
        return [self.value() for _ in self.members("]")]

    def string(self) -> str:
        text, start = self.text, self.index
        index, quote = start + 1, start
        parts: list[str] = []
        while True:
            if quote < index:
                quote = text.find('"', index)
                if quote < 0:
                    self.fail("a string is not closed", start)
            slash = text.find("\\", index, quote)
            end = quote if slash < 0 else slash
            self.refuse_controls(index, end)
            parts.append(text[index:end])
            if slash < 0:
                self.index = quote + 1
                return "".join(parts)
            char, index = self.escape(slash + 1)
            parts.append(char)

    def refuse_controls(self, start: int, end: int) -> None:
        if not self.text[start:end].isprintable():
            for index in range(start, end):
                if self.text[index] < " ":
                    self.fail("a control character in a string", index)

    def escape(self, index: int) -> tuple[str, int]:
        char = self.text[index : index + 1]
        if char != "u":
            if char not in _ESCAPES:
                self.fail(f"unknown escape `\\{char}`", index - 1)
            return _ESCAPES[char], index + 1
        code = self.hexadecimal(index + 1)
        if code == 0:
            self.fail("a NUL in a string", index - 1)
        if 0xD800 <= code < 0xDC00 and self.text.startswith("\\u", index + 5):
            low = self.hexadecimal(index + 7)
            if 0xDC00 <= low < 0xE000:
                return chr(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)), index + 11
        if 0xD800 <= code < 0xE000:
            self.fail("half of a surrogate pair in a string", index - 1)
        return chr(code), index + 5

    def hexadecimal(self, index: int) -> int:
        digits = self.text[index : index + 4]
        if len(digits) < 4 or digits.strip("0123456789abcdefABCDEF"):
            self.fail("`\\u` needs four hexadecimal digits", index)
        return int(digits, 16)

    def digits(self) -> str:
        text, start = self.text, self.index
        while self.index < len(text) and text[self.index] in _DIGITS:
            self.index += 1
        if start == self.index:
            self.fail(self.unexpected("a digit"))
        return text[start : self.index]

    def number(self) -> int | float:
        text, start = self.text, self.index
        if text[start] == "-":
            if text.startswith("-Infinity", start):
                self.fail(self.unexpected("a digit"))
            self.index += 1
        whole = self.digits()
        if len(whole) > 1 and whole[0] == "0":
            self.fail("a number starts with a superfluous 0", start)
        plain = self.index
        if text.startswith(".", self.index):
            self.index += 1
            self.digits()
        if text[self.index : self.index + 1] in ("e", "E"):
            self.index += 1
            if text[self.index : self.index + 1] in ("+", "-"):
                self.index += 1
            self.digits()
        if self.index == plain and len(whole) > MAX_DIGITS:
            self.fail(f"an integer of more than {MAX_DIGITS} digits", start)
        try:
            return (_integer if self.index == plain else _number)(text[start : self.index])
        except ValueError:
            self.fail("a number too large to be told from infinity", start)


def _quote(text: str) -> str:
    if _json is not None:
        quoted: str = _json.encode_basestring(text)
        return quoted
    table = {34: '\\"', 92: "\\\\", 8: "\\b", 12: "\\f", 10: "\\n", 13: "\\r", 9: "\\t"}
    for code in range(32):
        table.setdefault(code, f"\\u{code:04x}")
    return '"' + text.translate(table) + '"'


def _encode(value: object, step: str | None, margin: str) -> list[str]:
    if value is None or value is True or value is False:
        return ["null" if value is None else "true" if value else "false"]
    if isinstance(value, str):
        return [_quote(value)]
    if isinstance(value, int):
        return [int.__repr__(value)]
    if isinstance(value, float):
        if value - value != 0.0:
            raise JsonError(f"{value} cannot be written as JSON")
        return [repr(value)]
    if isinstance(value, (list, tuple)):
        return _enclose(
            "[]", [_encode(item, step, _deeper(step, margin)) for item in value], step, margin
        )
    if isinstance(value, dict):
        colon = ":" if step is None else ": "
        rows = []
        for key, item in value.items():
            if not isinstance(key, str):
                raise JsonError(f"the key {key!r} is not a text")
            rows.append([_quote(key), colon, *_encode(item, step, _deeper(step, margin))])
        return _enclose("{}", rows, step, margin)
    raise JsonError(f"a {value.__class__.__name__} cannot be written as JSON")


def _deeper(step: str | None, margin: str) -> str:
    return margin if step is None else margin + step


def _enclose(brackets: str, rows: list[list[str]], step: str | None, margin: str) -> list[str]:
    if not rows:
        return [brackets]
    inner = "" if step is None else margin + step
    parts = [brackets[0]]
    for number, row in enumerate(rows):
        parts.append("," + inner if number else inner)
        parts += row
    parts.append(("" if step is None else margin) + brackets[1])
    return parts
