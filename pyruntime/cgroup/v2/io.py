"""linux.resources.blockIO on v2: io.bfq.weight where BFQ is there, else io.weight on its own scale."""

from __future__ import annotations

from pyruntime.cgroup import knob
from pyruntime.cgroup.v1.blkio import asked
from pyruntime.cgroup.v2 import no_counterpart

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["apply", "asked", "weight"]

THROTTLES = (
    ("throttleReadBpsDevice", "rbps"),
    ("throttleWriteBpsDevice", "wbps"),
    ("throttleReadIOPSDevice", "riops"),
    ("throttleWriteIOPSDevice", "wiops"),
)
COUNTED = {
    "rbytes": ("ioServiceBytesRecursive", "Read"),
    "wbytes": ("ioServiceBytesRecursive", "Write"),
    "dbytes": ("ioServiceBytesRecursive", "Discard"),
    "rios": ("ioServicedRecursive", "Read"),
    "wios": ("ioServicedRecursive", "Write"),
    "dios": ("ioServicedRecursive", "Discard"),
}


def weight(block_weight: int) -> int:
    """10 to 1000 becomes 1 to 10000."""
    return 1 + (block_weight - 10) * 9999 // 990


def apply(dir_fd: int, resources: Mapping[str, Any]) -> None:
    block = resources["blockIO"]
    if block.get("leafWeight"):
        raise no_counterpart("/blockIO/leafWeight")
    _weights(dir_fd, block)
    for key, word in THROTTLES:
        for index, row in enumerate(block.get(key) or ()):
            rate = row["rate"] or "max"  # v1's zero lifts a throttle; v2 has a word for it
            value = f"{row['major']}:{row['minor']} {word}={rate}"
            knob.set_value(dir_fd, "io.max", value, f"io {word}", f"/blockIO/{key}/{index}")


def _weights(dir_fd: int, block: Mapping[str, Any]) -> None:
    bfq = knob.exists(dir_fd, "io.bfq.weight")
    if asked_weight := block.get("weight"):
        name = "io.bfq.weight" if bfq else "io.weight"
        value = asked_weight if bfq else weight(asked_weight)
        knob.set_value(dir_fd, name, str(value), "block IO weight", "/blockIO/weight")
    for index, row in enumerate(block.get("weightDevice") or ()):
        pointer = f"/blockIO/weightDevice/{index}"
        if row.get("leafWeight"):
            raise no_counterpart(f"{pointer}/leafWeight")
        if row.get("weight"):
            value = row["weight"] if bfq else weight(row["weight"])
            text = f"{row['major']}:{row['minor']} {value}"
            name = "io.bfq.weight" if bfq else "io.weight"
            knob.set_value(dir_fd, name, text, "block IO weight", f"{pointer}/weight")


def stats(dir_fd: int) -> dict[str, list[dict[str, Any]]]:
    """io.stat in v1's tables."""
    from pyruntime.cgroup import reading

    found: dict[str, list[dict[str, Any]]] = {}
    for line in (reading.text(dir_fd, "io.stat") or "").splitlines():
        node, *fields = line.split()
        major, _, minor = node.partition(":")
        for field in fields:
            name, _, value = field.partition("=")
            if name in COUNTED and value.isdecimal():
                table, operation = COUNTED[name]
                row = {
                    "major": int(major),
                    "minor": int(minor),
                    "op": operation,
                    "value": int(value),
                }
                found.setdefault(table, []).append(row)
    return found
