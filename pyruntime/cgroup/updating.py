"""Changing the limits of a container that runs: all that is asked for, or nothing.

Every file that may be written is read first. When a write is refused, what is no longer as it was is written back, in
as many rounds as the files need that bound each other (memory and memory plus swap, quota and period).
"""

from __future__ import annotations

import posix

from pyruntime import errors
from pyruntime.cgroup import knob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pyruntime.cgroup.group import Cgroup
    from pyruntime.cgroup.systemd.scope import Limits
    from pyruntime.cgroup.v1 import Setter

    Limit = tuple[str, Setter]

FILES = {
    "memory": """memory.limit_in_bytes memory.memsw.limit_in_bytes memory.soft_limit_in_bytes memory.oom_control
        memory.swappiness memory.max memory.swap.max memory.low""",
    "cpu": """cpu.shares cpu.cfs_period_us cpu.cfs_quota_us cpu.cfs_burst_us cpu.idle cpu.rt_period_us
        cpu.rt_runtime_us cpu.weight cpu.max cpu.max.burst""",
    "cpuset": "cpuset.cpus cpuset.mems",
    "pids": "pids.max",
    "blkio": """blkio.weight blkio.bfq.weight blkio.leaf_weight blkio.weight_device blkio.bfq.weight_device
        blkio.leaf_weight_device blkio.throttle.read_bps_device blkio.throttle.write_bps_device
        blkio.throttle.read_iops_device blkio.throttle.write_iops_device""",
    "io": "io.weight io.bfq.weight io.max",
    "net_cls": "net_cls.classid",
    "net_prio": "net_prio.ifpriomap",
    "rdma": "rdma.max",
}
# Files of one row per device, and what lifts a row that was not there before.
ROWS = {
    "io.max": "rbps=max wbps=max riops=max wiops=max",
    "io.weight": "default",
    "io.bfq.weight": "default",
    "blkio.bfq.weight_device": "default",
    "blkio.weight_device": "0",
    "blkio.leaf_weight_device": "0",
    "blkio.throttle.read_bps_device": "0",
    "blkio.throttle.write_bps_device": "0",
    "blkio.throttle.read_iops_device": "0",
    "blkio.throttle.write_iops_device": "0",
    "net_prio.ifpriomap": "0",
    "rdma.max": "hca_handle=max hca_object=max",
}
ROUNDS = 4


def update(
    cgroup: Cgroup,
    resources: Mapping[str, Any],
    before: Mapping[str, Any],
    unit: Limits | None = None,
) -> None:
    """`resources` is linux.resources with what is to change, `before` what it was made of.

    Raises StepError with the property that was refused; every limit is what it was then. A systemd unit is told first:
    systemd writes the files as it understands the limits, and ours say more.
    """
    work = _Work(cgroup, resources)
    try:
        work.open()
        work.remember()
        try:
            if unit is not None:
                from pyruntime.cgroup.systemd.rewriting import Undone

                with Undone(cgroup, before):
                    unit.change(work.resources, before)
            work.apply()
        except BaseException as error:
            if unit is not None:
                with Undone(cgroup, before):
                    unit.change_back()
            kept = work.restore(before)
            if kept and isinstance(error, errors.PyruntimeError) and not error.hint:
                error.hint = f"these could not be put back: {' '.join(kept)}"
            raise
    finally:
        work.close()


