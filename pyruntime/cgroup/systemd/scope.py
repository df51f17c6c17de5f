"""A container's unit: planned before anything has an effect, started with the init in it, changed and stopped.

The holding of a unit is {"kind": "systemd", "unit", "user", "description"}. The description, which `systemctl status`
shows, has a number of its own in it: so nobody stops a unit of the same name that another container has.
"""

from __future__ import annotations

import posix
from typing import TYPE_CHECKING, Any

from pyruntime import errors
from pyruntime.cgroup import detect, knob
from pyruntime.cgroup.systemd import devices, names, properties, service, variants

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyruntime.cgroup.detect import Layout
    from pyruntime.cgroup.group import Cgroup


class Scope:
    """What is known of the unit before it exists; `path` is where its group will stand in every hierarchy."""

    def __init__(
        self,
        layout: Layout,
        cgroups_path: str | None,
        container_id: str,
        annotations: Mapping[str, str],
        *,
        user: bool,
    ) -> None:
        if user and layout.mode != "v2":
            raise errors.UnsupportedError(
                "the systemd of an ordinary user has no limits to give but on cgroup v2",
                hint="without --systemd-cgroup a container runs without them",
            )
        self.user = user
        self.unit = names.unit(cgroups_path, container_id, user=user)
        self.extra = variants.properties(annotations)
        self.description = f"pyruntime container {container_id} ({posix.urandom(4).hex()})"
        self.bus = service.connect(user=user)
        self.version = service.version(self.bus)
        self.path = service.control_group(self.bus) + self.unit.path

    @property
    def record(self) -> dict[str, Any]:
        """For the state record and the holding: all that later verbs need."""
        return {"unit": self.unit.name, "user": self.user, "description": self.description}

    def prepare(
        self,
        layout: Layout,
        resources: Mapping[str, Any],
        pid: int,
        note: Callable[[dict[str, Any]], None],
        prepare: Callable[..., Cgroup],
    ) -> Cgroup:
        """Starts the unit with process `pid` in it; `prepare` sets the limits as without systemd."""
        unified = layout.mode == "v2"
        wanted = properties.of_unit(self.unit, self.description, pid, unified=unified)
        wanted += self.extra
        limits = {**resources, "devices": resources.get("devices") or []}
        wanted += of_limits(limits, unified=unified, version=self.version, user=self.user)
        note({"kind": "systemd", **self.record})
        service.start(self.bus, self.unit, wanted)
        found = service.group_of(self.bus, self.unit)
        self.bus.close()
        if found != self.path:
            raise errors.StepError(
                f"systemd put unit {self.unit.name} into cgroup {found} and not into {self.path}",
                names.POINTER,
            )
        cgroup = prepare(occupant=pid)
        cgroup.unit = self.record
        try:
            self._move(cgroup, pid)
        finally:
            cgroup.close()
        return cgroup

    def _move(self, cgroup: Cgroup, pid: int) -> None:
        """Into the hierarchies systemd leaves alone; into a slice, which takes in no process by itself."""
        try:
            for fd in cgroup.task_fds:
                posix.write(fd, b"%d" % pid)
            if cgroup.unified_fd is not None and pid not in knob.processes(cgroup.unified_fd):
                knob.write(cgroup.unified_fd, "cgroup.procs", str(pid))
        except OSError as error:
            number = error.errno or 0
            raise errors.StepError(
                f"move the init into {self.path}", names.POINTER, errno=number
            ) from error


def of_limits(
    resources: Mapping[str, Any], *, unified: bool, version: int, user: bool
) -> list[properties.Property]:
    """A user's service manager cannot keep anybody from devices, and is not asked to."""
    found = list(properties.of_resources(resources, unified=unified, version=version))
    if not user and "devices" in resources:
        drivers = detect.read_proc("/proc/devices")
        found += devices.properties(resources, drivers, unified=unified)
    return found


class Limits:
    """The limits of a unit that runs, as its record names it, for `update`."""

    def __init__(self, kept: Mapping[str, Any]) -> None:
        self.unified = kept["mode"] == "v2"
        self.unit = kept["systemd"]
        self.bus = service.connect(user=self.unit["user"])
        self.version = service.version(self.bus)
        self.undo: list[properties.Property] = []

    def change(self, resources: Mapping[str, Any], before: Mapping[str, Any]) -> None:
        """`before`: linux.resources so far, for `change_back`, and for quota and period, which need one another."""
        wanted = self._properties({**resources, "cpu": _completed(resources, before)})
        if "devices" in resources:
            before = {**before, "devices": before.get("devices") or []}
        rows = self._properties(before)
        old = dict(rows)
        if "devices" in resources:  # a list in two parts
            self.undo = [row for row in rows if row[0] == "DeviceAllow"]
        for name, (kind, _) in wanted:
            if name != "DeviceAllow":
                self.undo.append((name, old.get(name) or properties.unset(name, kind)))
        if wanted:
            service.change(self.bus, self.unit["unit"], wanted)

    def change_back(self) -> None:
        """As far as it can be done: the files say what holds now, and are put back by themselves."""
        if self.undo:
            try:
                service.change(self.bus, self.unit["unit"], self.undo)
            except errors.StepError:
                pass

    def _properties(self, resources: Mapping[str, Any]) -> list[properties.Property]:
        return of_limits(
            resources, unified=self.unified, version=self.version, user=self.unit["user"]
        )


def _completed(resources: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    cpu, old = resources.get("cpu") or {}, before.get("cpu") or {}
    if not (cpu.get("quota") or cpu.get("period")):
        return cpu
    return {**cpu, **{key: cpu.get(key) or old.get(key, 0) for key in ("quota", "period")}}


def release(holding: Mapping[str, Any]) -> None:
    """Stops the unit; its group was emptied and removed before."""
    bus = service.connect(user=holding["user"])
    try:
        service.stop(bus, holding["unit"], holding["description"])
    finally:
        bus.close()
