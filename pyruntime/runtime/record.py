"""Makes the state record of a container; its shape is plan/record.py."""

from __future__ import annotations

import posix
import time

from pyruntime.lib import proc
from pyruntime.runtime.store import FORMAT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.plan.record import Record
    from pyruntime.spec.types import Config


def new_record(container_id: str, bundle: str, rootfs: str, spec: Config, version: str) -> Record:
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
