"""Durations as Go reads them."""

from __future__ import annotations

import pytest

from pyruntime import errors
from pyruntime.cli import durations

MS = 10**6
S = 10**9


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("5s", 5 * S),
        ("100ms", 100 * MS),
        ("1m30s", 90 * S),
        ("1.5h", 5400 * S),
        (".5s", S // 2),
        ("2.s", 2 * S),
        ("1h1m1s1ms1us1ns", 3661 * S + 1_001_001),
        ("3\u00b5s", 3000),
        ("3\u03bcs", 3000),
        ("+5s", 5 * S),
        ("-5s", -5 * S),
        ("0", 0),
        ("+0", 0),
        ("0s", 0),
        ("2562047h", 2562047 * 3600 * S),
    ],
)
def test_durations(text: str, nanoseconds: int) -> None:
    assert durations.nanoseconds(text) == nanoseconds


@pytest.mark.parametrize(
    "text",
    ["", "5", "s", ".s", "5x", "5 s", " 5s", "1.2.3s", "--5s", "5S", "5sm", "1e3s", "inf", "-", "2562048h", "\u0665s"],
)  # fmt: skip
def test_what_is_none(text: str) -> None:
    assert durations.nanoseconds(text) is None


def test_an_interval() -> None:
    assert durations.of_flag("interval", "", 5 * S) == 5.0
    assert durations.of_flag("interval", "250ms", S) == 0.25
    for text in ("0", "0s", "-1s"):
        with pytest.raises(errors.UsageError, match="duration interval must be greater than 0"):
            durations.of_flag("interval", text, S)
    with pytest.raises(
        errors.UsageError, match='invalid value "x" for flag -interval: parse error'
    ):
        durations.of_flag("interval", "x", S)
