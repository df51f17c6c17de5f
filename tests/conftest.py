"""What all tests share: the markers, and the rule for the nightly ones."""

from __future__ import annotations

import pytest

MARKERS = (
    "nightly: long counts and races; run by `make nightly`, deselected otherwise",
    "slow: takes more than a second",
    "covers(*properties): the properties of config.json this test proves",
)


def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked `nightly` run only when they are asked for by -m: deselected, never skipped."""
    if "nightly" in (config.option.markexpr or ""):
        return
    left = [item for item in items if item.get_closest_marker("nightly") is not None]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]
