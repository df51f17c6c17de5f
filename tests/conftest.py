"""What all tests share: the one option, and the rule that nothing passes when nothing ran."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked `nightly` run only when they are asked for by -m: deselected, never skipped."""
    if "nightly" in (config.option.markexpr or ""):
        return
    kept = [item for item in items if item.get_closest_marker("nightly") is None]
    left = [item for item in items if item.get_closest_marker("nightly") is not None]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = kept
