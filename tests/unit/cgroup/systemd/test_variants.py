"""Annotations as properties of a unit: the text form of D-Bus variants."""

from __future__ import annotations

from typing import Any

import pytest

from pyruntime import errors
from pyruntime.cgroup.systemd import variants

PREFIX = "org.systemd.property."


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("true", "b", True),
        (" false ", "b", False),
        ("7", "i", 7),
        ("-7", "i", -7),
        ("0x10", "i", 16),
        ("010", "i", 8),
        ("1.5", "d", 1.5),
        ("2e3", "d", 2000.0),
        ("uint64 7", "t", 7),
        ("@t 7", "t", 7),
        ("byte 255", "y", 255),
        ("double 3", "d", 3.0),
        ("'inactive-or-failed'", "s", "inactive-or-failed"),
        ('"say \\"x\\""', "s", 'say "x"'),
        (r"'a\nb\u00fc'", "s", "a\nbü"),
        ("objectpath '/a'", "o", "/a"),
        ("['a', 'b']", "as", ["a", "b"]),
        ("[uint64 1, 2]", "at", [1, 2]),
        ("@as []", "as", []),
        ("@a(ss) [('/dev/null', 'rwm')]", "a(ss)", [("/dev/null", "rwm")]),
        ("(1, 'x')", "(is)", (1, "x")),
        ("('x',)", "(s)", ("x",)),
        ("[[1], [2]]", "aai", [[1], [2]]),
    ],
)
def test_values(text: str, kind: str, value: Any) -> None:
    assert variants.parse(text) == (kind, value)


NO_VALUES = [
    "", " ", "yes", "'a", "[1", "[1 2]", "[1, 'a']", "[]", "1 2", "byte 256", "uint64 -1", "99999999999", "@", "@z 1",
    "@a 1", "@as 'x'", "@(is) (1,)", "@s 7", "string true", "boolean 1", "uint32 true", "{'a': 1}", "<1>", "(1", "--1",
    "1x", "'\\ud800'", "'a\0b'", r"'\u00zz'", "[" * 40, "@" + "a" * 300 + "y []", "int32 " * 40 + "1",
    "[uint64 1, int32 2]",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_VALUES)
def test_what_is_no_value(text: str) -> None:
    with pytest.raises(ValueError):
        variants.parse(text)


def test_annotations() -> None:
    given = {
        "com.example.key": "not a variant",
        PREFIX + "CollectMode": "'inactive-or-failed'",
        PREFIX + "TimeoutStopSec": "1.5",
        PREFIX + "RuntimeMaxSec": "uint32 2",
        PREFIX + "TimeoutStopUSec": "uint64 3",
        PREFIX + "FooBARSec": "4",  # as runc: only after a small letter
    }
    assert variants.properties(given) == [
        ("CollectMode", ("s", "inactive-or-failed")),
        ("TimeoutStopUSec", ("t", 1_500_000)),
        ("RuntimeMaxUSec", ("t", 2_000_000)),
        ("TimeoutStopUSec", ("t", 3)),
        ("FooBARSec", ("i", 4)),
    ]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("Ab", "1", "at least 3 letters"),
        ("Some.Name", "1", "nothing else"),
        ("Name1", "1", "nothing else"),
        ("", "1", "at least 3 letters"),
        ("CollectMode", "inactive", "a string stands in quotes"),
        ("TimeoutStopSec", "'5'", "not a number of seconds"),
        ("TimeoutStopSec", "-1", "out of range"),
        ("TimeoutStopSec", "1e300", "out of range"),
        ("TimeoutStopSec", "true", "not a number of seconds"),
        ("PIDs", "@au [1]", "set by the runtime"),
        ("Slice", "'a.slice'", "set by the runtime"),
        ("Delegate", "false", "set by the runtime"),
        ("Description", "'x'", "set by the runtime"),
    ],
)
def test_refused(name: str, text: str, words: str) -> None:
    with pytest.raises(errors.StepError, match=words) as caught:
        variants.properties({PREFIX + name: text})
    assert caught.value.pointer == f"/annotations/{PREFIX}{name}"
