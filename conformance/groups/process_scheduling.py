"""process.scheduler, ioPriority, execCPUAffinity; linux.memoryPolicy."""

from __future__ import annotations

import os
from typing import Any

from conformance import scheduling
from conformance.catalogue import test
from conformance.claims import equal, not_created, not_started, skip
from conformance.place import Place
from tests.lib import exec_calls
from tests.lib.bundle import Bundle

GROUP = "process"
MILLISECOND = 1_000_000


def kernel_before(major: int, minor: int) -> bool:
    found = os.uname().release.split(".")[:2]
    return tuple(map(int, found)) < (major, minor)


def seen(place: Place, bundle: Bundle) -> scheduling.Attributes:
    """Of the program, while it waits."""
    with place.container(bundle.inside("wait")) as box:
        box.live()
        box.expect("wait")
        return scheduling.attributes(box.pid)


def realtime(place: Place, bundle: Bundle) -> Bundle:
    """On v1 a group has no real-time share of its own where the kernel groups real-time processes (RT_GROUP_SCHED)."""
    if os.path.exists("/sys/fs/cgroup/cpu/cpu.rt_runtime_us"):
        bundle.set("linux.resources.cpu", {"realtimePeriod": 1000000, "realtimeRuntime": 10000})
    return bundle


@test(
    requirements=(34,),
    leaves=("process.scheduler.policy", "process.scheduler.nice"),
    each=("SCHED_OTHER", "SCHED_BATCH", "SCHED_IDLE"),
)
def scheduler(place: Place, label: str) -> None:
    """config.md, Linux Process: policy represents the scheduling policy, nice affects priority with OTHER and BATCH."""
    if label == "SCHED_IDLE":
        found = seen(place, place.bundle().set("process.scheduler", {"policy": label}))
        equal(found.policy, scheduling.POLICIES[label], "policy")
        return
    found = seen(place, place.bundle().set("process.scheduler", {"policy": label, "nice": 7}))
    equal((found.policy, found.nice), (scheduling.POLICIES[label], 7), "policy and nice")


@test(requirements=(34,), leaves=("process.scheduler.nice",), each=("SCHED_OTHER", "SCHED_BATCH"))
def scheduler_without_nice(place: Place, label: str) -> None:
    """config.md, Linux Process: if nice is not set, the runtime must use the value 0, not its own."""
    own = os.getpriority(os.PRIO_PROCESS, 0)
    place.stack.callback(os.setpriority, os.PRIO_PROCESS, 0, own)
    os.setpriority(os.PRIO_PROCESS, 0, 3)
    found = seen(place, place.bundle().set("process.scheduler", {"policy": label}))
    equal((found.policy, found.nice), (scheduling.POLICIES[label], 0), "policy and nice")


@test(
    requirements=(34,),
    leaves=("process.scheduler.priority", "process.scheduler.policy"),
    each=("SCHED_FIFO", "SCHED_RR"),
)
def scheduler_priority(place: Place, label: str) -> None:
    """config.md, Linux Process: priority represents the static priority of the process, with FIFO and RR."""
    bundle = realtime(place, place.bundle()).set(
        "process.scheduler", {"policy": label, "priority": 13}
    )
    found = seen(place, bundle)
    equal((found.policy, found.priority), (scheduling.POLICIES[label], 13), "policy and priority")


@test(
    requirements=(34,),
    leaves=[f"process.scheduler.{name}" for name in ("runtime", "deadline", "period", "policy")],
)
def scheduler_deadline(place: Place) -> None:
    """config.md, Linux Process: runtime, deadline and period, in nanoseconds, with the policy SCHED_DEADLINE."""
    times = {"runtime": 2 * MILLISECOND, "deadline": 30 * MILLISECOND, "period": 50 * MILLISECOND}
    bundle = place.bundle().set("process.scheduler", {"policy": "SCHED_DEADLINE", **times})
    found = seen(place, bundle)
    equal(found.policy, scheduling.POLICIES["SCHED_DEADLINE"], "policy")
    equal((found.runtime, found.deadline, found.period), tuple(times.values()), "its three times")


@test(requirements=(34,), leaves=("process.scheduler.flags.*",), each=scheduling.FLAGS)
def scheduler_flags(place: Place, label: str) -> None:
    """config.md, Linux Process: flags is an array of strings that represent scheduling flags."""
    entry: dict[str, Any] = {"policy": "SCHED_BATCH", "flags": [label]}
    if label != "SCHED_FLAG_RESET_ON_FORK":
        entry.update(
            policy="SCHED_DEADLINE",
            runtime=2 * MILLISECOND,
            deadline=30 * MILLISECOND,
            period=50 * MILLISECOND,
        )
    found = seen(place, place.bundle().set("process.scheduler", entry))
    equal(found.flags & scheduling.FLAGS[label], scheduling.FLAGS[label], "the flag")


@test(
    requirements=(34, 44),
    leaves=("process.scheduler.policy", "process.scheduler.flags.*"),
    each=("policy", "flag", "nothing"),
)
def scheduler_that_cannot_be(place: Place, label: str) -> None:
    """config.md, Linux Process: policy is REQUIRED and one of the names given."""
    entries: dict[str, dict[str, Any]] = {
        "policy": {"policy": "SCHED_NONSENSE"},
        "flag": {"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_NONSENSE"]},
        "nothing": {"nice": 3},
    }
    with place.container(place.bundle().set("process.scheduler", entries[label])) as box:
        not_started(box, f"a wrong scheduler: {label}")


