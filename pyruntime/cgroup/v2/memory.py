"""linux.resources.memory on v2. The config's `swap` is memory plus swap, v2's file is swap alone."""

from __future__ import annotations

import errno

from pyruntime import errors
from pyruntime.cgroup import knob
from pyruntime.cgroup.v1.memory import UNSET_SWAPPINESS, asked, check_usage
from pyruntime.cgroup.v2 import no_counterpart

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["apply", "asked", "swap_alone"]

NO_LIMIT = "max"


def apply(dir_fd: int, resources: Mapping[str, Any]) -> None:
    memory = resources["memory"]
    if memory.get("disableOOMKiller"):
        raise no_counterpart("/memory/disableOOMKiller")
    if memory.get("swappiness") not in UNSET_SWAPPINESS:
        raise no_counterpart("/memory/swappiness")
    for key in ("kernel", "kernelTCP"):
        if (memory.get(key) or 0) > 0:
            raise no_counterpart(f"/memory/{key}")
    if memory.get("useHierarchy") is False:
        raise no_counterpart("/memory/useHierarchy")
    limit = memory.get("limit", 0)
    check_usage(dir_fd, memory, "memory.current")
    swap = swap_alone(memory.get("swap", 0), limit)
    if swap is not None:
        _set_swap(dir_fd, swap)
    if limit:
        knob.set_value(dir_fd, "memory.max", _text(limit), "memory limit", "/memory/limit")
    if reservation := memory.get("reservation", 0):
        knob.set_value(
            dir_fd, "memory.low", _text(reservation), "memory reservation", "/memory/reservation"
        )


def swap_alone(swap: int, limit: int) -> int | None:
    """What memory.swap.max gets: -1 for no limit, None to leave it alone."""
    if not swap:
        return -1 if limit == -1 else None
    if swap == -1 or limit == -1:
        return swap
    if not limit:
        raise errors.StepError(
            "unable to set swap limit without memory limit", "/linux/resources/memory/swap"
        )
    if swap < limit:
        raise errors.StepError(
            "memory+swap limit should be >= memory limit", "/linux/resources/memory/swap"
        )
    return swap - limit


def _set_swap(dir_fd: int, swap: int) -> None:
    try:
        knob.write(dir_fd, "memory.swap.max", _text(swap))
    except OSError as error:
        # Without swap accounting nothing is swapped, and neither of these asks for any.
        if error.errno == errno.ENOENT and swap in (-1, 0):
            return
        raise knob.failed("swap limit", _text(swap), "/memory/swap", error) from error


def _text(value: int) -> str:
    return NO_LIMIT if value == -1 else str(value)


def stats(dir_fd: int) -> dict[str, Any]:
    """As v1 would say it: `swap` is memory plus swap. failcnt is how often the limit was hit (memory.events)."""
    from pyruntime.cgroup import reading

    raw = reading.pairs(dir_fd, "memory.stat")
    found: dict[str, Any] = reading.known(cache=raw.get("file"))
    limit = reading.number(dir_fd, "memory.max")
    usage = reading.number(dir_fd, "memory.current")
    if limit is None or usage is None:
        return found | {"raw": raw}  # no memory controller here
    hits = reading.pairs(dir_fd, "memory.events").get("max", 0)
    peak = reading.number(dir_fd, "memory.peak")  # Linux 5.19
    found["usage"] = reading.known(limit=limit, usage=usage, max=peak, failcnt=hits)
    swap = reading.number(dir_fd, "memory.swap.current")
    swap_limit = reading.number(dir_fd, "memory.swap.max")
    if swap is not None and swap_limit is not None:
        both = min(limit + swap_limit, reading.NO_LIMIT)
        swap_hits = reading.pairs(dir_fd, "memory.swap.events").get("max", 0)
        found["swap"] = {"limit": both, "usage": usage + swap, "failcnt": swap_hits}
    found["kernel"] = {"limit": 0, "usage": raw.get("kernel", 0), "failcnt": 0}
    found["kernelTCP"] = {"limit": 0, "usage": raw.get("sock", 0), "failcnt": 0}
    return found | {"raw": raw}
