"""linux.resources.hugepageLimits on v2: v1's pair of files by another ending."""

from __future__ import annotations

from pyruntime.cgroup.v1 import hugetlb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def apply(dir_fd: int, resources: Mapping[str, Any]) -> None:
    hugetlb.limits(dir_fd, resources, "max")
