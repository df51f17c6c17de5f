"""process.ioPriority (config.md, Linux process): the I/O class and priority of the process; ioprio_set(2).

The process is alone in its process group when this is set, and whatever it makes later inherits it: that is the
group the specification speaks of. Only the real-time class needs a right (CAP_SYS_NICE or CAP_SYS_ADMIN in the
initial user namespace): where the process will be in another one its stage takes it, and the clone inherits it.
"""

from __future__ import annotations

from errno import EPERM

from pyruntime.errors import StepError
from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.plan.step import Step, sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyruntime.features.site import Site
    from pyruntime.spec.types import Config

PROPERTIES = ("process.ioPriority",)

POINTER = "/process/ioPriority"
LOWEST = 7

CLASSES = {
    "IOPRIO_CLASS_RT": lib.IOPRIO_CLASS_RT,
    "IOPRIO_CLASS_BE": lib.IOPRIO_CLASS_BE,
    "IOPRIO_CLASS_IDLE": lib.IOPRIO_CLASS_IDLE,
}


def rules(spec: Config) -> Iterator[tuple[str, str]]:
    if not 0 <= spec["process"]["ioPriority"].get("priority", 0) <= LOWEST:
        yield f"{POINTER}/priority", f"priority is 0 (highest) to {LOWEST} (lowest)"


def plan(spec: Config, site: Site) -> Iterator[Step]:
    wanted = spec["process"]["ioPriority"]
    name, level = wanted["class"], wanted.get("priority", 0)
    value = CLASSES[name] << lib.IOPRIO_CLASS_SHIFT | level
    text = f"set the I/O priority {name} {level}"
    yield Step(
        moments.RAISE_LIMITS if _needs_stage(name, site) else moments.EXECUTION,
        POINTER,
        text,
        [sys(lib.NR_ioprio_set, lib.IOPRIO_WHO_PROCESS, 0, value)],
        failure=lambda number, _: _refused(text, number),
    )


def _needs_stage(name: str, site: Site) -> bool:
    return name == "IOPRIO_CLASS_RT" and site.has("user")


def _refused(text: str, number: int) -> StepError:
    hint = None
    if number == EPERM:
        hint = "the real-time class needs CAP_SYS_NICE in the initial user namespace"
    return StepError(text, POINTER, errno=number, hint=hint)
