"""linux.resources.blockIO on v1. A weight of zero leaves alone; a throttle of zero lifts that throttle."""

from __future__ import annotations

from pyruntime.cgroup import knob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

THROTTLES = (
    ("throttleReadBpsDevice", "blkio.throttle.read_bps_device"),
    ("throttleWriteBpsDevice", "blkio.throttle.write_bps_device"),
    ("throttleReadIOPSDevice", "blkio.throttle.read_iops_device"),
    ("throttleWriteIOPSDevice", "blkio.throttle.write_iops_device"),
)
COUNTERS = ("bfq.", "", "throttle.")
COUNTED = (
    ("ioServiceBytesRecursive", "io_service_bytes"),
    ("ioServicedRecursive", "io_serviced"),
    ("ioQueueRecursive", "io_queued"),
    ("ioServiceTimeRecursive", "io_service_time"),
    ("ioWaitTimeRecursive", "io_wait_time"),
    ("ioMergedRecursive", "io_merged"),
    ("ioTimeRecursive", "time"),
    ("sectorsRecursive", "sectors"),
)
LISTS = ("weightDevice", *(key for key, _ in THROTTLES))


def asked(resources: Mapping[str, Any]) -> bool:
    block = resources["blockIO"]
    return bool(
        block.get("weight") or block.get("leafWeight") or any(block.get(key) for key in LISTS)
    )


def apply(dir_fd: int, resources: Mapping[str, Any]) -> None:
    block = resources["blockIO"]
    _weights(dir_fd, block)
    for key, name in THROTTLES:
        for index, row in enumerate(block.get(key) or ()):
            value = f"{row['major']}:{row['minor']} {row['rate']}"
            knob.set_value(dir_fd, name, value, name, f"/blockIO/{key}/{index}")


def _weights(dir_fd: int, block: Mapping[str, Any]) -> None:
    # The first pair went away with the CFQ scheduler (Linux 5.0); BFQ brought the second.
    weight_file = "blkio.weight" if knob.exists(dir_fd, "blkio.weight") else "blkio.bfq.weight"
    if weight := block.get("weight"):
        knob.set_value(dir_fd, weight_file, str(weight), "block IO weight", "/blockIO/weight")
    if leaf := block.get("leafWeight"):
        knob.set_value(
            dir_fd, "blkio.leaf_weight", str(leaf), "block IO leaf weight", "/blockIO/leafWeight"
        )
    for index, row in enumerate(block.get("weightDevice") or ()):
        node = f"{row['major']}:{row['minor']}"
        for key, name in (
            ("weight", weight_file + "_device"),
            ("leafWeight", "blkio.leaf_weight_device"),
        ):
            if value := row.get(key):
                pointer = f"/blockIO/weightDevice/{index}/{key}"
                knob.set_value(dir_fd, name, f"{node} {value}", name, pointer)


def stats(dir_fd: int) -> dict[str, list[dict[str, Any]]]:
    """From the first scheduler that counts, the throttling layer last: it counts whatever the scheduler is."""
    from pyruntime.cgroup import reading

    for prefix in COUNTERS:
        found = {}
        for key, name in COUNTED:
            text = reading.text(dir_fd, f"blkio.{prefix}{name}_recursive")
            if text is not None and (rows := entries(text)):
                found[key] = rows
        if found:
            return found
    return {}


def entries(text: str) -> list[dict[str, Any]]:
    """Lines `MAJOR:MINOR [OPERATION] NUMBER`; the last one, `Total NUMBER`, is of no device."""
    found = []
    for line in text.splitlines():
        node, *operation, value = line.split()
        major, colon, minor = node.partition(":")
        if colon:
            row = {"major": int(major), "minor": int(minor), "op": "".join(operation)}
            found.append(row | {"value": int(value)})
    return found
