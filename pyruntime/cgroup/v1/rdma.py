"""linux.resources.rdma; the file is the same on v1 and v2."""

from __future__ import annotations

from pyruntime.cgroup import knob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

KEYS = (("hcaHandles", "hca_handle"), ("hcaObjects", "hca_object"))


def apply(dir_fd: int, resources: Mapping[str, Any]) -> None:
    for device, row in resources["rdma"].items():
        words = [device] + [f"{name}={row[key]}" for key, name in KEYS if row.get(key) is not None]
        knob.set_value(dir_fd, "rdma.max", " ".join(words), "rdma limit", f"/rdma/{device}")
