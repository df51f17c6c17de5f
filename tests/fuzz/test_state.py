"""Damaged files of the state directory: a sentence that names them, never an odd exception, never another's pid."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from pyruntime.errors import ContainerError
from pyruntime.runtime import holdings, status
from pyruntime.runtime.store import Entry, Store
from tests.fuzz.budget import explore
from tests.unit.runtime.fakes import FakeContainer

VALUES = st.sampled_from(
    [None, True, False, 0, 1, -1, 2, 1.5, 1 << 22, 1 << 40, 1 << 63, "", "x", "web", "created", "stopped", [], {},
     [0, 0], ["a"], {"a": 1}, {"kind": "cgroup"}]
)  # fmt: skip
HOLDING = {"kind": "cgroup", "id": "web", "paths": {"memory": "/x"}}


@pytest.fixture
def container(tmp_path: Path) -> Iterator[FakeContainer]:
    made = FakeContainer(tmp_path / "state")
    made.write()
    yield made
    made.end()


def damage(text: bytes, changes: list[tuple[int, int]], cut: int) -> bytes:
    data = bytearray(text)
    for at, byte in changes:
        data[at % len(data)] = byte
    return bytes(data[: len(data) - cut % len(data)] if cut else data)


def files(text: bytes) -> st.SearchStrategy[bytes]:
    """The file with wrong bytes, cut short, or something else altogether."""
    change = st.tuples(st.integers(0, 4096), st.integers(0, 255))
    hurt = st.builds(
        damage, st.just(text), st.lists(change, max_size=3), st.just(0) | st.integers()
    )
    return hurt | st.binary(max_size=64)


def edited(document: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """The document with members of other values, or without them."""
    names = st.sampled_from(sorted(document))
    changed = st.dictionaries(names, VALUES, max_size=3).map(lambda more: {**document, **more})
    lacking = names.map(lambda name: {key: document[key] for key in document if key != name})
    return (changed | lacking).map(lambda made: json.dumps(made).encode())


def read(entry: Entry, name: str) -> Any:
    try:
        return holdings.read(entry) if name == "holdings" else getattr(entry, name)()
    except ContainerError as error:
        assert str(error)
        return None


def test_records(container: FakeContainer) -> None:
    path = Path(container.entry.path) / "state.json"
    whole = path.read_bytes()

    def judge(data: bytes) -> None:
        path.write_bytes(data)
        record = read(container.entry, "read_record")
        if record is not None:
            assert record["id"] == "web" and (record["pid"] == 0 or record["pid"] > 1)
            assert status.status(record, container.entry) in ("stopped", "created", "running")
            status.document(record, "stopped")

    explore("records", files(whole) | edited(json.loads(whole)), judge)


def test_holdings(container: FakeContainer) -> None:
    path = Path(container.entry.path) / "holdings"
    container.entry.note(HOLDING)
    container.entry.note({**HOLDING, "paths": {}})
    whole = path.read_bytes()

    def judge(data: bytes) -> None:
        path.write_bytes(data)
        for holding in read(container.entry, "holdings") or ():
            assert holding["id"] == "web"

    explore("holdings", files(whole) | edited(HOLDING).map(lambda line: line + b"\n"), judge)


@pytest.mark.parametrize("name", ["config", "steps"])
def test_other_files(container: FakeContainer, name: str) -> None:
    path = Path(container.entry.path) / f"{name}.json"
    whole = b'{"3": ["run the hook", "/hooks/startContainer/0"]}'

    def judge(data: bytes) -> None:
        path.write_bytes(data)
        found = read(container.entry, name)
        assert found is None or isinstance(found, dict)

    explore("holdings", files(whole), judge)


def test_a_store_among_rubbish(tmp_path: Path) -> None:
    for name in ("web", "a b", ".hidden", "~0"):
        (tmp_path / name).mkdir(mode=0o700)
    tmp_path.chmod(0o700)
    assert Store(str(tmp_path)).ids() == [".hidden", "web"]
