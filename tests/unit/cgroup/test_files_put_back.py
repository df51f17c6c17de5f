"""What a controller writes, an update that fails puts back: every file is in updating.FILES."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pyruntime.cgroup import knob, updating, v1, v2

FULL = Path(__file__).resolve().parents[3] / "schema/corpus/base/full.json"


def resources(*left_out: str) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(FULL.read_text())["linux"]["resources"]
    whole["cpu"]["idle"] = 1
    whole["memory"] = {"limit": 1 << 30, "reservation": 1 << 29, "swap": 2 << 30}  # fmt: skip
    return {name: value for name, value in whole.items() if name not in left_out}


@pytest.mark.parametrize("has", [True, False], ids=["newer files", "older files"])
@pytest.mark.parametrize(
    ("mode", "left_out"), [(v1, ("unified",)), (v2, ("network", "unified"))], ids=["v1", "v2"]
)
def test_every_file(
    monkeypatch: pytest.MonkeyPatch, mode: ModuleType, left_out: tuple[str, ...], has: bool
) -> None:
    """Those of hugetlb are named after the page sizes, and found by listing the group."""
    written: set[tuple[str, str]] = set()
    current = ""
    content: dict[str, str] = {}

    def write(fd: int, name: str, value: str) -> None:
        written.add((current, name))
        content[name] = value

    monkeypatch.setattr(knob, "write", write)
    monkeypatch.setattr(knob, "read", lambda fd, name: content.get(name, "0"))
    monkeypatch.setattr(knob, "exists", lambda fd, name: has)
    wanted = resources(*left_out)
    if mode is v1:
        wanted["memory"] |= {"disableOOMKiller": True, "swappiness": 60}
    else:
        for name in ("realtimeRuntime", "realtimePeriod"):
            del wanted["cpu"][name]
        wanted["blockIO"] = {k: v for k, v in wanted["blockIO"].items() if not k.startswith("leaf")}
        del wanted["blockIO"]["weightDevice"][0]["leafWeight"]
    for controller, apply in mode.setters(wanted):
        current = controller
        apply(-1, wanted)
    assert len({controller for controller, _ in written}) > 5
    known = {
        (controller, name) for controller, names in updating.FILES.items() for name in names.split()
    }
    assert {row for row in written if row[0] != "hugetlb"} <= known
