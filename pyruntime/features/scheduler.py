"""process.scheduler (config.md, Linux process): policy, nice value, priority, deadline; sched(7), sched_setattr(2).

Set when no clone of ours comes any more, for a process under SCHED_DEADLINE may make none and what has
SCHED_FLAG_RESET_ON_FORK passes nothing on; and in the container's groups, which may have real-time bandwidth. The
right to most of it is CAP_SYS_NICE in the initial user namespace (or the caller's RLIMIT_NICE and RLIMIT_RTPRIO):
where the init has left that one the host, which may, does it by pid while the init waits.
"""

from __future__ import annotations

from _struct import Struct
from errno import EBUSY, EINVAL, EOPNOTSUPP, EPERM

from pyruntime.errors import SpecError, StepError
from pyruntime.kernel import calls
from pyruntime.kernel.native import lib
from pyruntime.plan import messages, moments
from pyruntime.plan.step import SYNC, Buffer, Step, builtin, sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyruntime.features.site import Site
    from pyruntime.spec.types import Config, ProcessScheduler

PROPERTIES = ("process.scheduler",)

POINTER = "/process/scheduler"

POLICIES = {
    "SCHED_OTHER": lib.SCHED_NORMAL,
    "SCHED_FIFO": lib.SCHED_FIFO,
    "SCHED_RR": lib.SCHED_RR,
    "SCHED_BATCH": lib.SCHED_BATCH,
    "SCHED_IDLE": lib.SCHED_IDLE,
    "SCHED_DEADLINE": lib.SCHED_DEADLINE,
}
FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": lib.SCHED_FLAG_RESET_ON_FORK,
    "SCHED_FLAG_RECLAIM": lib.SCHED_FLAG_RECLAIM,
    "SCHED_FLAG_DL_OVERRUN": lib.SCHED_FLAG_DL_OVERRUN,
    "SCHED_FLAG_KEEP_POLICY": lib.SCHED_FLAG_KEEP_POLICY,
    "SCHED_FLAG_KEEP_PARAMS": lib.SCHED_FLAG_KEEP_PARAMS,
    "SCHED_FLAG_UTIL_CLAMP_MIN": lib.SCHED_FLAG_UTIL_CLAMP_MIN,
    "SCHED_FLAG_UTIL_CLAMP_MAX": lib.SCHED_FLAG_UTIL_CLAMP_MAX,
}
REAL_TIME = ("SCHED_FIFO", "SCHED_RR")
DEADLINE = "SCHED_DEADLINE"
TIMES = ("runtime", "deadline", "period")
SHORTEST_NS, LONGEST_NS = 1024, (1 << 63) - 1  # sched(7)

# struct sched_attr: size, policy, flags, nice, priority, the three times, and the two clamps of Linux 5.3, which the
# specification has flags for and no values.
_ATTRIBUTES = Struct("<IIQiIQQQII")


def rules(spec: Config) -> Iterator[tuple[str, str]]:
    wanted = spec["process"]["scheduler"]
    policy, nice, priority = wanted["policy"], wanted.get("nice", 0), wanted.get("priority", 0)
    if policy not in POLICIES:
        yield f"{POINTER}/policy", f"no kernel implements {policy}"
        return
    if policy in REAL_TIME:
        if not 1 <= priority <= 99:
            yield f"{POINTER}/priority", f"{policy} needs a priority from 1 to 99"
    elif priority:
        yield f"{POINTER}/priority", "a priority is for SCHED_FIFO and SCHED_RR"
    if policy not in REAL_TIME and policy != DEADLINE and not -20 <= nice <= 19:
        yield f"{POINTER}/nice", "nice is -20 to 19"
    if policy == DEADLINE:
        yield from _deadline_rules(wanted)
        return
    for name in TIMES:
        if wanted.get(name):
            yield f"{POINTER}/{name}", f"{name} is for SCHED_DEADLINE"


