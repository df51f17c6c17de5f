"""The JSON door: what is refused and where it says so; otherwise it agrees with `json`."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys

import pytest

from pyruntime.lib import jsondoor
from pyruntime.lib.jsondoor import JsonError, dumps, loads
from tests.lib.patience import cpu_time

REFUSED = [
    (b"", "line 1 column 1", "the end of the text"),
    (b"  \n ", "line 2 column 2", "the end of the text"),
    (b'\xef\xbb\xbf{"a": 1}', "line 1 column 1", "byte order mark"),
    ('{"a": 1}'.encode("utf-16"), "line 1 column 1", "UTF-8"),
    (b'{\n "a": "\xff"}', "line 2 column 8", "UTF-8"),
    (b'{"a": "\xed\xa0\x80"}', "line 1 column 8", "UTF-8"),
    (b'{"a": NaN}', "line 1 column 7", "`NaN` is not JSON"),
    (b'{"a": Infinity}', "line 1 column 7", "`Infinity` is not JSON"),
    (b'{"a": -Infinity}', "line 1 column 7", "`-Infinity` is not JSON"),
    (b'{"a": 1e999}', "line 1 column 7", "infinity"),
    (b'{"a": -1e999}', "line 1 column 7", "infinity"),
    (b'{"a": 123456789012345678901}', "line 1 column 7", "more than 20 digits"),
    (b'{"a": -123456789012345678901}', "line 1 column 7", "more than 20 digits"),
    (b'{"a": ' + b"9" * 5000 + b"}", "line 1 column 7", "more than 20 digits"),
    (b'{"a": 1, "b": 2,\n  "a": 3}', "line 2 column 3", "the key `a` stands twice"),
    (b'{"x": {"a": 1, "\\u0061": 3}}', "line 1 column 16", "the key `a` stands twice"),
    (b'{"a": "\\u0000"}', "line 1 column 8", "NUL"),
    (b'{"a\\u0000": 1}', "line 1 column 4", "NUL"),
    (b'{"a": "\x00"}', "line 1 column 8", "control character"),
    (b'{"a": "\n"}', "line 1 column 8", "control character"),
    (b'{"a": "\\ud800"}', "line 1 column 8", "surrogate"),
    (b'{"a": "\\uDFFF"}', "line 1 column 8", "surrogate"),
    (b'{"a": "\\ud800\\u0041"}', "line 1 column 8", "surrogate"),
    (b'{"a": "\\ud8"}', "line 1 column 10", "hexadecimal"),
    (b'{"a": "\\u00g0"}', "line 1 column 10", "hexadecimal"),
    (b'{"a": "\\x"}', "line 1 column 8", "unknown escape"),
    (b'{"a": "b', "line 1 column 7", "not closed"),
    (b'{"a": 1,}', "line 1 column 9", "a key in double quotes"),
    (b"{'a': 1}", "line 1 column 2", "a key in double quotes"),
    (b"{a: 1}", "line 1 column 2", "a key in double quotes"),
    (b'{"a" 1}', "line 1 column 6", "`:` after the key `a`"),
    (b'{"a":}', "line 1 column 6", "a value, found `}`"),
    (b'{"a": 1 "b": 2}', "line 1 column 9", "`,` or `}`"),
    (b'{"a": [1, 2}', "line 1 column 12", "`,` or `]`"),
    (b'{"a": [1 2]}', "line 1 column 10", "`,` or `]`"),
    (b"[1,]", "line 1 column 4", "a value"),
    (b'{"a": 1', "line 1 column 8", "the end of the text"),
    (b'{"a": 1} {}', "line 1 column 10", "more text"),
    (b'{"a": 1}x', "line 1 column 9", "more text"),
    (b'{"a": 01}', "line 1 column 7", "superfluous 0"),
    (b'{"a": 1.}', "line 1 column 9", "a digit"),
    (b'{"a": .5}', "line 1 column 7", "a value"),
    (b'{"a": +1}', "line 1 column 7", "a value"),
    (b'{"a": -}', "line 1 column 8", "a digit"),
    (b'{"a": 1e}', "line 1 column 9", "a digit"),
    (b'{"a": 0x10}', "line 1 column 8", "`,` or `}`"),
    (b'{"a": True}', "line 1 column 7", "a value"),
    (b'{"a": nul}', "line 1 column 7", "a value"),
    (b'{"a": 1} // no', "line 1 column 10", "more text"),
    ('{"a": \u00a01}'.encode(), "line 1 column 7", "a value"),
    (b'{"a":\x0b1}', "line 1 column 6", "a control character"),
    (b"[" * 65 + b"]" * 65, "line 1 column 65", "deeper than 64"),
    (b'{"a":' * 65 + b"1" + b"}" * 65, "line 1 column 321", "deeper than 64"),
    (b"[" * 100_000, "line 1 column 65", "deeper than 64"),
    (b'[["]"],' * 70 + b"1" + b"]" * 70, "line 1 column 443", "deeper than 64"),
]

ACCEPTED = [
    (b"{}", {}),
    (b"[]", []),
    (b' \r\n\t{"a" : [ 1 , 2 ] }\n', {"a": [1, 2]}),
    (b"12345678901234567890", 12345678901234567890),
    (b"-12345678901234567890", -12345678901234567890),
    (b'"\\ud83d\\ude00\\u00e9\\\\u0000"', "\U0001f600\u00e9\\u0000"),
    ('"\u00e9\U0001f600\ufffe\x7f"'.encode(), "\u00e9\U0001f600\ufffe\x7f"),
    (b"[1.0, 1e3, -0.0, 0.5, 1e300]", [1, 1000, 0, 0.5, 1e300]),
    (b"[true, false, null]", [True, False, None]),
    (b'"\\"\\/\\b\\f\\n\\r\\t"', '"/\b\f\n\r\t'),
    (b"[" * 64 + b"]" * 64, None),
    (b'[["a"],' * 30 + b"1" + b"]" * 30, None),
]


@pytest.fixture(params=["scanner", "reader"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every table is read by the C scanner and by the slow reader that stands in for it."""
    if request.param == "reader":
        monkeypatch.setattr(jsondoor, "_scan", None)
    else:
        assert jsondoor._scan is not None
    return str(request.param)


