"""linux.intelRdt where the hardware is missing: it is refused. tests/unit/features has the rest, on ordinary files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.lib.box import refused, report
from tests.lib.bundle import Bundle


@pytest.fixture(autouse=True)
def no_resctrl() -> None:
    mounted = Path("/proc/self/mountinfo").read_text()
    assert " - resctrl " not in mounted, "these tests are for a machine without resctrl mounted"


@pytest.mark.parametrize(
    "rdt",
    [
        {},
        {"closID": "/"},
        {"closID": "gold"},
        {"schemata": ["L3:0=f"], "enableMonitoring": True},
        {"l3CacheSchema": "L3:0=f", "memBwSchema": "MB:0=20"},
    ],
)
def test_without_resctrl(bundle: Bundle, rdt: dict[str, Any]) -> None:
    """Whatever it asks for, even nothing but to be set (config-linux.md, IntelRdt)."""
    said = refused(bundle.set("linux.intelRdt", rdt))
    assert "intelRdt" in said


@pytest.mark.parametrize("name", ["..", "a/b"])
def test_what_is_no_name_of_a_group(bundle: Bundle, name: str) -> None:
    assert "intelRdt" in refused(bundle.set("linux.intelRdt", {"closID": name}))


def test_not_set_is_not_looked_at(bundle: Bundle) -> None:
    assert report(bundle)
