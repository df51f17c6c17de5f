"""linux.resources.network: two v1 controllers, net_cls and net_prio. v2 has no counterpart."""

from __future__ import annotations

from pyruntime.cgroup import knob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def asked_class(resources: Mapping[str, Any]) -> bool:
    return bool(resources["network"].get("classID"))


def apply_class(dir_fd: int, resources: Mapping[str, Any]) -> None:
    value = str(resources["network"]["classID"])
    knob.set_value(dir_fd, "net_cls.classid", value, "network class", "/network/classID")


def asked_priorities(resources: Mapping[str, Any]) -> bool:
    return bool(resources["network"].get("priorities"))


def apply_priorities(dir_fd: int, resources: Mapping[str, Any]) -> None:
    for index, row in enumerate(resources["network"]["priorities"]):
        value = f"{row['name']} {row['priority']}"
        pointer = f"/network/priorities/{index}"
        knob.set_value(dir_fd, "net_prio.ifpriomap", value, "network priority", pointer)
