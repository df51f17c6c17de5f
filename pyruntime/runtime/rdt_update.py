"""`update` of what a container gets of caches and memory bandwidth: the lines of its resctrl group's schemata.

A container without linux.intelRdt gets a group then, named like it, and all its tasks move there; runc moves the init
alone. Where a group is shared (closID), the lines are changed for all who share it, as by runc.
"""

from __future__ import annotations

import posix
from errno import ENOENT, ESRCH

from pyruntime import resctrl
from pyruntime.cgroup import driver
from pyruntime.errors import StepError, UnsupportedError
from pyruntime.features import intel_rdt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.plan.record import Record
    from pyruntime.runtime.store import Entry
    from pyruntime.spec.types import Config, LinuxIntelRdt

ROUNDS = 16
# Key of linux.intelRdt: who can do it, in runc's words, and the resources whose directory in info/ tells.
NEEDS = {
    "l3CacheSchema": ("Intel RDT/CAT: l3 cache schema", ("L3", "L3CODE")),
    "memBwSchema": ("Intel RDT/MBA: memory bandwidth schema", ("MB",)),
}


class Resharing:
    """One change: `apply` may be taken back by `undo` until the caller has kept the configuration."""

    def __init__(self, entry: Entry, config: Config, wanted: LinuxIntelRdt) -> None:
        self.entry = entry
        self.wanted = wanted
        self.before: LinuxIntelRdt | None = config["linux"].get("intelRdt")
        self.name, _ = intel_rdt.groups_of(self.before or {}, entry.id)
        self.made = False
        self.old: list[str] = []

    def apply(self, record: Record) -> None:
        """StepError, UnsupportedError; nothing is changed then."""
        with _enabled(self.wanted) as groups:
            lines = intel_rdt.lines(self.wanted)
            if groups.has(self.name):
                touched = resctrl.parse_schemata("\n".join(lines))
                have = groups.schemata(self.name)
                self.old = [line for line in have if line.partition(":")[0] in touched]
            elif self.before is None:
                self._make(groups)
            else:
                raise StepError(f"resctrl group `{self.name}`", resctrl.POINTER, errno=ENOENT)
            try:
                groups.write_schemata(self.name, lines)
                if self.made:
                    _assign_all(groups, self.name, record)
            except BaseException:
                self._undo(groups)
                raise

    def undo(self) -> None:
        with resctrl.need() as groups:
            self._undo(groups)

    def _make(self, groups: resctrl.Groups) -> None:
        if not intel_rdt.is_name(self.name):
            raise StepError(
                f"the container's id `{self.name}` is the name of no resctrl group", resctrl.POINTER
            )
        self.entry.note({"kind": "resctrl", "group": self.name, "made": True, "monitor": ""})
        groups.make(self.name)
        self.made = True

    def _undo(self, groups: resctrl.Groups) -> None:
        if self.made:
            groups.remove(self.name)  # its tasks go back to the group above
        else:
            groups.write_schemata(self.name, self.old)


def _enabled(wanted: LinuxIntelRdt) -> resctrl.Groups:
    """The file system, if it has what is asked for."""
    groups = resctrl.need()
    for key in wanted:
        words, resources = NEEDS[key]
        if not any(groups.has("info", resource) for resource in resources):
            posix.close(groups.fd)
            raise UnsupportedError(f"{words} is not enabled", f"{resctrl.POINTER}/{key}")
    return groups


def _assign_all(groups: resctrl.Groups, name: str, record: Record) -> None:
    """Every thread of every process; what is started meanwhile is in its parent's group or found by the next round."""
    moved: set[int] = set()
    for _ in range(ROUNDS):
        pids = driver.pids(record["cgroup"]) if record.get("cgroup") else [record["pid"]]
        new = {task for pid in pids for task in _tasks(pid)} - moved
        if not new:
            return
        for task in new:
            try:
                groups.assign(task, name)
            except StepError as error:
                if error.errno != ESRCH:
                    raise
        moved |= new


def _tasks(pid: int) -> list[int]:
    try:
        return [int(name) for name in posix.listdir(f"/proc/{pid}/task")]
    except FileNotFoundError:
        return []
