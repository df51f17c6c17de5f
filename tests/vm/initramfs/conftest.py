"""What a reference runtime is known to fail on a machine that lives in its initramfs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lib.fixtures import excuse


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    excuse(items, Path(__file__).with_name("reference.toml"))
