"""The launcher's fast form: built only where the interpreter is one that it was proved on."""

from __future__ import annotations

import sys

import pytest

from tests.lib import programs

sys.path.insert(0, str(programs.PROJECT / "native" / "launcher"))

import build


def need() -> None:
    """Skips what asks, elsewhere."""
    if sys.version_info[:2] != build.PROVED:
        pytest.skip("the fast launcher is built on CPython %d.%d only" % build.PROVED)
