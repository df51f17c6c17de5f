"""Id maps as data: the kernel's rules for them, refused before anything exists."""

from __future__ import annotations

from typing import Any

import pytest

from pyruntime.features import user_mappings
from tests.lib.plans import BASE, findings, site, spec

ONE = [{"containerID": 0, "hostID": 1000, "size": 1}]
USER = [*BASE["linux"]["namespaces"], {"type": "user"}]
JOINED = [*BASE["linux"]["namespaces"], {"type": "user", "path": "/proc/7/ns/user"}]


def row(inside: int, outside: int, size: int) -> dict[str, int]:
    return {"containerID": inside, "hostID": outside, "size": size}


def found(*, namespaces: list[dict[str, str]] = USER, **maps: Any) -> list[tuple[str, str]]:
    changes = {f"linux__{name}": rows for name, rows in maps.items()}
    return list(findings(spec(linux__namespaces=namespaces, **changes)).items())


def of_map(*rows: dict[str, int]) -> list[tuple[str, str]]:
    return found(uidMappings=list(rows), gidMappings=ONE)


def test_sound_maps() -> None:
    assert found(uidMappings=ONE, gidMappings=ONE) == []
    assert of_map(row(0, 1000, 1), row(1, 100000, 65536), row(65537, 4294901758, 65537)) == []
    assert of_map(*[row(index * 2, index * 3, 2) for index in range(340)]) == []
    assert found(namespaces=JOINED, uidMappings=ONE, gidMappings=ONE) == []
    assert found(namespaces=JOINED) == []


def test_a_new_namespace_needs_both_maps() -> None:
    assert found() == [], "they are chosen when the container is created (rootless.py)"
    assert found(uidMappings=ONE) == [
        ("/linux/gidMappings", "user namespaces enabled, but no gid mappings found")
    ]
    assert found(gidMappings=ONE) == [
        ("/linux/uidMappings", "user namespaces enabled, but no uid mappings found")
    ]


def test_a_joined_one_needs_both_or_none() -> None:
    assert found(namespaces=JOINED, gidMappings=ONE) == [
        ("/linux/uidMappings", "user namespaces enabled, but no uid mappings found")
    ]


def test_maps_without_a_user_namespace() -> None:
    rows = found(namespaces=BASE["linux"]["namespaces"], uidMappings=ONE, gidMappings=ONE)
    assert [pointer for pointer, _ in rows] == ["/linux/uidMappings", "/linux/gidMappings"]


@pytest.mark.parametrize(
    ("rows", "pointer"),
    [
        ([row(0, 1000, 0)], "/linux/uidMappings/0/size"),
        ([row(0, 4294967295, 1)], "/linux/uidMappings/0/hostID"),
        ([row(4294967295, 0, 1)], "/linux/uidMappings/0/containerID"),
        ([row(0, 4294967290, 6)], "/linux/uidMappings/0/hostID"),
        ([row(0, 100, 10), row(9, 200, 1)], "/linux/uidMappings/1"),
        ([row(20, 100, 10), row(0, 109, 1)], "/linux/uidMappings/1"),
        ([row(0, 109, 1), row(5, 105, 5)], "/linux/uidMappings/1"),
        ([row(0, 1, 1), row(0, 2, 1)], "/linux/uidMappings/1"),
        ([row(index, index, 1) for index in range(341)], "/linux/uidMappings"),
    ],
)
def test_what_the_kernel_would_refuse(rows: list[dict[str, int]], pointer: str) -> None:
    assert [where for where, _ in of_map(*rows) if where[:6] == "/linux"] == [pointer]


@pytest.mark.parametrize(
    ("user", "pointers"),
    [
        ({"uid": 0, "gid": 0}, []),
        ({}, []),
        ({"uid": 1, "gid": 0}, ["/process/user/uid"]),
        ({"uid": 0, "gid": 7}, ["/process/user/gid"]),
        ({"additionalGids": [0, 5]}, ["/process/user/additionalGids/1"]),
    ],
)
def test_a_user_that_is_not_mapped(user: dict[str, Any], pointers: list[str]) -> None:
    maps = {"linux__uidMappings": ONE, "linux__gidMappings": ONE}
    document = spec(linux__namespaces=USER, process__user=user, **maps)
    assert list(findings(document)) == pointers


def test_nothing_is_left_to_the_init() -> None:
    document = spec(linux__namespaces=USER, linux__uidMappings=ONE, linux__gidMappings=ONE)
    assert list(user_mappings.plan(document, site())) == []
