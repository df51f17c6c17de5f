"""The state record of a container: what create writes and every other verb reads.

{"format", "ociVersion", "id", "bundle", "rootfs", "status": creating|created|starting|running, "pid", "startTime"
(clock ticks since boot), "pidfdInode" (Linux 6.9: the process's own), "clockOffset" (nanoseconds the creator's time
namespace adds to the time since boot), "bootId", "initExe": [st_dev, st_ino] of the init's memfd, "created" (RFC 3339), "uid",
"annotations", "cgroup" (opaque, of pyruntime.cgroup), "pidNamespace": has one of its own, "keyring": has a session keyring
of its own, "process": config.json has one, without which start is refused}
"""

from __future__ import annotations

import posix
import time

from pyruntime.lib import proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FORMAT = 1


def new_record(
    container_id: str, bundle: str, rootfs: str, spec: dict[str, Any], version: str
) -> dict[str, Any]:
    """A record of status `creating`, before anything exists."""
    return {
        "format": FORMAT,
        "ociVersion": version,
        "id": container_id,
        "bundle": bundle,
        "rootfs": rootfs,
        "status": "creating",
        "pid": 0,
        "startTime": 0,
        "pidfdInode": 0,
        "clockOffset": proc.clock_offset(),
        "bootId": proc.boot_id(),
        "initExe": [0, 0],
        "created": timestamp(),
        "uid": posix.geteuid(),
        "annotations": spec.get("annotations") or {},
        "cgroup": None,
        "pidNamespace": False,
        "keyring": True,
        "process": bool(spec.get("process")),
    }


def timestamp() -> str:
    """Now as RFC 3339 with nanoseconds, in UTC."""
    seconds, rest = divmod(time.time_ns(), 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:09d}Z"
