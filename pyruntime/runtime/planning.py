"""The plan of a bundle for `pyruntime plan`: the first half of `create`, which has no effect on the host."""

from __future__ import annotations

from pyruntime.features import namespaces
from pyruntime.features.site import FIXED
from pyruntime.plan import describe, moments
from pyruntime.plan.step import Step
from pyruntime.runtime.create import Creation
from pyruntime.runtime.request import CreateRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.lib.log import Log
    from pyruntime.plan.host import HostSide

CONTAINER_ID = "<id>"
"""No id that a container can have."""


class Plan:
    """The steps of both sides, in order."""

    def __init__(self, creation: Creation) -> None:
        self.bundle = creation.bundle
        spawn = Step(moments.SPAWN, "/linux/namespaces", _spawn(creation.site), run=_nothing)
        # On cgroup v2 the init is born in its group: the step that joins it has nothing to do.
        steps = [step for step in creation.steps if step.ops or step.run is not None]
        self.steps = sorted([*steps, spawn], key=lambda step: step.moment)
        self.descriptors = _descriptors(creation.site)

    def lines(self) -> list[str]:
        return describe.lines(self.steps, self.descriptors)

    def document(self) -> dict[str, Any]:
        """{"id", "bundle", "steps": as from describe.document}"""
        steps = describe.document(self.steps, self.descriptors)
        return {"id": CONTAINER_ID, "bundle": self.bundle, "steps": steps}


def plan(bundle: str, given: dict[str, Any], log: Log) -> Plan:
    """Of a bundle's path; `given` are the global options. BundleError and SpecError as from create."""
    manager = "systemd" if given["systemd-cgroup"] else given["cgroup-manager"] or "cgroupfs"
    request = CreateRequest(
        given["root"], CONTAINER_ID, bundle, log=log, cgroup_manager=manager, as_root=True
    )
    return Plan(Creation(request))


def _spawn(site: Site) -> str:
    flags = describe.flags(namespaces.clone_flags(site), "clone")
    return f"spawn the init: clone3({flags})" if flags != "0" else "spawn the init: clone3()"


def _nothing(host: HostSide) -> None:
    """The spawn is no step, but shown as one."""


def _descriptors(site: Site) -> dict[int, str]:
    """The numbers under which the init finds what it is given."""
    names = ("tape", "socket", "start", "report", *site.handed)
    assert len(names) - len(site.handed) == FIXED
    standard = {0: "stdin", 1: "stdout", 2: "stderr"}
    return standard | {site.first_fd + index: f"@{name}" for index, name in enumerate(names)}
