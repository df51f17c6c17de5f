"""linux.resources.cpu on v2, cpus and mems among them: a v2 cpuset left empty is its parent's."""

from __future__ import annotations

import errno
import math

from pyruntime.cgroup import knob
from pyruntime.cgroup.v2 import no_counterpart

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

DEFAULT_PERIOD_US = 100000
LEAST_SHARES, MOST_SHARES = 2, 262144
LEAST_WEIGHT, MOST_WEIGHT = 1, 10000


def weight(shares: int) -> int:
    """A weight for v1 shares: a curve through both ends and both defaults (1024 shares, weight 100).

    The formula all runtimes moved to in 2025; the straight line before it made 39 of 1024.
    """
    if shares <= LEAST_SHARES:
        return LEAST_WEIGHT
    if shares >= MOST_SHARES:
        return MOST_WEIGHT
    power = math.log2(shares)
    return math.ceil(10 ** ((power * power + 125 * power) / 612 - 7 / 34))


def asked(resources: Mapping[str, Any]) -> bool:
    cpu = resources["cpu"]
    for key in ("realtimeRuntime", "realtimePeriod"):
        if cpu.get(key):
            raise no_counterpart(f"/cpu/{key}")
    return any(cpu.get(key) for key in ("shares", "quota", "period")) or bool(
        {"burst", "idle"} & set(cpu)
    )


def apply(dir_fd: int, resources: Mapping[str, Any]) -> None:
    cpu = resources["cpu"]
    if "idle" in cpu:
        _set(dir_fd, "cpu.idle", str(cpu["idle"]), "idle")
    if shares := cpu.get("shares", 0):
        _set(dir_fd, "cpu.weight", str(weight(shares)), "shares")
    quota, period = cpu.get("quota", 0), cpu.get("period", 0)
    late_burst = False
    if (burst := cpu.get("burst")) is not None:
        try:
            knob.write(dir_fd, "cpu.max.burst", str(burst))
        except OSError as error:
            if error.errno != errno.EINVAL or not quota:  # larger than the old quota allows
                raise knob.failed("cpu burst", str(burst), "/cpu/burst", error) from error
            late_burst = True
    if quota or period:
        share = str(quota) if quota > 0 else "max"
        key = "quota" if quota else "period"
        _set(dir_fd, "cpu.max", f"{share} {period or DEFAULT_PERIOD_US}", key)
    if late_burst:
        _set(dir_fd, "cpu.max.burst", str(burst), "burst")


def asked_set(resources: Mapping[str, Any]) -> bool:
    return bool(resources["cpu"].get("cpus") or resources["cpu"].get("mems"))


def apply_set(dir_fd: int, resources: Mapping[str, Any]) -> None:
    for key in ("cpus", "mems"):
        if value := resources["cpu"].get(key):
            knob.set_value(dir_fd, f"cpuset.{key}", value, f"cpuset {key}", f"/cpu/{key}")


def _set(dir_fd: int, name: str, value: str, key: str) -> None:
    knob.set_value(dir_fd, name, value, f"cpu {key}", f"/cpu/{key}")


def stats(dir_fd: int) -> dict[str, Any]:
    """cpu.stat as v1 would say it, in ns; it is there without the controller too, without throttling then."""
    from pyruntime.cgroup import reading

    found = reading.pairs(dir_fd, "cpu.stat")
    usage = [found.get(f"{name}_usec", 0) * 1000 for name in ("usage", "system", "user")]
    throttled = found.get("throttled_usec")
    return {
        "usage": dict(zip(("total", "kernel", "user"), usage, strict=True)),
        "throttling": reading.known(
            periods=found.get("nr_periods"),
            throttledPeriods=found.get("nr_throttled"),
            throttledTime=None if throttled is None else throttled * 1000,
        ),
    }


def set_stats(dir_fd: int) -> dict[str, list[int]]:
    """What is in force: the container's own lists are empty where they are the parent's."""
    from pyruntime.cgroup import reading

    return {key: reading.ranges(dir_fd, f"cpuset.{key}.effective") for key in ("cpus", "mems")}