IO_CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}


@test(
    leaves=("process.ioPriority.class", "process.ioPriority.priority"),
    each=IO_CLASSES,
    requirements=(15,),
)
def io_priority(place: Place, label: str) -> None:
    """config.md, Linux Process: ioPriority.class and its priority, from 0 to 7."""
    facts = place.report(place.bundle().set("process.ioPriority", {"class": label, "priority": 5}))
    equal((facts.ioprio >> 13, facts.ioprio & 0x7), (IO_CLASSES[label], 5), "class and priority")


@test(leaves=("process.ioPriority.class",), requirements=(44,))
def io_priority_that_cannot_be(place: Place) -> None:
    """config.md, Linux Process: class is one of three names."""
    bundle = place.bundle().set(
        "process.ioPriority", {"class": "IOPRIO_CLASS_NONSENSE", "priority": 1}
    )
    with place.container(bundle) as box:
        not_started(box, "a class of IO priority that there is not")


def affinity(place: Place, entry: dict[str, str]) -> list[int]:
    """Of a process that is put into a running container."""
    if (os.cpu_count() or 1) < 2:
        skip("this host has one processor")
    bundle = place.bundle().set("process.execCPUAffinity", entry).inside("pause")
    with place.container(bundle) as box:
        box.live()
        box.expect("pause")
        cpus: list[int] = exec_calls.report(box).affinity
    return cpus


@test(leaves=("process.execCPUAffinity.initial",), requirements=(35,))
def exec_affinity_initial(place: Place) -> None:
    """config.md, Linux Process: initial is the list before the move to the container's cgroup; without final, the
    runtime SHOULD NOT change the process' CPU affinity after that."""
    if kernel_before(6, 2):
        skip("before Linux 6.2 a cpuset sets the affinity of whoever joins it")
    equal(affinity(place, {"initial": "1"}), [1], "processors of the process")
    equal(affinity(place, {"initial": "1", "final": ""}), [1], "the same with an empty final")


@test(leaves=("process.execCPUAffinity.final",), requirements=(35,))
def exec_affinity_final(place: Place) -> None:
    """config.md, Linux Process: final is the list after the move to the container's cgroup."""
    equal(affinity(place, {"initial": "0", "final": "1"}), [1], "processors of the process")
    equal(affinity(place, {"final": "1"}), [1], "the same without initial")


def policy_of(place: Place, entry: dict[str, Any]) -> str:
    """How /proc/PID/numa_maps names the policy of the program's memory."""
    bundle = place.bundle().set("linux.memoryPolicy", entry).inside("wait")
    with place.container(bundle) as box:
        box.live()
        box.expect("wait")
        path = f"/proc/{box.pid}/numa_maps"
        if not os.path.exists(path):
            skip("this kernel knows no memory policies")
        lines = [line.partition(" ")[2] for line in open(path).read().splitlines()]
    return str(next(line.partition(" stack")[0] for line in lines if " stack" in line))


MODES = {
    "MPOL_DEFAULT": "default",
    "MPOL_BIND": "bind:0",
    "MPOL_INTERLEAVE": "interleave:0",
    "MPOL_PREFERRED": "prefer:0",
    "MPOL_PREFERRED_MANY": "prefer (many):0",
    "MPOL_LOCAL": "local",
}


@test(
    leaves=("linux.memoryPolicy.mode", "linux.memoryPolicy.nodes"), requirements=(64,), each=MODES
)
def memory_policy(place: Place, label: str) -> None:
    """config-linux.md, Memory policy: mode and nodes, as of set_mempolicy(2)."""
    nodes = {} if label in ("MPOL_DEFAULT", "MPOL_LOCAL") else {"nodes": "0"}
    found = policy_of(place, {"mode": label, **nodes})
    equal(found, MODES[label], "policy")


@test(
    leaves=("linux.memoryPolicy.flags.*",),
    requirements=(64,),
    each=("MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"),
)
def memory_policy_flags(place: Place, label: str) -> None:
    """config-linux.md, Memory policy: flags, as of set_mempolicy(2)."""
    found = policy_of(place, {"mode": "MPOL_BIND", "nodes": "0", "flags": [label]})
    word = "static" if "STATIC" in label else "relative"
    equal(found, f"bind={word}:0", "policy")


BAD_POLICIES: dict[str, dict[str, Any]] = {
    "unknown mode": {"mode": "MPOL_NONSENSE"},
    "bind without nodes": {"mode": "MPOL_BIND"},
    "default with nodes": {"mode": "MPOL_DEFAULT", "nodes": "0"},
    "unknown flag": {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_NONSENSE"]},
    "both kinds of nodes": {
        "mode": "MPOL_BIND",
        "nodes": "0",
        "flags": ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"],
    },
    "no node there": {"mode": "MPOL_BIND", "nodes": "1023"},
    "words for nodes": {"mode": "MPOL_BIND", "nodes": "zero"},
    "no mode": {"nodes": "0"},
}


@test(
    requirements=(64,),
    leaves=[f"linux.memoryPolicy.{name}" for name in ("mode", "nodes", "flags.*")],
    each=BAD_POLICIES,
)
def memory_policy_that_cannot_be(place: Place, label: str) -> None:
    """config-linux.md, Memory policy: what set_mempolicy(2) refuses cannot be applied."""
    with place.container(place.bundle().set("linux.memoryPolicy", BAD_POLICIES[label])) as box:
        not_created(box, label)
