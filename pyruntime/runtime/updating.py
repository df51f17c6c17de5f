"""`update`: other limits for a container that runs (linux.resources of config-linux.md; runc's flags).

A value of zero, and what is absent, is left alone: engines send their unset fields as zeros. The cgroups change
all or nothing, and then the saved configuration, which is on the disk by then (security: R-39).
"""

from __future__ import annotations

from pyruntime import errors
from pyruntime.cgroup import driver
from pyruntime.runtime import status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyruntime.lib.log import Log
    from pyruntime.plan.record import Record
    from pyruntime.runtime.rdt_update import Resharing
    from pyruntime.runtime.store import Entry
    from pyruntime.spec.types import LinuxIntelRdt


# Of which zero is a value, as the controllers take it.
ZEROS = ("cpu/burst", "cpu/idle", "pids/limit")


def check(resources: dict[str, Any], rdt: Any) -> None:
    """BundleError with every mistake that can be seen without the container."""
    findings = list(driver.rules(resources, changing=True))
    if rdt:
        from pyruntime.features import intel_rdt

        findings += intel_rdt.rules({"ociVersion": "", "linux": {"intelRdt": rdt}})
    if findings:
        raise errors.BundleError(
            errors.list_findings([(pointer, why, "") for pointer, why in findings], "the resources")
        )


def reach(record: Record) -> None:
    """Re-executes in the full interpreter if D-Bus is needed. Must be called before any side effect."""
    driver.reach_for(record.get("cgroup"))


def update(entry: Entry, resources: dict[str, Any], rdt: LinuxIntelRdt, log: Log) -> None:
    """Changes what `resources` asks for, and with `rdt` these properties of linux.intelRdt; the caller holds the
    lock."""
    record = entry.read_record()
    if status.status(record, entry) == "stopped":
        raise errors.WrongStatus(record["id"], errors.WORDS["not running"])
    if not record.get("cgroup"):
        raise errors.UnsupportedError(
            "a container without a cgroup of its own has no limits to update"
        )
    config = entry.config()
    linux: Any = config.setdefault("linux", {})
    before = linux.get("resources") or {}
    wanted, warnings = driver.effective(resources, record["cgroup"]["mode"])
    for text in warnings:
        log.warning(text)
    shares = None
    if rdt:
        from pyruntime.runtime.rdt_update import Resharing

        shares = Resharing(entry, config, rdt)
        linux["intelRdt"] = {**(linux.get("intelRdt") or {}), **rdt}
    linux["resources"] = _merged(before, wanted)
    with entry.next_config(config):
        _change(record, wanted, before, shares)


def _change(
    record: Record, wanted: dict[str, Any], before: dict[str, Any], shares: Resharing | None
) -> None:
    """All of it or nothing."""
    if shares is not None:
        shares.apply(record)
    try:
        driver.update(record["cgroup"], wanted, before)
    except BaseException:
        if shares is not None:
            shares.undo()
        raise


def _merged(before: dict[str, Any], wanted: dict[str, Any], section: str = "") -> dict[str, Any]:
    """Sections join, lists and values replace, zeros leave alone."""
    result = dict(before)
    for key, value in wanted.items():
        if isinstance(value, dict):
            result[key] = _merged(result.get(key) or {}, value, key)
        elif value or f"{section}/{key}" in ZEROS:
            result[key] = value
    return result
