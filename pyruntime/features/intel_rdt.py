"""linux.intelRdt (config-linux.md, IntelRdt): the resctrl group the container's processes belong to.

Without closID the group is named like the container and is ours: made here, removed with it. A named one is made only
where schemata are given for it, must match them if it exists, and stays. A container that wants monitoring gets a
monitoring group in its group, which is always its own. Where intelRdt is not set nothing here runs.

`exec` puts its process into the same groups (runc into the first alone), unless they are gone: then nobody of the
container is in them either.
"""

from __future__ import annotations

from errno import EEXIST, ENOENT

from pyruntime import resctrl
from pyruntime.errors import PyruntimeError, StepError
from pyruntime.plan import moments
from pyruntime.plan.step import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.plan.host import HostSide
    from pyruntime.spec.types import Config, LinuxIntelRdt

PROPERTIES = ("linux.intelRdt",)

POINTER = resctrl.POINTER
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
NAME_LETTERS = frozenset(ALPHABET + "_+-.:@")
LINE_LETTERS = frozenset(ALPHABET + "_:;=,.* ")
"""All that names and lines of resctrl are made of; a line break would be a second line (security: R-25)."""
NAME_LIMIT = 255  # bytes
NO_LINE = "not a line of schemata, such as `L3:0=7f0;1=1f`"


def rules(spec: Config) -> Iterator[tuple[str, str]]:
    rdt = spec["linux"].get("intelRdt", {})
    name = rdt.get("closID")
    if name and name != resctrl.ROOT and not is_name(name):
        yield f"{POINTER}/closID", "not the name of a resctrl group"
    for key in ("l3CacheSchema", "memBwSchema"):
        if rdt.get(key) and not _is_line(rdt[key]):
            yield f"{POINTER}/{key}", NO_LINE
    for index, line in enumerate(rdt.get("schemata") or ()):
        if not _is_line(line):
            yield f"{POINTER}/schemata/{index}", NO_LINE


def is_name(text: str) -> bool:
    """Whether a resctrl group may be called so."""
    return (
        len(text) <= NAME_LIMIT and NAME_LETTERS.issuperset(text) and text not in resctrl.RESERVED
    )


def _is_line(text: str) -> bool:
    return LINE_LETTERS.issuperset(text) and text.find(":") > 0


def plan(spec: Config, site: Site) -> Iterator[Step]:
    rdt = spec["linux"].get("intelRdt", {})
    name, monitor = groups_of(rdt, site.container_id)
    if name != resctrl.ROOT and not is_name(name):
        raise StepError(
            "intelRdt without closID",
            POINTER,
            why=f"the container's id `{name}` is the name of no resctrl group",
        )
    if not site.exec:
        yield Step(
            moments.CGROUP,
            POINTER,
            f"make the resctrl group `{name}`",
            run=lambda host: _make(rdt, name, monitor, host),
        )
    yield Step(
        moments.IDENTITY,
        POINTER,
        f"join the resctrl group `{name}`",
        run=lambda host: _join(name, monitor, host, exec_=site.exec),
    )


def groups_of(rdt: LinuxIntelRdt, container_id: str) -> tuple[str, str]:
    """(group, monitoring group in it or "")."""
    return rdt.get("closID") or container_id, container_id if rdt.get("enableMonitoring") else ""


def stats(spec: Config, container_id: str) -> dict[str, Any]:
    """For `events`; nothing where nothing was asked for, or is there any more."""
    rdt = spec.get("linux", {}).get("intelRdt")
    groups = None if rdt is None else resctrl.find()
    if rdt is None or groups is None:
        return {}
    with groups:
        name, monitor = groups_of(rdt, container_id)
        return groups.stats(name, monitor) if groups.has(name) else {}


def lines(rdt: LinuxIntelRdt) -> list[str]:
    """What is written to schemata, in the order the specification asks for."""
    given = [rdt.get("l3CacheSchema"), rdt.get("memBwSchema"), *(rdt.get("schemata") or ())]
    return [line for line in given if line]


def _make(rdt: LinuxIntelRdt, name: str, monitor: str, host: HostSide) -> None:
    wanted, named = lines(rdt), bool(rdt.get("closID"))
    with resctrl.need() as groups:
        exists = groups.has(name)
        if not exists and named and not wanted:
            raise _refused(
                f"resctrl group `{name}`", "closID", "without schemata it must exist", ENOENT
            )
        if monitor and groups.has(name, "mon_groups", monitor):
            what = f"monitoring group `{monitor}`"
            raise _refused(what, "enableMonitoring", "it must be the container's own", EEXIST)
        made = not exists and not named
        if made or monitor:
            host.note({"kind": "resctrl", "group": name, "made": made, "monitor": monitor})
        if not exists:
            groups.make(name)
        if not exists and named:
            host.push(lambda: _take_back(name, host.complaints))
        if exists:
            groups.compare_schemata(name, wanted)
        else:
            groups.write_schemata(name, wanted)
        if monitor:
            groups.make(name, "mon_groups", monitor)


def _take_back(name: str, complaints: list[str]) -> None:
    """A named group of a creation that failed, unless somebody has come to use it."""
    try:
        with resctrl.need() as groups:
            if not groups.tasks(name):
                groups.remove(name)
    except FileNotFoundError:
        pass  # somebody was faster
    except (PyruntimeError, OSError) as error:
        complaints.append(f"resctrl group `{name}` is left: {error}")


def _join(name: str, monitor: str, host: HostSide, *, exec_: bool) -> None:
    """A process counts apart only among the tasks of the group, so that one comes first."""
    groups = resctrl.find() if exec_ else resctrl.need()
    if groups is None:
        return
    with groups:
        for path in ((name,), (name, "mon_groups", monitor))[: 2 if monitor else 1]:
            if not exec_ or groups.has(*path):
                groups.assign(host.pid, *path)


def _refused(what: str, key: str, why: str, number: int) -> StepError:
    pointer = f"{POINTER}/{key}"
    return StepError(what, pointer, errno=number, why=why)


def report() -> dict[str, Any]:
    return {"linux": {"intelRdt": {"enabled": True, "schemata": True, "monitoring": True}}}