def _deadline_rules(wanted: ProcessScheduler) -> Iterator[tuple[str, str]]:
    runtime, deadline = wanted.get("runtime", 0), wanted.get("deadline", 0)
    period = wanted.get("period", 0) or deadline  # so does the kernel read it
    if not SHORTEST_NS <= runtime <= deadline:
        yield f"{POINTER}/runtime", f"runtime is {SHORTEST_NS} ns or more, and not above deadline"
    if deadline > period:
        yield f"{POINTER}/deadline", "deadline is above period"
    if max(deadline, period) > LONGEST_NS:
        yield f"{POINTER}/period", f"no time may be above {LONGEST_NS} ns"


def plan(spec: Config, site: Site) -> Iterator[Step]:
    wanted = spec["process"]["scheduler"]
    if not site.exec:
        _refuse_hooks(spec, wanted)
    attributes = encoded(wanted)
    text = f"set the scheduler {wanted['policy']}"
    if site.has("user") and site.may_nice:
        yield Step(
            moments.SCHEDULER,
            POINTER,
            text,
            [builtin(SYNC, site.socket_fd, messages.SYNC)],
            run=lambda host: _by_pid(host.pid, attributes, wanted, site),
        )
    else:
        yield Step(
            moments.SCHEDULER,
            POINTER,
            text,
            [sys(lib.NR_sched_setattr, 0, Buffer(attributes), 0)],
            failure=lambda number, _: _refused(wanted, number, site, "container"),
        )


def encoded(wanted: ProcessScheduler) -> bytes:
    """struct sched_attr; what is not given is 0 (config.md)."""
    flags = 0
    for flag in wanted.get("flags") or ():
        flags |= FLAGS[flag]
    return _ATTRIBUTES.pack(
        _ATTRIBUTES.size,
        POLICIES[wanted["policy"]],
        flags,
        wanted.get("nice", 0),
        wanted.get("priority", 0),
        *[wanted.get(name, 0) for name in TIMES],
        0,
        0,
    )


def _refuse_hooks(spec: Config, wanted: ProcessScheduler) -> None:
    """startContainer hooks are run by the process itself, and under a deadline it may not fork."""
    if not spec.get("hooks", {}).get("startContainer") or wanted["policy"] != DEADLINE:
        return
    if "SCHED_FLAG_RESET_ON_FORK" not in (wanted.get("flags") or ()):
        why = "with startContainer hooks SCHED_DEADLINE needs SCHED_FLAG_RESET_ON_FORK"
        raise SpecError([(f"{POINTER}/flags", why, "")])


def _by_pid(pid: int, attributes: bytes, wanted: ProcessScheduler, site: Site) -> None:
    try:
        calls.sched_setattr(pid, attributes)
    except OSError as error:
        raise _refused(wanted, error.errno or 0, site, "host") from error


def _refused(wanted: ProcessScheduler, number: int, site: Site, side: str) -> StepError:
    policy = wanted["policy"]
    what, hint = f"set the scheduler {policy}", None
    if number == EPERM and not site.may_nice:
        hint = "it takes CAP_SYS_NICE in the initial user namespace, or limits like RLIMIT_RTPRIO"
    elif number == EPERM and policy == DEADLINE:
        what += ", which needs every CPU: process scheduler can't be used together with AllowedCPUs"
    elif number == EPERM and policy in REAL_TIME:
        hint = "a v1 cpu group has real-time bandwidth by linux.resources.cpu.realtimeRuntime only"
    elif number == EBUSY:
        hint = "the CPUs have too little real-time bandwidth left for this runtime and period"
    elif number == EINVAL and policy == DEADLINE:
        hint = "see the sysctls kernel.sched_deadline_period_min_us and _max_us for the period"
    elif number == EOPNOTSUPP:
        hint = "the kernel is built without CONFIG_UCLAMP_TASK"
    return StepError(what, POINTER, errno=number, hint=hint)
