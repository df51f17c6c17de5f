"""Fixtures of the runtime's unit tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.runtime.fakes import FakeContainer


@pytest.fixture
def container(tmp_path: Path) -> Iterator[FakeContainer]:
    """A container `web` without a record yet."""
    fake = FakeContainer(tmp_path / "root")
    yield fake
    fake.end()
