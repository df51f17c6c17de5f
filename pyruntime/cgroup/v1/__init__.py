"""One module per v1 controller: `asked(resources)` and `apply(dir_fd, resources)`.

`resources` is linux.resources as written. A zero in it means *leave alone* wherever the kernel's own zero
would be nonsense (engines send their unset fields as zeros); each module says where zero is a value.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    Setter = Callable[[int, Mapping[str, Any]], None]


def setters(resources: Mapping[str, Any]) -> Iterator[tuple[str, Setter]]:
    """(controller, apply) of the limits asked for; a controller nobody asks for is never imported.

    cpuset and devices are not among these: both are set whether asked for or not.
    """
    if "memory" in resources:
        from pyruntime.cgroup.v1 import memory

        if memory.asked(resources):
            yield "memory", memory.apply
    if "cpu" in resources:
        from pyruntime.cgroup.v1 import cpu

        if cpu.asked(resources):
            yield "cpu", cpu.apply
    if "pids" in resources:
        from pyruntime.cgroup.v1 import pids

        if pids.asked(resources):
            yield "pids", pids.apply
    yield from _rarer_setters(resources)


def _rarer_setters(resources: Mapping[str, Any]) -> Iterator[tuple[str, Setter]]:
    if "blockIO" in resources:
        from pyruntime.cgroup.v1 import blkio

        if blkio.asked(resources):
            yield "blkio", blkio.apply
    if resources.get("hugepageLimits"):
        from pyruntime.cgroup.v1 import hugetlb

        yield "hugetlb", hugetlb.apply
    if "network" in resources:
        from pyruntime.cgroup.v1 import net

        if net.asked_class(resources):
            yield "net_cls", net.apply_class
        if net.asked_priorities(resources):
            yield "net_prio", net.apply_priorities
    if resources.get("rdma"):
        from pyruntime.cgroup.v1 import rdma

        yield "rdma", rdma.apply
