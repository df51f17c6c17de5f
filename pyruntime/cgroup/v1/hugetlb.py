"""linux.resources.hugepageLimits on v1: the limit on reservations where the kernel has it (5.7), without which a process
may reserve what it is then killed for touching, and the plain one, which counts what is touched.

The specification means the first and falls back to the second; both are set, as by runc, for tools look at the plain one.
"""

from __future__ import annotations

import errno

from pyruntime.cgroup import knob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def apply(dir_fd: int, resources: Mapping[str, Any]) -> None:
    limits(dir_fd, resources, "limit_in_bytes")


def limits(dir_fd: int, resources: Mapping[str, Any], ending: str) -> None:
    """The same two files by either version's ending."""
    for index, row in enumerate(resources["hugepageLimits"]):
        size, value = row["pageSize"], str(row["limit"])
        pointer = f"/hugepageLimits/{index}"
        what = f"hugepage limit of {size}"
        try:
            knob.write(dir_fd, f"hugetlb.{size}.rsvd.{ending}", value)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise knob.failed(what, value, pointer, error) from error
        knob.set_value(dir_fd, f"hugetlb.{size}.{ending}", value, what, pointer)
