"""linux.timeOffsets (config-linux.md, Offset for Time Namespace; time_namespaces(7)).

The kernel takes offsets only while no process is in the namespace: the host writes them between the stage's unshare
and its clone.
"""

from __future__ import annotations

import posix

from pyruntime.errors import StepError
from pyruntime.kernel.native import lib
from pyruntime.plan import messages, moments
from pyruntime.plan.step import SYNC, Step, builtin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.spec.types import Config

PROPERTIES = ("linux.timeOffsets",)

CLOCKS = {"monotonic": lib.CLOCK_MONOTONIC, "boottime": lib.CLOCK_BOOTTIME}
NANOSECONDS = 1_000_000_000


def rules(spec: Config) -> Iterator[tuple[str, str]]:
    linux = spec.get("linux", {})
    offsets = linux.get("timeOffsets", {})
    found = [entry for entry in linux.get("namespaces") or () if entry["type"] == "time"]
    if offsets and not found:
        yield "/linux/timeOffsets", "time offsets need a time namespace"
    if offsets and found and found[0].get("path"):
        yield "/linux/timeOffsets", "time offsets cannot be set in a time namespace that is joined"
    clocks: Any = offsets
    for name, offset in clocks.items():
        if name not in CLOCKS:
            yield f"/linux/timeOffsets/{name}", "the kernel has no offset for this clock"
        elif offset.get("nanosecs", 0) >= NANOSECONDS:
            yield f"/linux/timeOffsets/{name}/nanosecs", "a second or more"


def plan(spec: Config, site: Site) -> Iterator[Step]:
    offsets = spec.get("linux", {}).get("timeOffsets", {})
    if site.exec or not offsets:
        return
    clocks: Any = offsets
    lines = b"".join(
        b"%d %d %d\n" % (CLOCKS[name], value.get("secs", 0), value.get("nanosecs", 0))
        for name, value in clocks.items()
    )
    yield Step(
        moments.TIME_NAMESPACE,
        "/linux/timeOffsets",
        "set the time offsets",
        [builtin(SYNC, site.socket_fd, messages.SYNC)],
        run=lambda host: _write(host.pid, lines),
    )


def _write(pid: int, lines: bytes) -> None:
    try:
        fd = posix.open(f"/proc/{pid}/timens_offsets", posix.O_WRONLY | posix.O_CLOEXEC)
        try:
            posix.write(fd, lines)  # the kernel takes all lines of one write, or none
        finally:
            posix.close(fd)
    except OSError as error:
        number = error.errno or 0
        raise StepError("set the time offsets", "/linux/timeOffsets", errno=number) from error
