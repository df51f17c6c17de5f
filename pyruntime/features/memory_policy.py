"""linux.memoryPolicy (config-linux.md, Memory policy): from which NUMA nodes memory comes; set_mempolicy(2).

Set by the process itself, for nobody can do it for another, after it is in its cpuset, which limits the nodes, and in
its namespaces; no right is needed. It outlives clone and execve. Which flags go with which modes differs from kernel
to kernel, so that beyond what set_mempolicy(2) says of nodes the kernel judges.
"""

from __future__ import annotations

from errno import EINVAL, ENOSYS

from pyruntime.errors import StepError
from pyruntime.features.ranges import mask_of, words_of
from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.plan.step import Step, sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.spec.types import Config

PROPERTIES = ("linux.memoryPolicy",)

POINTER = "/linux/memoryPolicy"

MODES = {
    "MPOL_DEFAULT": lib.MPOL_DEFAULT,
    "MPOL_BIND": lib.MPOL_BIND,
    "MPOL_INTERLEAVE": lib.MPOL_INTERLEAVE,
    "MPOL_WEIGHTED_INTERLEAVE": lib.MPOL_WEIGHTED_INTERLEAVE,
    "MPOL_PREFERRED": lib.MPOL_PREFERRED,
    "MPOL_PREFERRED_MANY": lib.MPOL_PREFERRED_MANY,
    "MPOL_LOCAL": lib.MPOL_LOCAL,
}
FLAGS = {
    "MPOL_F_NUMA_BALANCING": lib.MPOL_F_NUMA_BALANCING,
    "MPOL_F_RELATIVE_NODES": lib.MPOL_F_RELATIVE_NODES,
    "MPOL_F_STATIC_NODES": lib.MPOL_F_STATIC_NODES,
}
WITHOUT_NODES = ("MPOL_DEFAULT", "MPOL_LOCAL")
NODES_OR_NOT = ("MPOL_PREFERRED",)  # without them it is the local node
EXCLUSIVE = ("MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES")
NEWER = {"MPOL_PREFERRED_MANY": "5.15", "MPOL_WEIGHTED_INTERLEAVE": "6.9"}


def rules(spec: Config) -> Iterator[tuple[str, str]]:
    policy = spec["linux"]["memoryPolicy"]
    mode = policy["mode"]
    try:
        nodes = mask_of(policy.get("nodes") or "")
    except ValueError as error:
        yield f"{POINTER}/nodes", f"invalid memory policy node: {error}"
    else:
        if nodes and mode in WITHOUT_NODES:
            yield f"{POINTER}/nodes", f"{mode} mode requires 0 nodes but got {nodes.bit_count()}"
        elif not nodes and mode not in WITHOUT_NODES + NODES_OR_NOT:
            yield f"{POINTER}/nodes", f"{mode} needs at least one node"
    if set(EXCLUSIVE).issubset(policy.get("flags") or ()):
        yield f"{POINTER}/flags", f"{' and '.join(EXCLUSIVE)} exclude each other"


def plan(spec: Config, site: Site) -> Iterator[Step]:
    policy = spec["linux"]["memoryPolicy"]
    mode, listed = policy["mode"], (policy.get("nodes") or "").strip(" ")
    number = MODES[mode]
    for flag in policy.get("flags") or ():
        number |= FLAGS[flag]
    nodes = words_of(mask_of(listed))
    # The kernel takes one bit less than it is told of (set_mempolicy(2), BUGS).
    room = (nodes, 8 * len(nodes) + 1) if nodes else (0, 0)
    text = f"set the memory policy {mode} {listed}".rstrip(" ")
    yield Step(
        moments.EXECUTION,
        POINTER,
        text,
        [sys(lib.NR_set_mempolicy, number, *room)],
        failure=lambda number, _: _refused(text, mode, number),
    )


def _refused(text: str, mode: str, number: int) -> StepError:
    hint = None
    if number == EINVAL and mode in NEWER:
        hint = f"{mode} came with Linux {NEWER[mode]}; nodes must have memory and be in the cpuset"
    elif number == EINVAL:
        hint = "nodes must have memory and be in the cpuset; not every flag goes with every mode"
    elif number == ENOSYS:
        hint = "the kernel is built without NUMA"
    return StepError(text, POINTER, errno=number, hint=hint)


def report() -> dict[str, Any]:
    return {"linux": {"memoryPolicy": {"modes": list(MODES), "flags": list(FLAGS)}}}
