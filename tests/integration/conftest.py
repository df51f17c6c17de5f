"""Fixtures of the integration tests, and the list of what a reference runtime is known to fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lib.fixtures import bundle, excuse, keyrings, nothing_leaks, stage
from tests.lib.groups import maker
from tests.lib.ordinary_user import mapped, person, where

__all__ = ["bundle", "keyrings", "maker", "mapped", "nothing_leaks", "person", "stage", "where"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    excuse(items, Path(__file__).with_name("reference.toml"))
