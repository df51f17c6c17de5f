"""pyruntime/runtime/rdt_update.py on a resctrl tree of ordinary files: what `update` changes, and how it takes it back."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from pyruntime import resctrl
from pyruntime.errors import PyruntimeError
from pyruntime.runtime.rdt_update import Resharing
from tests.lib.fakeresctrl import FakeResctrl

CACHE, BANDWIDTH = {"l3CacheSchema": "L3:0=f"}, {"memBwSchema": "MB:0=20"}


class FakeEntry:
    id = "web"

    def __init__(self) -> None:
        self.notes: list[dict[str, Any]] = []

    def note(self, holding: dict[str, Any]) -> None:
        self.notes.append(holding)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeResctrl:
    found = FakeResctrl(tmp_path / "resctrl", monkeypatch)
    (found.root / "info/L3").mkdir()
    return found


def resharing(rdt: dict[str, Any] | None, wanted: dict[str, str]) -> tuple[Resharing, FakeEntry]:
    entry = FakeEntry()
    config = {"linux": {} if rdt is None else {"intelRdt": rdt}}
    return Resharing(entry, config, wanted), entry  # type: ignore[arg-type]


def record() -> dict[str, Any]:
    return {"id": "web", "pid": os.getpid()}


def test_the_lines_of_its_group(tree: FakeResctrl) -> None:
    tree.group("gold")
    change, entry = resharing({"closID": "gold"}, {**CACHE, **BANDWIDTH})
    change.apply(record())
    assert tree.written == [("gold/schemata", "L3:0=f\n"), ("gold/schemata", "MB:0=20\n")]
    assert not entry.notes


def test_taken_back(tree: FakeResctrl) -> None:
    """Only the resources it was about."""
    tree.group("web", "    L3:0=ff;1=fffff\n    MB:0=100;1=100\n")
    change, _ = resharing({}, CACHE)
    change.apply(record())
    change.undo()
    assert tree.written == [("web/schemata", "L3:0=f\n"), ("web/schemata", "L3:0=ff;1=fffff\n")]


def test_a_refused_line_takes_back_those_before(tree: FakeResctrl) -> None:
    tree.group("web")
    tree.refuse["MB:0=20\n"] = errno.EINVAL
    change, _ = resharing({}, {**CACHE, **BANDWIDTH})
    with pytest.raises(PyruntimeError, match="write `MB:0=20` to schemata"):
        change.apply(record())
    assert [text for _, text in tree.written] == [
        "L3:0=f\n",
        "L3:0=fffff;1=fffff\n",
        "MB:0=100;1=100\n",
    ]


def test_a_container_without_a_group_gets_one_with_all_its_tasks(tree: FakeResctrl) -> None:
    here, over = threading.Event(), threading.Event()

    def wait() -> None:
        here.set()
        over.wait()

    thread = threading.Thread(target=wait)
    thread.start()
    here.wait()
    change, entry = resharing(None, CACHE)
    try:
        change.apply(record())
    finally:
        over.set()
    joined = (tree.root / "web/tasks").read_text().split()
    assert {str(os.getpid()), str(thread.native_id)} <= set(joined)
    thread.join()
    assert tree.written[0] == ("web/schemata", "L3:0=f\n"), "the shares are there before the tasks"
    assert entry.notes == [{"kind": "resctrl", "group": "web", "made": True, "monitor": ""}]
    resctrl.release(entry.notes[0])
    assert not (tree.root / "web").exists()


def test_a_group_made_for_nothing_goes(tree: FakeResctrl) -> None:
    tree.refuse["L3:0=f\n"] = errno.EINVAL
    change, _ = resharing(None, CACHE)
    with pytest.raises(PyruntimeError, match="L3:0=f"):
        change.apply(record())
    assert not (tree.root / "web").exists()


@pytest.mark.parametrize(
    ("missing", "wanted", "words"),
    [
        ("L3", CACHE, "Intel RDT/CAT: l3 cache schema is not enabled"),
        ("MB", BANDWIDTH, "Intel RDT/MBA: memory bandwidth schema is not enabled"),
    ],
)
def test_what_the_processor_cannot(
    tree: FakeResctrl, missing: str, wanted: dict[str, str], words: str
) -> None:
    (tree.root / "info" / missing).rename(tree.root / "info" / "other")
    change, _ = resharing({}, wanted)
    with pytest.raises(PyruntimeError, match=words):
        change.apply(record())
    assert not tree.written


def test_a_group_that_is_gone(tree: FakeResctrl) -> None:
    change, _ = resharing({"closID": "gold"}, CACHE)
    with pytest.raises(PyruntimeError, match="no such file or directory"):
        change.apply(record())


def test_no_resctrl(tree: FakeResctrl) -> None:
    tree.mounted = False
    change, _ = resharing(None, CACHE)
    with pytest.raises(PyruntimeError, match="no resctrl file system is mounted"):
        change.apply(record())
