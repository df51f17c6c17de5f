"""linux.resources.memory on v1. `swap` is memory plus swap together, as in the kernel's file.

`kernel` and `kernelTCP` are not set: the kernel dropped the first and deprecates the second, and runc
ignores both. Zero leaves a limit alone; a swappiness of zero is a value.
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
    )


def apply(dir_fd: int, resources: Mapping[str, Any]) -> None:
    memory = resources["memory"]
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