@pytest.mark.parametrize(("data", "place", "words"), REFUSED)
def test_refused(path: str, data: bytes, place: str, words: str) -> None:
    with pytest.raises(JsonError) as caught:
        loads(data)
    assert (caught.value.place, words in caught.value.message) == (place, True), str(caught.value)
    assert str(caught.value).startswith(f"{place}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("data", dict.fromkeys(row[0] for row in REFUSED))
def test_refused_soon(path: str, data: bytes) -> None:
    def refuse() -> None:
        with contextlib.suppress(JsonError):
            loads(data)

    assert cpu_time(refuse, 3) < 0.1


@pytest.mark.parametrize(("data", "value"), ACCEPTED)
def test_accepted(path: str, data: bytes, value: object) -> None:
    found = loads(data)
    if value is not None:
        assert found == value
        assert repr(found).replace(" ", "") == repr(value).replace(" ", "")


def test_whole_numbers_are_integers(path: str) -> None:
    assert [type(n) for n in loads(b"[1.0, 1e3, 1.5, 1e20]")] == [int, int, float, float]  # type: ignore[attr-defined]


def test_agrees_with_the_standard_library(path: str) -> None:
    """Random damage: what the standard library refuses is refused, what both take is equal."""
    source = (
        b'{"a": [1, -2.5e3, true, null, "x\\n\\u00e9"], '
        b'"b": {"c": {}, "d": [[], [{"e": ""}]]}, "f": "\xc3\xa9"}'
    )
    chance = random.Random(41)
    for _ in range(3000):
        data = bytearray(source)
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(data))
            data[at : at + chance.randint(0, 2)] = chance.choice(
                [b"", b",", b"]", b"}", b'"', b"0", b"\\", b" ", b"e"]
            )
        try:
            wanted = json.loads(data.decode("utf-8"))
        except ValueError:
            with pytest.raises(JsonError):
                loads(bytes(data))
            continue
        try:
            assert loads(bytes(data)) == wanted
        except JsonError as error:
            assert "stands twice" in error.message or "infinity" in error.message


VALUE = {
    "id": 'caf\u00e9 \u2028 "q" \\ / \x7f\x01\n',
    "list": [1, -2, True, False, None, 1.5, [], {}, [[]]],
    "nested": {"a": {"b": [{"c": "d"}]}},
    "": "",
}


@pytest.mark.parametrize("indent", [None, 2, "\t"])
def test_written_as_the_standard_library_writes(
    indent: int | str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    separators = (",", ":") if indent is None else None
    wanted = json.dumps(VALUE, indent=indent, ensure_ascii=False, separators=separators)
    assert dumps(VALUE, indent) == wanted
    monkeypatch.setattr(jsondoor, "_json", None)
    assert dumps(VALUE, indent) == wanted
    assert loads(wanted.encode()) == VALUE


@pytest.mark.parametrize(
    "value", ["\udcff", {"\ud800": 1}, float("nan"), float("inf"), {1: 2}, b"x", {1, 2}]
)
def test_not_written(value: object) -> None:
    with pytest.raises(JsonError, match=r"cannot be written|is not a text"):
        dumps(value)


def test_imports_nothing_heavy() -> None:
    """The door stands on the hot path, and bad text must not pull in `json` either."""
    code = (
        "import sys; before = set(sys.modules)\n"
        "from pyruntime.lib import jsondoor\n"
        "try: jsondoor.loads(b'[1,')\n"
        "except jsondoor.JsonError: pass\n"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], check=True, capture_output=True, text=True
    )
    names = eval(done.stdout)
    assert set(names) <= {
        "_json",
        "pyruntime",
        "pyruntime.lib",
        "pyruntime.lib.jsondoor",
        "__future__",
    }, names
