"""Making a container's group on a host with cgroup v2 alone.

The same steps as on v1 with one group, and one more: a group can limit only what its parents hand down, so
every controller the kernel has is handed down along the path, as far as the parents let us.
"""

from __future__ import annotations

import errno
import posix

from pyruntime import errors
from pyruntime.cgroup import detect, knob, location, tree
from pyruntime.cgroup.creation import ATTEMPTS, Vanished, Work
from pyruntime.cgroup.group import Cgroup, as_record
from pyruntime.cgroup.v2 import DOMAIN, attachment, devices, setters, unified

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pyruntime.cgroup.creation import Note


def prepare(
    layout: detect.Layout,
    cgroups_path: str | None,
    container_id: str,
    resources: Mapping[str, Any],
    note: Note,
    *,
    rootless: bool,
    owner: int | None,
    occupant: int = 0,
) -> Cgroup:
    """`owner` is the host's uid to give the group to."""
    limits = list(setters(resources))
    wants_domain = any(controller in DOMAIN for controller, _ in limits)
    hierarchy = layout.hierarchies[0]
    absolute, parts = location.inner(cgroups_path, container_id)
    place = location.components(layout, hierarchy, absolute, parts)
    for _ in range(ATTEMPTS):
        work = UnifiedWork(hierarchy, place, occupant, wants_domain=wants_domain)
        try:
            work.survey()
            cgroup = Cgroup("v2", [work.group])
            note({"kind": "cgroup", **as_record("v2", [work.group])})
            work.make()
            work.refuse_threaded()
            for controller, apply in limits:
                work.refuse_missing(controller)
                apply(work.fd, resources)
            work.attach_devices(resources, rootless=rootless)
            if resources.get("unified"):
                unified.apply(work.fd, resources)
            if owner is not None:
                from pyruntime.cgroup.v2 import ownership

                ownership.hand_over(work.fd, owner, rootless=rootless)
            cgroup.unified_fd, work.fd = work.fd, -1
            return cgroup
        except Vanished:
            continue
        finally:
            work.close()
    raise errors.StepError("create cgroup", location.POINTER, why="its parents keep vanishing")


class UnifiedWork(Work):
    """The one hierarchy, on whose way down controllers are handed on."""

    __slots__ = ("wants_domain",)

    def __init__(
        self,
        hierarchy: detect.Hierarchy,
        parts: list[str],
        occupant: int = 0,
        *,
        wants_domain: bool,
    ) -> None:
        super().__init__(hierarchy, parts, occupant)
        self.wants_domain = wants_domain

    def leave(self, above_fd: int) -> None:
        """Hands every controller of a group above down to its children. A refusal shows when a limit is
        set: the controller is missing then, which says more than which group held it back."""
        wanted = set(knob.read(above_fd, "cgroup.controllers").split())
        wanted.difference_update(knob.read(above_fd, "cgroup.subtree_control").split())
        if not wanted or _enabled(above_fd, sorted(wanted)):
            return
        for controller in sorted(wanted):
            _enabled(above_fd, [controller])

    def refuse_threaded(self) -> None:
        """Among processes of its parent a group becomes `domain invalid`; threaded is all it can be."""
        kind = knob.read(self.fd, "cgroup.type")
        if kind == "domain":
            return
        if self.wants_domain:
            raise errors.StepError(
                f"cannot enter cgroupv2 {self.group.directory} with domain controllers",
                location.POINTER,
                why=f"it is in {kind} mode",
            )
        if kind == "domain invalid":
            self._become_threaded()

    def _become_threaded(self) -> None:
        """From the top: a group can become threaded only beneath one that is."""
        fd = tree.open_mount(self.hierarchy.mountpoint, self.hierarchy.device)
        try:
            for part in self.group.parts:
                below = posix.open(part, tree.HANDLE, dir_fd=fd)
                posix.close(fd)
                fd = below
                if knob.read(fd, "cgroup.type") == "domain invalid":
                    knob.write(fd, "cgroup.type", "threaded")
        except OSError as error:
            raise self.failed(error) from error
        finally:
            posix.close(fd)

    def attach_devices(self, resources: Mapping[str, Any], *, rootless: bool) -> None:
        """Without its rules a container of root could use every device; who is not root may not load a program,
        and may not make a device node either."""
        try:
            attachment.attach(self.fd, devices.program(resources), fresh=self.group.made > 0)
        except OSError as error:
            number = error.errno or 0
            if rootless and number in (errno.EPERM, errno.EACCES):
                return
            raise errors.StepError(
                f"attach the device rules to {self.group.directory}",
                "/linux/resources/devices",
                errno=number,
            ) from error

    def refuse_missing(self, controller: str) -> None:
        if controller not in knob.read(self.fd, "cgroup.controllers").split():
            raise errors.UnsupportedError(
                f"a limit in linux.resources needs the {controller} controller, which"
                f" {self.group.directory} does not have",
                hint="it must be in cgroup.subtree_control of every group above",
            )


def _enabled(dir_fd: int, controllers: list[str]) -> bool:
    try:
        knob.write(dir_fd, "cgroup.subtree_control", " ".join("+" + name for name in controllers))
    except OSError:
        return False
    return True
