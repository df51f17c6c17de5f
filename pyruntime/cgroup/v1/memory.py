"""linux.resources.memory on v1. `swap` is memory plus swap together, as in the kernel's file.

Zero leaves a limit alone; a swappiness of zero is a value. `kernel` and a `useHierarchy` of false are what Linux
took back (5.16, 5.11): asked for and not to be had, they are an error (runtime.md, Create).
"""

from __future__ import annotations

import errno

from pyruntime import errors
from pyruntime.cgroup import knob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

LIMIT = "memory.limit_in_bytes"
SWAP = "memory.memsw.limit_in_bytes"
RESERVATION = "memory.soft_limit_in_bytes"
OF_THE_KERNEL = (
    ("kernel", "memory.kmem.limit_in_bytes"),
    ("kernelTCP", "memory.kmem.tcp.limit_in_bytes"),
)
# Docker writes an unset swappiness as -1, and Go turns that into the largest 64-bit number.
UNSET_SWAPPINESS = (None, -1, 2**64 - 1)


def asked(resources: Mapping[str, Any]) -> bool:
    memory = resources["memory"]
    return bool(
        memory.get("limit")
        or memory.get("swap")
        or memory.get("reservation")
        or memory.get("disableOOMKiller")
        or memory.get("swappiness") not in UNSET_SWAPPINESS
        or memory.get("useHierarchy") is False
        or any((memory.get(key) or 0) > 0 for key, _ in OF_THE_KERNEL)
    )


def apply(dir_fd: int, resources: Mapping[str, Any]) -> None:
    memory = resources["memory"]
    check_usage(dir_fd, memory, "memory.usage_in_bytes")
    _limits(dir_fd, memory.get("limit", 0), memory.get("swap", 0))
    if reservation := memory.get("reservation", 0):
        knob.set_value(
            dir_fd, RESERVATION, str(reservation), "memory reservation", "/memory/reservation"
        )
    if memory.get("disableOOMKiller"):
        knob.set_value(
            dir_fd, "memory.oom_control", "1", "memory oom_control", "/memory/disableOOMKiller"
        )
    swappiness = memory.get("swappiness")
    if swappiness not in UNSET_SWAPPINESS:
        knob.set_value(
            dir_fd, "memory.swappiness", str(swappiness), "memory swappiness", "/memory/swappiness"
        )
    for key, name in OF_THE_KERNEL:
        if (memory.get(key) or 0) > 0:
            _set_kernel_memory(dir_fd, key, name, memory[key])
    if memory.get("useHierarchy") is False:
        name = "memory.use_hierarchy"
        knob.set_value(dir_fd, name, "0", "memory use_hierarchy", "/memory/useHierarchy")


def check_usage(dir_fd: int, memory: Mapping[str, Any], name: str) -> None:
    """checkBeforeUpdate: the kernel would first take from the group what can be taken, and v2's then kill."""
    limit = memory.get("limit", 0)
    if limit <= 0 or not memory.get("checkBeforeUpdate"):
        return
    usage = int(knob.read(dir_fd, name))
    if usage > limit:
        raise errors.StepError(
            f"unable to set memory limit to {limit} (current usage: {usage})",
            "/linux/resources/memory/checkBeforeUpdate",
        )


def _set_kernel_memory(dir_fd: int, key: str, name: str, limit: int) -> None:
    """A kernel that no longer has the limit may take the value and forget it, so it is read back."""
    knob.set_value(dir_fd, name, str(limit), f"memory {key}", f"/memory/{key}")
    if int(knob.read(dir_fd, name)) > limit:
        raise errors.StepError(
            f"set memory {key} to {limit}",
            f"/linux/resources/memory/{key}",
            why="this kernel has no such limit any more",
        )


def _limits(dir_fd: int, limit: int, swap: int) -> None:
    """Both limits in the order that keeps memory at or below memory plus swap at every step."""
    if limit == -1 and not swap and knob.exists(dir_fd, SWAP):
        swap = -1  # no limit on memory makes one on the sum meaningless
    swap_first = bool(limit and swap) and (swap == -1 or int(knob.read(dir_fd, LIMIT)) < swap)
    if swap_first:
        _set_swap(dir_fd, swap)
    if limit:
        _set_limit(dir_fd, limit)
    if swap and not swap_first:
        _set_swap(dir_fd, swap)


def _set_swap(dir_fd: int, swap: int) -> None:
    knob.set_value(dir_fd, SWAP, str(swap), "memory plus swap limit", "/memory/swap")


def _set_limit(dir_fd: int, limit: int) -> None:
    try:
        knob.write(dir_fd, LIMIT, str(limit))
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise knob.failed("memory limit", str(limit), "/memory/limit", error) from error
        usage = knob.read(dir_fd, "memory.usage_in_bytes")
        peak = knob.read(dir_fd, "memory.max_usage_in_bytes")
        raise errors.StepError(
            f"unable to set memory limit to {limit} (current usage: {usage}, peak usage: {peak})",
            "/linux/resources/memory/limit",
            errno=errno.EBUSY,
        ) from error


def stats(dir_fd: int) -> dict[str, Any]:
    """Four pairs of usage and limit in bytes, and memory.stat as it stands."""
    from pyruntime.cgroup import reading

    raw = reading.pairs(dir_fd, "memory.stat")
    found: dict[str, Any] = reading.known(cache=raw.get("cache"))
    for key, prefix in (
        ("usage", ""),
        ("swap", "memsw."),
        ("kernel", "kmem."),
        ("kernelTCP", "kmem.tcp."),
    ):
        row = reading.known(
            limit=reading.number(dir_fd, f"memory.{prefix}limit_in_bytes"),
            usage=reading.number(dir_fd, f"memory.{prefix}usage_in_bytes"),
            max=reading.number(dir_fd, f"memory.{prefix}max_usage_in_bytes"),
            failcnt=reading.number(dir_fd, f"memory.{prefix}failcnt"),
        )
        if row:
            found[key] = row
    return found | {"raw": raw}
