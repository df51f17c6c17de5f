"""pyruntime/cli/options.py: command lines are read as runc reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyruntime.cli.options import HELP, MAX_NUMBER, Verb, check_count, parse
from pyruntime.errors import UsageError

ROWS = (
    ("bundle", "b", "DIR", "where"),
    ("force", "f", "", "whatever the status"),
    ("preserve-fds", "", "N", "how many more"),
    ("no-subreaper", "", "", ""),
    HELP,
)
DEFAULTS = {"bundle": "", "force": False, "preserve-fds": 0, "no-subreaper": False, "help": False}

READ = [
    ([], {}, []),
    (["id"], {}, ["id"]),
    (["--bundle", "/b", "id"], {"bundle": "/b"}, ["id"]),
    (["--bundle=/b", "id"], {"bundle": "/b"}, ["id"]),
    (["-bundle", "/b", "id"], {"bundle": "/b"}, ["id"]),
    (["-b=/b", "id"], {"bundle": "/b"}, ["id"]),
    (["--b", "/b", "id"], {"bundle": "/b"}, ["id"]),
    (["id", "--bundle", "/b"], {"bundle": "/b"}, ["id"]),
    (["--bundle=a=b"], {"bundle": "a=b"}, []),
    (["--bundle="], {"bundle": ""}, []),
    (["--bundle", "--force"], {"bundle": "--force"}, []),
    (["--bundle", "a", "--bundle", "b"], {"bundle": "b"}, []),
    (["-no-subreaper", "id"], {"no-subreaper": True}, ["id"]),
    (["-f", "id"], {"force": True}, ["id"]),
    (["--force", "true"], {"force": True}, ["true"]),
    (["--force", "--force=false"], {"force": False}, []),
    (["--force=1"], {"force": True}, []),
    (["--preserve-fds", "3"], {"preserve-fds": 3}, []),
    (["--", "--force"], {}, ["--force"]),
    (["a", "--", "-b"], {}, ["a", "-b"]),
    (["-"], {}, ["-"]),
    ([""], {}, [""]),
    (["-h"], {"help": True}, []),
]


@pytest.mark.parametrize(("words", "values", "others"), READ, ids=[" ".join(r[0]) for r in READ])
def test_what_is_understood(words: list[str], values: dict[str, object], others: list[str]) -> None:
    assert parse(words, ROWS) == ({**DEFAULTS, **values}, others)


def test_before_the_verb_the_first_word_ends_the_options() -> None:
    assert parse(["-f", "state", "-b", "id"], ROWS, stop=True) == (
        {**DEFAULTS, "force": True},
        ["state", "-b", "id"],
    )


REFUSED = [
    (["--nonsense"], "flag provided but not defined: -nonsense"),
    (["-nonsense=1"], "flag provided but not defined: -nonsense"),
    (["--bund", "x"], "flag provided but not defined: -bund"),
    (["-fb"], "flag provided but not defined: -fb"),
    (["---force"], "flag provided but not defined: --force"),
    (["--="], "flag provided but not defined: -"),
    (["--bundle"], "flag needs an argument: --bundle"),
    (["-b"], "flag needs an argument: -b"),
    (["--force=maybe"], 'invalid boolean value "maybe" for -force: parse error'),
    (["--force="], 'invalid boolean value "" for -force: parse error'),
    (["--preserve-fds", "x"], 'invalid value "x" for flag -preserve-fds: parse error'),
]


@pytest.mark.parametrize(("words", "sentence"), REFUSED, ids=[" ".join(row[0]) for row in REFUSED])
def test_what_is_refused(words: list[str], sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(words, ROWS)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    "number", ["", "-1", "+1", "1.0", "0x1", "\u0661", " 1", "1_0", str(MAX_NUMBER + 1), "9" * 99]
)
def test_numbers_are_plain_digits(number: str) -> None:
    with pytest.raises(UsageError):
        parse([f"--preserve-fds={number}"], ROWS)


@given(st.lists(st.text(max_size=12) | st.sampled_from(["--bundle", "-f", "--", "-", "--force=0"])))
def test_any_words_are_read_or_refused(words: list[str]) -> None:
    try:
        values, others = parse(words, ROWS)
    except UsageError:
        return
    assert values.keys() == DEFAULTS.keys()
    assert {key: type(value) for key, value in values.items()} == {
        key: type(value) for key, value in DEFAULTS.items()
    }
    assert all(other in words for other in others)


@given(st.lists(st.text(max_size=12)))
def test_after_two_dashes_everything_is_an_argument(words: list[str]) -> None:
    assert parse(["--", *words], ROWS) == (DEFAULTS, words)


@pytest.mark.parametrize(
    ("least", "most", "count", "words"),
    [
        (1, None, 0, '"kill" requires exactly 1 argument(s)'),
        (1, None, 2, '"kill" requires exactly 1 argument(s)'),
        (0, None, 1, '"kill" requires exactly 0 argument(s)'),
        (1, 2, 0, '"kill" requires a minimum of 1 argument(s)'),
        (1, 2, 3, '"kill" requires a maximum of 2 argument(s)'),
    ],
)
def test_the_number_of_arguments(least: int, most: int | None, count: int, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_count("kill", Verb("", (), "", least, most), count)
    assert str(caught.value) == words


def test_the_right_number_of_arguments() -> None:
    for count in (1, 2):
        check_count("kill", Verb("", (), "", 1, 2), count)


def test_a_row_that_collects() -> None:
    rows = (("env", "e", "NAME=VALUE...", "words"),)
    assert parse([], rows) == ({"env": []}, [])
    assert parse(["-e", "a", "id", "--env=", "-e=b"], rows) == ({"env": ["a", "", "b"]}, ["id"])
    with pytest.raises(UsageError, match="flag needs an argument"):
        parse(["-e"], rows)
