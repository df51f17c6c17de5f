"""linux.resources.hugepageLimits on v2: v1's pair of files by another ending."""

from __future__ import annotations

from pyruntime.cgroup.v1 import hugetlb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def apply(dir_fd: int, resources: Mapping[str, Any]) -> None:
    hugetlb.limits(dir_fd, resources, "max")


def stats(dir_fd: int) -> dict[str, dict[str, int]]:
    """{page size: usage in bytes, failcnt}; there is no peak."""
    from pyruntime.cgroup import reading, tree

    return {
        size: {
            "usage": reading.number(dir_fd, f"hugetlb.{size}.current") or 0,
            "failcnt": reading.pairs(dir_fd, f"hugetlb.{size}.events").get("max", 0),
        }
        for size in hugetlb.sizes(tree.files(dir_fd), "current")
    }
