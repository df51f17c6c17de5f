"""linux.resources.cpu on v1, but for cpus and mems, which are cpuset's. Zero leaves alone; so says runc.

`burst` and `idle` of zero are values.
"""

from __future__ import annotations

import errno

from pyruntime import errors
from pyruntime.cgroup import knob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

NUMBERS = ("shares", "quota", "period", "realtimeRuntime", "realtimePeriod")


def asked(resources: Mapping[str, Any]) -> bool:
    cpu = resources["cpu"]
    return any(cpu.get(name) for name in NUMBERS) or "burst" in cpu or "idle" in cpu


def apply(dir_fd: int, resources: Mapping[str, Any]) -> None:
    cpu = resources["cpu"]
    # Before anything runs here: a SCHED_RR process could not join a group without real-time share.
    _pair(
        dir_fd,
        ("cpu.rt_period_us", cpu.get("realtimePeriod", 0), "realtimePeriod"),
        ("cpu.rt_runtime_us", cpu.get("realtimeRuntime", 0), "realtimeRuntime"),
    )
    idle = cpu.get("idle")
    if idle == 0:  # an idle group takes no shares
        _set(dir_fd, "cpu.idle", idle, "idle")
    if shares := cpu.get("shares", 0):
        _set_shares(dir_fd, shares)
    late_burst = _early_burst(dir_fd, cpu)
    _pair(
        dir_fd,
        ("cpu.cfs_period_us", cpu.get("period", 0), "period"),
        ("cpu.cfs_quota_us", cpu.get("quota", 0), "quota"),
    )
    if late_burst:
        _set(dir_fd, "cpu.cfs_burst_us", cpu["burst"], "burst")
    if idle:
        _set(dir_fd, "cpu.idle", idle, "idle")


def _pair(dir_fd: int, period: tuple[str, int, str], share: tuple[str, int, str]) -> None:
    """A period and the share of it. Alone, a new period may clash with the old share (EINVAL): then the
    share goes first and the period is tried once more."""
    name, value, key = period
    again = False
    if value:
        try:
            knob.write(dir_fd, name, str(value))
        except OSError as error:
            if error.errno != errno.EINVAL or not share[1]:
                raise knob.failed(f"cpu {key}", str(value), f"/cpu/{key}", error) from error
            again = True
    if share[1]:
        _set(dir_fd, *share)
    if again:
        _set(dir_fd, name, value, key)


def _early_burst(dir_fd: int, cpu: Mapping[str, Any]) -> bool:
    """Tries burst before quota, so that a smaller quota fits; True where it must come after."""
    burst = cpu.get("burst")
    if burst is None:
        return False
    try:
        knob.write(dir_fd, "cpu.cfs_burst_us", str(burst))
    except OSError as error:
        if error.errno == errno.EINVAL and cpu.get("quota"):
            return True
        raise knob.failed("cpu burst", str(burst), "/cpu/burst", error) from error
    return False


def _set_shares(dir_fd: int, shares: int) -> None:
    """The kernel clamps shares without a word, so they are read back."""
    _set(dir_fd, "cpu.shares", shares, "shares")
    got = int(knob.read(dir_fd, "cpu.shares"))
    if got != shares:
        bound = "maximum" if shares > got else "minimum"
        raise errors.StepError(
            f"set cpu shares to {shares}",
            "/linux/resources/cpu/shares",
            why=f"the {bound} allowed cpu-shares is {got}",
        )


def _set(dir_fd: int, name: str, value: int, key: str) -> None:
    knob.set_value(dir_fd, name, str(value), f"cpu {key}", f"/cpu/{key}")


def stats(dir_fd: int) -> dict[str, int]:
    """How often the quota ran out, and for how long (ns)."""
    from pyruntime.cgroup import reading

    found = reading.pairs(dir_fd, "cpu.stat")
    return reading.known(
        periods=found.get("nr_periods"),
        throttledPeriods=found.get("nr_throttled"),
        throttledTime=found.get("throttled_time"),
    )


def usage(dir_fd: int) -> dict[str, Any]:
    """Processor time in ns, from the controller cpuacct, which has no limits; user and kernel it counts in ticks."""
    import posix

    from pyruntime.cgroup import reading

    tick_ns = 1_000_000_000 // posix.sysconf("SC_CLK_TCK")
    ticks = reading.pairs(dir_fd, "cpuacct.stat")
    found: dict[str, Any] = {"total": reading.number(dir_fd, "cpuacct.usage") or 0}
    found["percpu"] = reading.numbers(dir_fd, "cpuacct.usage_percpu")
    rows = (reading.text(dir_fd, "cpuacct.usage_all") or "").splitlines()
    each = [line.split() for line in rows[1:]]
    if each:  # title: cpu user system
        found["percpu_kernel"] = [int(row[2]) for row in each]
        found["percpu_user"] = [int(row[1]) for row in each]
    return found | {
        "kernel": ticks.get("system", 0) * tick_ns,
        "user": ticks.get("user", 0) * tick_ns,
    }
