"""Lists of CPUs and nodes: what is read, what is refused."""

from __future__ import annotations

import pytest

from pyruntime.features.ranges import LAST, mask_of, members, words_of


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", []),
        ("   ", []),
        ("0", [0]),
        ("0-3,7", [0, 1, 2, 3, 7]),
        ("7,0-3", [0, 1, 2, 3, 7]),
        ("1-1", [1]),
        ("1,1,0-1", [0, 1]),
        (" 0-1 , 63-65 ", [0, 1, 63, 64, 65]),
        ("007", [7]),
        (str(LAST), [LAST]),
    ],
)
def test_lists(text: str, numbers: list[int]) -> None:
    assert members(mask_of(text)) == numbers


@pytest.mark.parametrize(
    "text",
    [
        ",",
        "0,",
        ",0",
        "0,,1",
        "-",
        "-1",
        "1-",
        "0-1-2",
        "0 - 1",
        "0 1",
        "3-1",
        "a",
        "0x1",
        "+1",
        "1.5",
        "٣",
        "0\n",
        "0\t",
        str(LAST + 1),
        f"0-{LAST + 1}",
        "9" * 5000,
    ],
)
def test_what_is_no_list(text: str) -> None:
    with pytest.raises(ValueError):
        mask_of(text)


def test_whole_words() -> None:
    assert words_of(0) == b""
    assert words_of(1) == b"\1" + bytes(7)
    assert words_of(1 << 63) == bytes(7) + b"\x80"
    assert words_of(1 << 64 | 2) == b"\2" + bytes(7) + b"\1" + bytes(7)
