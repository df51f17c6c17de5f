"""process.execCPUAffinity (config.md, Linux process): the CPUs of a process that joins a container.

`initial` is the runtime's own when it clones, for on cgroup v2 the clone is born in the container's group; `final` is
set as soon as the groups are joined. Neither has to do with the container's first process, whose affinity is reset
(features/session.py), as is that of a late one for which nothing is chosen. Where `initial` stands alone the rest is
the kernel's: nothing is touched after the move.
"""

from __future__ import annotations

import posix
from errno import EINVAL

from pyruntime.errors import StepError
from pyruntime.features.ranges import mask_of, members, words_of
from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.plan.step import Step, sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.plan.host import HostSide
    from pyruntime.spec.types import Config

PROPERTIES = ("process.execCPUAffinity",)

POINTER = "/process/execCPUAffinity"


def rules(spec: Config) -> Iterator[tuple[str, str]]:
    wanted: Any = spec["process"]["execCPUAffinity"]
    for name in ("initial", "final"):
        try:
            mask_of(wanted.get(name) or "")
        except ValueError as error:
            yield f"{POINTER}/{name}", str(error)


def plan(spec: Config, site: Site) -> Iterator[Step]:
    wanted = spec["process"]["execCPUAffinity"]
    initial, final = mask_of(wanted.get("initial") or ""), mask_of(wanted.get("final") or "")
    if not site.exec or not (initial or final):
        return
    site.affinity_chosen = True
    if initial:
        yield Step(
            moments.SOURCES,
            f"{POINTER}/initial",
            f"run on the CPUs {wanted['initial']}",
            run=lambda host: _start_on(initial, wanted["initial"], host),
        )
    if final:  # among the steps of this moment after those that join, which exec plans first
        words = words_of(final)
        yield Step(
            moments.JOIN_CGROUP,
            f"{POINTER}/final",
            f"run on the CPUs {wanted['final']}",
            [sys(lib.NR_sched_setaffinity, 0, len(words), words)],
            failure=lambda number, text: _refused("final", wanted["final"], number),
        )


def _start_on(mask: int, listed: str, host: HostSide) -> None:
    before = posix.sched_getaffinity(0)
    try:
        posix.sched_setaffinity(0, members(mask))
    except OSError as error:
        raise _refused("initial", listed, error.errno or 0) from error

    def restore() -> None:
        posix.sched_setaffinity(0, before)

    host.push(restore)
    host.after_spawn(restore)


def _refused(name: str, listed: str, number: int) -> StepError:
    hint = None
    if number == EINVAL:
        hint = "none of these CPUs is online and in the cpuset of the process"
    return StepError(f"run on the CPUs {listed}", f"{POINTER}/{name}", errno=number, hint=hint)
