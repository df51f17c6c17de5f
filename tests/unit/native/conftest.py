"""What tests of the init share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def paper() -> Iterator[Any]:
    """A file the tape writes what it found into."""
    with tempfile.TemporaryFile() as file:
        yield file
