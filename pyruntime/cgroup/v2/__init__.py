"""One module per v2 controller, as for v1: `asked(resources)` and `apply(dir_fd, resources)`.

linux.resources speaks v1; each module says how its values become v2's, the same way in all runtimes. What has
no v2 counterpart and is asked for is an error (config-linux.md: a conversion that is not possible).
"""

from __future__ import annotations

from pyruntime import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    Setter = Callable[[int, Mapping[str, Any]], None]

# A threaded group takes no limits of these.
DOMAIN = frozenset(("memory", "io", "cpu", "hugetlb"))


def setters(resources: Mapping[str, Any]) -> Iterator[tuple[str, Setter]]:
    """(controller, apply) of the limits asked for, in the order they are set."""
    if "pids" in resources:
        from pyruntime.cgroup.v1 import pids

        if pids.asked(resources):
            yield "pids", pids.apply
    if "memory" in resources:
        from pyruntime.cgroup.v2 import memory

        if memory.asked(resources):
            yield "memory", memory.apply
    if "cpu" in resources:
        from pyruntime.cgroup.v2 import cpu

        if cpu.asked(resources):
            yield "cpu", cpu.apply
        if cpu.asked_set(resources):
            yield "cpuset", cpu.apply_set
    yield from _rarer_setters(resources)


def _rarer_setters(resources: Mapping[str, Any]) -> Iterator[tuple[str, Setter]]:
    if "blockIO" in resources:
        from pyruntime.cgroup.v2 import io

        if io.asked(resources):
            yield "io", io.apply
    if resources.get("hugepageLimits"):
        from pyruntime.cgroup.v2 import hugetlb

        yield "hugetlb", hugetlb.apply
    if resources.get("rdma"):
        from pyruntime.cgroup.v1 import rdma

        yield "rdma", rdma.apply
    network = resources.get("network") or {}
    for key in ("classID", "priorities"):
        if network.get(key):
            raise no_counterpart(f"/network/{key}")


def no_counterpart(pointer: str) -> errors.StepError:
    name = pointer.strip("/").replace("/", ".")
    return errors.StepError(
        f"linux.resources.{name} has no counterpart on cgroup v2", "/linux/resources" + pointer
    )