class _Work:
    """One update: the groups it is about, and what their files said before."""

    def __init__(self, cgroup: Cgroup, resources: Mapping[str, Any]) -> None:
        self.cgroup = cgroup
        self.unified = cgroup.mode == "v2"
        self.resources = dict(resources)
        self.fds: dict[str, int] = {}  # by controller; "" is the unified group
        self.limits: list[Limit] = []
        self.old: list[tuple[int, str, str]] = []

    def open(self) -> None:
        resources = self.resources
        if self.unified:
            from pyruntime.cgroup.v2 import setters

            self.limits = list(setters(resources))
            self._open("", "")
            self._complete()
            for controller, _ in self.limits:
                self._refuse_missing(controller)
            return
        from pyruntime.cgroup.v1 import setters

        if resources.get("unified"):
            raise errors.StepError(
                "invalid configuration: cannot use unified on cgroup v1", "/linux/resources/unified"
            )
        self.limits = list(setters(resources))
        if _asks_for_a_cpuset(resources):
            self.limits.append(("cpuset", _set_cpuset))
        for controller, _ in self.limits:
            self._open(controller, controller)
        if "devices" in resources:
            self._open("devices", "devices")

    def _open(self, key: str, controller: str) -> None:
        group = self.cgroup.group(controller)
        if group is None:
            raise errors.UnsupportedError(
                f"a limit in linux.resources needs the {controller} controller, which is not mounted"
            )
        fd = group.open()
        if fd is None:
            raise errors.StepError(f"the container's cgroup {group.directory} is gone")
        self.fds[key] = fd

    def _of(self, controller: str) -> int:
        return self.fds["" if self.unified else controller]

    def _refuse_missing(self, controller: str) -> None:
        if controller not in knob.read(self.fds[""], "cgroup.controllers").split():
            raise errors.UnsupportedError(
                f"a limit in linux.resources needs the {controller} controller, which the container's"
                " group does not have"
            )

    def _complete(self) -> None:
        """v2 has one file for quota and period: what is not asked for stays as it is."""
        cpu = self.resources.get("cpu") or {}
        if bool(cpu.get("quota")) != bool(cpu.get("period")):
            self._refuse_missing("cpu")
            quota, period = knob.read(self.fds[""], "cpu.max").split()
            kept = {"quota": -1 if quota == "max" else int(quota), "period": int(period)}
            asked = {key: value for key, value in cpu.items() if value or key not in kept}
            self.resources["cpu"] = {**kept, **asked}

    def remember(self) -> None:
        for controller, _ in self.limits:
            for name in (*FILES.get(controller, "").split(), *self._sized(controller)):
                self._remember(self._of(controller), name)
        for name in self.resources.get("unified") or ():
            self._remember(self.fds[""], name)

    def _sized(self, controller: str) -> list[str]:
        """The files of hugetlb are named after the sizes."""
        if controller != "hugetlb":
            return []
        ending = "max" if self.unified else "limit_in_bytes"
        sizes = [row["pageSize"] for row in self.resources["hugepageLimits"]]
        return [f"hugetlb.{size}.{part}{ending}" for size in sizes for part in ("", "rsvd.")]

    def _remember(self, fd: int, name: str) -> None:
        try:
            self.old.append((fd, name, knob.read(fd, name)))
        except OSError:
            return  # not there, or for writing alone: the write will tell, or there is nothing to put back

    def apply(self) -> None:
        for controller, setter in self.limits:
            setter(self._of(controller), self.resources)
        if self.unified and self.resources.get("unified"):
            from pyruntime.cgroup.v2 import unified

            unified.apply(self.fds[""], self.resources)
        if "devices" in self.resources:
            self._set_devices(self.resources)

    def _set_devices(self, resources: Mapping[str, Any]) -> None:
        if self.unified:
            from pyruntime.cgroup.v2 import attachment
            from pyruntime.cgroup.v2 import devices as program

            try:
                attachment.attach(self.fds[""], program.program(resources), fresh=False)
            except OSError as error:
                raise errors.StepError(
                    "attach the device rules", "/linux/resources/devices", errno=error.errno or 0
                ) from error
        else:
            from pyruntime.cgroup.v1 import devices

            devices.apply(self.fds["devices"], resources, fresh=False)

    def restore(self, before: Mapping[str, Any]) -> list[str]:
        """Writes back what has changed; the names of what would not go back."""
        left = self.old
        for _ in range(ROUNDS):
            left = [row for row in left if not _put_back(*row)]
            if not left:
                break
        failed = [name for _, name, _ in left]
        if "devices" in self.resources:
            try:
                self._set_devices(before)
            except errors.StepError:
                failed.append("device rules")
        return failed

    def close(self) -> None:
        for fd in self.fds.values():
            posix.close(fd)


def _asks_for_a_cpuset(resources: Mapping[str, Any]) -> bool:
    cpu = resources.get("cpu") or {}
    return bool(cpu.get("cpus") or cpu.get("mems"))


def _set_cpuset(dir_fd: int, resources: Mapping[str, Any]) -> None:
    from pyruntime.cgroup.v1 import cpuset

    cpuset.apply(dir_fd, resources, cpuset.values(dir_fd))


def _put_back(dir_fd: int, name: str, old: str) -> bool:
    try:
        now = knob.read(dir_fd, name)
        if now == old:
            return True
        for value in _way_back(name, old, now):
            knob.write_plain(dir_fd, name, value)
        return knob.read(dir_fd, name) == old
    except OSError:
        return False


def _way_back(name: str, old: str, now: str) -> list[str]:
    if name == "memory.oom_control":
        return [old.split()[1]]
    if name not in ROWS or not (old + now).strip(" 0123456789"):
        return [old or "\n"]
    rows, others = _rows(old), _rows(now)
    lifted = [f"{key} {ROWS[name]}" for key in others if key not in rows]
    return lifted + [line for key, line in rows.items() if others.get(key) != line]


def _rows(text: str) -> dict[str, str]:
    return {line.partition(" ")[0]: line for line in text.split("\n") if line}
