"""What a container has used: the counters of its groups in the shape `runc events` prints, from v1, a mixture or v2.

The controllers' own modules know their files; here is which of them a container has, and where. A group that is gone
has nothing to say, and its part stays empty. Pressure is counted in the unified hierarchy alone: on a hybrid host too.
"""

from __future__ import annotations

import posix

from pyruntime.cgroup import detect, reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyruntime.cgroup.group import Cgroup

PRESSURES = (("cpu", "cpu.pressure"), ("memory", "memory.pressure"), ("blkio", "io.pressure"))


def stats(cgroup: Cgroup) -> dict[str, Any]:
    """{cpu, cpuset, memory, pids, blkio, hugetlb}; times in ns, sizes in bytes."""
    opened: dict[str, int] = {}
    mounted = detect.mounted()
    try:
        for group in cgroup.groups:
            fd = group.open(mounted)
            if fd is not None:
                opened[group.hierarchy] = fd
        found = _unified(opened.get("", -1)) if cgroup.mode == "v2" else _v1(opened)
        if (unified := opened.get("")) is not None:
            _add_pressure(found, unified)
        return found
    finally:
        for fd in opened.values():
            posix.close(fd)


def _v1(opened: dict[str, int]) -> dict[str, Any]:
    from pyruntime.cgroup.v1 import blkio, cpu, cpuset, hugetlb, memory, pids

    fds = {name: fd for names, fd in opened.items() for name in names.split(",")}

    def asked(controller: str, stats: Any) -> Any:
        return stats(fds[controller]) if controller in fds else {}

    usage = asked("cpuacct", cpu.usage) or {"kernel": 0, "user": 0}
    return {
        "cpu": {"usage": usage, "throttling": asked("cpu", cpu.stats)},
        "cpuset": asked("cpuset", cpuset.stats),
        "memory": asked("memory", memory.stats),
        "pids": asked("pids", pids.stats),
        "blkio": asked("blkio", blkio.stats),
        "hugetlb": asked("hugetlb", hugetlb.stats),
    }


def _unified(fd: int) -> dict[str, Any]:
    from pyruntime.cgroup.v1 import pids
    from pyruntime.cgroup.v2 import cpu, hugetlb, io, memory

    if fd < 0:
        return _v1({})
    return {
        "cpu": cpu.stats(fd),
        "cpuset": cpu.set_stats(fd),
        "memory": memory.stats(fd),
        "pids": pids.stats(fd),
        "blkio": io.stats(fd),
        "hugetlb": hugetlb.stats(fd),
    }


def _add_pressure(found: dict[str, Any], unified_fd: int) -> None:
    for part, name in PRESSURES:
        pressure = reading.pressure(unified_fd, name)
        if pressure is not None:
            found[part]["psi"] = pressure
