"""pyruntime/runtime/idmaps.py as far as it needs no second process: comparing maps, and what is said when one fails.

Writing is tried on real processes: tests/integration/test_rootless_maps.py.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from pyruntime.errors import StepError
from pyruntime.runtime import idmaps


def mapping(inside: int, outside: int, size: int) -> dict[str, Any]:
    return {"containerID": inside, "hostID": outside, "size": size}


def own(kind: str) -> list[dict[str, Any]]:
    return [mapping(*row) for row in idmaps.read_map(f"/proc/self/{kind}_map", kind)]


def test_a_map_is_the_same_however_it_is_cut() -> None:
    uids, gids = own("uid"), own("gid")
    idmaps.compare(os.getpid(), uids, gids)
    first = uids[0]
    head = mapping(first["containerID"], first["hostID"], 1)
    rest = mapping(first["containerID"] + 1, first["hostID"] + 1, first["size"] - 1)
    cut = [row for row in (rest, head) if row["size"]]
    idmaps.compare(os.getpid(), [*cut, *uids[1:]], gids)


@pytest.mark.parametrize("kind", ["uid", "gid"])
def test_another_map(kind: str) -> None:
    maps = {"uid": own("uid"), "gid": own("gid")}
    maps[kind] = [mapping(0, 5, 1)]
    with pytest.raises(StepError, match=r"is another one: .*: invalid argument") as caught:
        idmaps.compare(os.getpid(), maps["uid"], maps["gid"])
    assert caught.value.pointer == f"/linux/{kind}Mappings"


def test_neighbours_that_belong_together_on_one_side_only() -> None:
    assert idmaps._joined([(0, 10, 5), (5, 20, 5)]) == [(0, 10, 5), (5, 20, 5)]
    assert idmaps._joined([(5, 15, 5), (0, 10, 5), (20, 20, 1)]) == [(0, 10, 10), (20, 20, 1)]


def test_a_process_that_is_gone() -> None:
    with pytest.raises(StepError, match="no such file or directory"):
        idmaps.compare(1 << 22, [], [])
    with pytest.raises(StepError, match=r"write the gid map .*no such file or directory"):
        idmaps.write(1 << 22, [mapping(0, 0, 1)], [mapping(0, 0, 1)])


def test_ids_that_are_not_ours_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idmaps, "read_map", lambda path, kind: [(0, 7, 10), (10, 99, 10)])
    assert idmaps._unmapped("uid", [(0, 0, 20)]) == ""
    assert "uid 20 does not exist" in idmaps._unmapped("uid", [(0, 0, 1), (1, 5, 16)])
    assert "gid 30 does not exist" in idmaps._unmapped("gid", [(0, 30, 1)])
