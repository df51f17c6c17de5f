"""process: args, env, cwd, umask, rlimits and the state every program starts from."""

from __future__ import annotations

import pytest

from tests.lib.box import report
from tests.lib.bundle import Bundle


def test_args_are_the_words_given(bundle: Bundle) -> None:
    words = ["report", "--", "echo", "a b", "--", "echo", ""]
    facts = report(bundle.inside(*words))
    assert facts.argv == ["/inside", *words]
