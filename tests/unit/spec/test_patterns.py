"""Each predicate against `re` on the pattern it stands for."""

from __future__ import annotations

import itertools
import re

import pytest

from pyruntime.spec.patterns import PATTERNS

PIECES = [
    "", "RLIMIT_", "CPU", "cpu", "A", "_", "c", "b", "1", "0", "9", "KB", "MB", "GB", "TB", "MB:", ":",
    "\n", " ", "-", ",", "CAP_", "KILL", "\u0661", "\u00c4", "x", "\0",
]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_as_re_sees_it(pattern: str) -> None:
    predicate = PATTERNS[pattern][0]
    # `$` of ECMA 262 is the end; Python's \Z is.
    wanted = re.compile(pattern.replace("$", r"\Z"))
    verdicts = set()
    for parts in itertools.product(PIECES, repeat=3):
        text = "".join(parts)
        verdict = predicate(text)
        verdicts.add(verdict)
        assert verdict == bool(wanted.search(text)), text
    assert verdicts == {True, False}
