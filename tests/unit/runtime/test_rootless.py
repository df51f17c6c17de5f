"""pyruntime/runtime/rootless.py: which ids a caller without rights gets, and what the flag does to config.json."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from pyruntime.errors import SpecError, StepError
from pyruntime.features import user_mappings
from pyruntime.kernel import calls
from pyruntime.lib import subids
from pyruntime.lib.log import Log
from pyruntime.runtime import idmaps, rootless
from pyruntime.runtime.request import CreateRequest
from tests.lib.plans import BASE, spec


def request(*, flag: bool = True) -> CreateRequest:
    return CreateRequest("/r", "web", "/b", log=Log(), map_root_user=flag)


def rows(*wanted: tuple[int, int, int]) -> list[dict[str, int]]:
    names = ("containerID", "hostID", "size")
    return [dict(zip(names, row, strict=True)) for row in wanted]


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ([], [(0, 1000, 1)]),
        ([(100000, 165536)], [(0, 1000, 1), (1, 100000, 65536)]),
        (
            [(100000, 100010), (200000, 200001)],
            [(0, 1000, 1), (1, 100000, 10), (11, 200000, 1)],
        ),
        # The caller's own id in a range, overlapping ranges, the same one twice: no id is taken twice.
        ([(990, 1010)], [(0, 1000, 1), (1, 990, 10), (11, 1001, 9)]),
        ([(10, 20), (15, 25), (10, 20)], [(0, 1000, 1), (1, 10, 10), (11, 20, 5)]),
        ([(1000, 1001)], [(0, 1000, 1)]),
        ([(0, 4294967295)], [(0, 1000, 1), (1, 0, 1000), (1001, 1001, 4294966294)]),
    ],
)
def test_mappings(ranges: list[tuple[int, int]], expected: list[tuple[int, int, int]]) -> None:
    made = rootless.mappings(1000, ranges)
    assert made == rows(*expected)
    kinds = [*BASE["linux"]["namespaces"], {"type": "user"}]
    maps = {"uidMappings": made, "gidMappings": made}
    assert list(user_mappings.rules({"linux": {"namespaces": kinds, **maps}})) == []


def test_more_ranges_than_the_kernel_takes() -> None:
    assert len(rootless.mappings(0, [(index, index + 1) for index in range(2, 1000, 2)])) == 340


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges that are given, and in a container of which only some ids exist."""
    monkeypatch.setattr(subids, "ranges", lambda kind: [(100000, 65536), (500000, 10)])
    monkeypatch.setattr(idmaps, "missing_helper", lambda kind: "")
    monkeypatch.setattr(idmaps, "read_map", lambda path, kind: [(0, 7, 100001), (500005, 8, 100)])


def test_the_configuration_that_is_saved(account: None) -> None:
    document = spec(annotations={"a": "\n\u20ac"})
    saved = rootless.prepare(document, b"before", request())
    assert json.loads(saved) == document
    linux = document["linux"]
    assert linux["namespaces"] == [*BASE["linux"]["namespaces"], {"type": "user"}]
    rest = [(1, 100000, 1), (2, 500005, 5)]
    assert linux["uidMappings"] == rows((0, os.geteuid(), 1), *rest)
    assert linux["gidMappings"] == rows((0, os.getegid(), 1), *rest)


def test_a_user_that_is_beyond_the_ids(account: None) -> None:
    document = spec(process__user={"uid": 6, "gid": 7})
    with pytest.raises(SpecError, match="gid 7 is not in") as caught:
        rootless.prepare(document, b"", request())
    assert [row[0] for row in caught.value.findings] == ["/process/user/gid"]
    assert caught.value.hint is not None and "uid 2-6 = 500005-500009" in caught.value.hint


MAPS = {"linux__uidMappings": rows((0, 7, 1)), "linux__gidMappings": rows((0, 7, 1))}


@pytest.mark.parametrize(
    ("entry", "maps"), [({"path": "/proc/7/ns/user"}, {}), ({}, MAPS)], ids=["joined", "new"]
)
@pytest.mark.parametrize("flag", [True, False])
def test_a_config_with_a_user_namespace_stays(
    entry: dict[str, str], maps: dict[str, Any], flag: bool
) -> None:
    wanted = spec(linux__namespaces=[{"type": "user", **entry}], **maps)
    document = spec(linux__namespaces=[{"type": "user", **entry}], **maps)
    assert rootless.prepare(document, b"before", request(flag=flag)) == b"before"
    assert document == wanted


def test_a_user_namespace_without_mappings(account: None) -> None:
    """The caller is the user of the process, and the others fill the rest."""
    document = spec(linux__namespaces=[{"type": "user"}], process__user={"uid": 3, "gid": 0})
    data = rootless.prepare(document, b"", request())
    assert json.loads(data) == document
    linux = document["linux"]
    rest = [(0, 100000, 1), (1, 500005, 2), (4, 500007, 3)]
    assert linux["uidMappings"] == rows((3, os.geteuid(), 1), *rest)
    assert linux["gidMappings"] == rows((0, os.getegid(), 1), (1, 100000, 1), (2, 500005, 5))


def test_a_user_namespace_without_mappings_or_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subids, "ranges", lambda kind: [])
    document = spec(linux__namespaces=[{"type": "user"}])
    rootless.prepare(document, b"", request())
    assert document["linux"]["uidMappings"] == rows((0, os.geteuid(), 1))
    document = spec(linux__namespaces=[{"type": "user"}], process__user={"uid": 3, "gid": 0})
    with pytest.raises(SpecError, match="uid 3 is not in"):
        rootless.prepare(document, b"", request())


@pytest.mark.parametrize("document", [spec(), {"process": {}}, {"linux": {}}])
def test_without_the_flag_it_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(StepError, match="rootless container requires user namespaces") as caught:
        rootless.prepare(document, b"", request(flag=False))
    assert caught.value.pointer == "/linux/namespaces"
    assert caught.value.hint is not None
    assert "--map-root-user" in caught.value.hint and "spec --rootless" in caught.value.hint


def test_ranges_without_the_program_that_maps_them(
    account: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(idmaps, "missing_helper", lambda kind: f"new{kind}map is not installed")
    monkeypatch.setattr(calls, "permitted_capabilities", lambda: 0)
    document = spec()
    rootless.prepare(document, b"", request())
    assert document["linux"]["uidMappings"] == rows((0, os.geteuid(), 1))
    assert "newuidmap is not installed: /etc/subuid is of no use" in capfd.readouterr().err


def test_who_may_write_maps_needs_no_program(
    account: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(idmaps, "missing_helper", lambda kind: f"new{kind}map is not installed")
    monkeypatch.setattr(calls, "permitted_capabilities", lambda: 1 << 7 | 1 << 6)
    document = spec()
    rootless.prepare(document, b"", request())
    assert len(document["linux"]["uidMappings"]) == len(document["linux"]["gidMappings"]) == 3
    assert capfd.readouterr().err == ""
