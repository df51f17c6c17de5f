"""location: cgroupsPath as path components, as runc reads it, but nothing climbs."""

from __future__ import annotations

import pytest

from pyruntime import errors
from pyruntime.cgroup import detect, location

HYBRID = detect.layout(
    b"40 31 0:40 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    b"41 31 0:41 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
    b"2:memory:/mine/here\n0::/session\n",
)
MEMORY, UNIFIED = HYBRID.hierarchies
V2 = detect.layout(
    b"41 31 0:41 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", b"0::/user.slice/session\n"
)


@pytest.mark.parametrize(
    ("path", "absolute", "parts"),
    [
        (None, False, ["id"]),
        ("", False, ["id"]),
        ("/a/b", True, ["a", "b"]),
        ("//a/./b//", True, ["a", "b"]),
        ("a/../b", False, ["b"]),
        ("/a/b/../c", True, ["a", "c"]),
        ("slice:prefix:name", False, ["slice:prefix:name"]),
        ("/...", True, ["..."]),
    ],
)
def test_inner(path: str | None, absolute: bool, parts: list[str]) -> None:
    assert location.inner(path, "id") == (absolute, parts)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        ".",
        "..",
        "/..",
        "../x",
        "a/../../x",
        "/a/../../..",
        "/a/..",
        "/a\nb",
        "/a\0b",
        "/" + "n" * 256,
    ],
)
def test_refused(path: str) -> None:
    with pytest.raises(errors.StepError) as caught:
        location.inner(path, "id")
    assert caught.value.pointer == "/linux/cgroupsPath"
    assert caught.value.message.startswith("cgroupsPath `")


def test_absolute_counts_from_the_mount() -> None:
    assert location.components(HYBRID, MEMORY, True, ["x"]) == ["x"]
    assert location.components(HYBRID, UNIFIED, True, ["x"]) == ["x"]


def test_relative_counts_from_our_own_group() -> None:
    assert location.components(HYBRID, MEMORY, False, ["x"]) == ["mine", "here", "x"]


def test_relative_on_the_unified_hierarchy_of_a_hybrid_host() -> None:
    assert location.components(HYBRID, UNIFIED, False, ["x"]) == ["x"]


def test_relative_on_v2_stands_beside_our_own_group() -> None:
    assert location.components(V2, V2.hierarchies[0], False, ["x"]) == ["user.slice", "x"]


def test_a_mount_that_does_not_show_our_own_group() -> None:
    layout = detect.layout(
        b"40 31 0:40 /docker/x /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
        b"2:memory:/elsewhere\n",
    )
    with pytest.raises(errors.StepError, match="outside the memory hierarchy"):
        location.components(layout, layout.hierarchies[0], False, ["x"])
    assert location.components(layout, layout.hierarchies[0], True, ["x"]) == ["x"]
