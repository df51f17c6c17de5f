"""linux.resources.cpu.cpus and mems on v1. A new cpuset is born empty and takes no process before both are
filled, so this one is set whether asked for or not: from the config, else from the group above."""

from __future__ import annotations

from pyruntime.cgroup import knob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

FILES = (("cpuset.cpus", "cpus"), ("cpuset.mems", "mems"))
SWITCHES = (
    "cpu_exclusive", "mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page", "memory_spread_slab",
    "memory_pressure", "sched_load_balance", "sched_relax_domain_level",
)  # fmt: skip


def inherit(dir_fd: int, above: Mapping[str, str]) -> dict[str, str]:
    """Fills what is empty from the group above; what this group has then."""
    values = {}
    for name, key in FILES:
        value = knob.read(dir_fd, name)
        if not value:
            value = above[name]
            knob.set_value(dir_fd, name, value, f"cpuset {key}", f"/cpu/{key}")
        values[name] = value
    return values


def values(dir_fd: int) -> dict[str, str]:
    return {name: knob.read(dir_fd, name) for name, _ in FILES}


def apply(dir_fd: int, resources: Mapping[str, Any], above: Mapping[str, str]) -> None:
    """The container's own group: the config's lists, else those of the group above.

    What the config asks for is written straight away and never after the inherited list: with
    cpu_exclusive siblings the inherited list may clash where the asked one does not.
    """
    cpu = resources.get("cpu") or {}
    for name, key in FILES:
        if asked := cpu.get(key):
            knob.set_value(dir_fd, name, asked, f"cpuset {key}", f"/cpu/{key}")
        elif not knob.read(dir_fd, name):
            knob.set_value(dir_fd, name, above[name], f"cpuset {key}", f"/cpu/{key}")


def stats(dir_fd: int) -> dict[str, Any]:
    """The lists as numbers, and the switches."""
    from pyruntime.cgroup import reading

    switches = {key: reading.number(dir_fd, f"cpuset.{key}") for key in SWITCHES}
    lists = {key: reading.ranges(dir_fd, name) for name, key in FILES}
    return lists | reading.known(**switches)
