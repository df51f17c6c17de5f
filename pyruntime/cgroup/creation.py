"""Making a container's groups: directories, limits, and the descriptors to join by.

Order: see what exists → write the holding → make the directories → set the limits and device rules → open the
join files. Nothing joins before its limits stand. A failure leaves what was made to whoever reads the holding
back; there is one tidy-up path, and this module is not it.
"""

from __future__ import annotations

import errno
import posix

from pyruntime import errors
from pyruntime.cgroup import detect, knob, location, pause, tree
from pyruntime.cgroup.group import Cgroup, Group, as_record
from pyruntime.cgroup.v1 import cpuset, devices, setters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from pyruntime.cgroup.v1 import Setter

    Note = Callable[[dict[str, Any]], None]

# Two creates may share a missing parent, and a delete may take it away between our look and our mkdir.
ATTEMPTS = 5


def prepare(
    layout: detect.Layout,
    cgroups_path: str | None,
    container_id: str,
    resources: Mapping[str, Any],
    note: Note,
    *,
    rootless: bool,
    occupant: int = 0,
    lean: bool = False,
) -> Cgroup:
    """Makes the groups and sets the limits; `note` takes the holding before the first directory exists. `lean`: with
    one hierarchy's descriptors at a time, and none to join by."""
    limits = list(setters(resources))
    _refuse_what_v1_lacks(layout, resources, limits)
    absolute, parts = location.inner(cgroups_path, container_id)
    places = [(row, location.components(layout, row, absolute, parts)) for row in layout.joined()]
    for _ in range(ATTEMPTS):
        works: list[Work] = []
        cgroup = Cgroup(layout.mode, [])
        try:
            for hierarchy, place in places:
                works.append(Work(hierarchy, place, occupant))
                works[-1].survey()
                if lean:
                    works[-1].close()
            cgroup.groups = [work.group for work in works]
            note({"kind": "cgroup", **as_record(layout.mode, cgroup.groups)})
            for work in works:
                if lean:
                    work.survey()
                work.make()
                _furnish(cgroup, work, resources, limits, rootless=rootless, lean=lean)
                if lean:
                    work.close()
            return cgroup
        except Vanished:
            cgroup.close()
        except BaseException:
            cgroup.close()
            raise
        finally:
            for work in works:
                work.close()
    raise errors.StepError("create cgroup", location.POINTER, why="its parents keep vanishing")


class Vanished(Exception):
    """A directory we had seen or made was removed by somebody else: look again."""


class Work:
    """One hierarchy on its way from what is there to the container's group.

    `fd` is a handle on the deepest directory of the path that exists. `above` are the processors and
    memory nodes of the directory before it (cpuset alone has to do with the groups above). With an `occupant`, a
    process, somebody made the group for us, and it may be in there.
    """

    __slots__ = ("hierarchy", "group", "fd", "above", "occupant", "there")

    def __init__(self, hierarchy: detect.Hierarchy, parts: list[str], occupant: int = 0) -> None:
        self.hierarchy = hierarchy
        self.group = Group(hierarchy.name, hierarchy.mountpoint, "/" + "/".join(parts), len(parts))
        self.fd = -1
        self.above: dict[str, str] = {}
        self.occupant = occupant
        self.there = False

    def survey(self) -> None:
        """Goes down as far as directories exist; an existing group must be empty and thawed."""
        parts = self.group.parts
        self.group.made, self.above = len(parts), {}
        self.fd = tree.open_mount(self.hierarchy.mountpoint, self.hierarchy.device)
        try:
            for part in parts:
                below = tree.enter(self.fd, part)
                if below is None:
                    return
                self._down(below)
                self.group.made -= 1
        except OSError as error:
            raise self.failed(error) from error
        self._refuse_in_use()
        if self.occupant:
            self.group.made, self.there = 1, True

    def make(self) -> None:
        """Makes what is missing."""
        group = self.group
        if self.there:
            return
        for part in group.parts[len(group.parts) - group.made :]:
            try:
                try:
                    posix.mkdir(part, 0o755, dir_fd=self.fd)
                except FileExistsError:
                    if part is group.parts[-1]:
                        raise
                self._down(posix.open(part, tree.HANDLE, dir_fd=self.fd))
            except OSError as error:
                raise self.failed(error) from error

    def close(self) -> None:
        if self.fd >= 0:
            posix.close(self.fd)
            self.fd = -1

    def failed(self, error: OSError) -> Exception:
        if error.errno in knob.GONE:
            return Vanished()
        number = error.errno or 0
        return errors.StepError(
            f"create cgroup {self.group.path} in {self.hierarchy.title}",
            location.POINTER,
            errno=number,
        )

    def leave(self, above_fd: int) -> None:
        """What has to be done in a directory above the group before it is left behind."""
        if "cpuset" in self.hierarchy.controllers:
            above = self.above
            self.above = cpuset.inherit(above_fd, above) if above else cpuset.values(above_fd)

    def _down(self, below: int) -> None:
        above_fd, self.fd = self.fd, below
        try:
            self.leave(above_fd)
        finally:
            posix.close(above_fd)

    def _refuse_in_use(self) -> None:
        inside = [pid for fd in tree.every(self.fd) for pid in knob.processes(fd)]
        count = len([pid for pid in inside if pid != self.occupant])
        if count:
            raise errors.StepError(
                f"container's cgroup is not empty: {count} process(es) found", location.POINTER
            )
        if pause.is_frozen_at(self.fd, unified=self.hierarchy.unified):
            raise errors.StepError("container's cgroup unexpectedly frozen", location.POINTER)


def _furnish(
    cgroup: Cgroup,
    work: Work,
    resources: Mapping[str, Any],
    limits: list[tuple[str, Setter]],
    *,
    rootless: bool,
    lean: bool,
) -> None:
    """Limits and join file of one hierarchy."""
    controllers = work.hierarchy.controllers
    try:
        if work.hierarchy.unified:
            cgroup.unified_fd, work.fd = work.fd, -1
            return
        if "cpuset" in controllers:
            cpuset.apply(work.fd, resources, work.above)
        for controller, apply in limits:
            if controller in controllers:
                apply(work.fd, resources)
        if "devices" in controllers:
            _set_devices(work, resources, rootless=rootless)
        if lean:
            return
        cgroup.task_fds.append(
            posix.open("tasks", posix.O_WRONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW, dir_fd=work.fd)
        )
    except OSError as error:
        raise work.failed(error) from error


def _set_devices(work: Work, resources: Mapping[str, Any], *, rootless: bool) -> None:
    """The controller takes rules from the host's root alone; who is not may not make a device node either."""
    try:
        devices.apply(work.fd, resources, fresh=work.group.made > 0)
    except errors.StepError as error:
        if not rootless or error.errno != errno.EPERM:
            raise


def _refuse_what_v1_lacks(
    layout: detect.Layout, resources: Mapping[str, Any], limits: list[tuple[str, Setter]]
) -> None:
    if layout.controller("devices") is None:
        raise errors.UnsupportedError(
            "the devices controller is not mounted, and without it a container may use every device"
        )
    if resources.get("unified"):
        raise errors.StepError(
            "invalid configuration: cannot use unified on cgroup v1", "/linux/resources/unified"
        )
    for controller, _ in limits:
        if layout.controller(controller) is None:
            raise errors.UnsupportedError(
                f"a limit in linux.resources needs the {controller} controller, which is not mounted"
            )
