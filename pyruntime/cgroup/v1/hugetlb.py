"""linux.resources.hugepageLimits on v1: the limit on reservations where the kernel has it (5.7), without which a process
may reserve what it is then killed for touching, and the plain one, which counts what is touched.

The specification means the first and falls back to the second; both are set, as by runc, for tools look at the plain one.
"""

from __future__ import annotations

import errno

from pyruntime.cgroup import knob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
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


def stats(dir_fd: int) -> dict[str, dict[str, int]]:
    """{page size: usage, max and failcnt}, in bytes and refusals."""
    from pyruntime.cgroup import reading, tree

    found = {}
    for size in sizes(tree.files(dir_fd), "usage_in_bytes"):
        found[size] = reading.known(
            usage=reading.number(dir_fd, f"hugetlb.{size}.usage_in_bytes"),
            max=reading.number(dir_fd, f"hugetlb.{size}.max_usage_in_bytes"),
            failcnt=reading.number(dir_fd, f"hugetlb.{size}.failcnt"),
        )
    return found


def sizes(names: Iterable[str], ending: str) -> list[str]:
    """The page sizes there are: those of the files that end so."""
    parts = [name.split(".") for name in names]
    return sorted(
        row[1] for row in parts if len(row) == 3 and row[0] == "hugetlb" and row[2] == ending
    )
