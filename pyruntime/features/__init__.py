"""The features: each module owns its properties of config.json, whatever side their steps run on.

A module says PROPERTIES (dotted paths it owns), rules(spec) (what the schema cannot say), plan(spec, site) (its
steps) and, where it has something to tell, report() (its share of `pyruntime features`).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.plan.step import Step


def modules() -> tuple[Any, ...]:
    """Every feature; among steps of one moment this order decides."""
    from pyruntime.features import (
        cgroups,
        credentials,
        devices,
        document,
        hooks,
        mounts,
        names,
        namespaces,
        paths,
        process,
        root,
        seccomp,
        session,
        sysctl,
        terminal,
    )

    return (session, namespaces, cgroups, root, mounts, devices, terminal, sysctl, paths, names, hooks, process,
            seccomp, credentials, document)  # fmt: skip


def rules(spec: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What each feature finds wrong in a document that keeps to the schema."""
    for module in modules():
        check = getattr(module, "rules", None)
        if check is not None:
            yield from check(spec)


def plan(spec: dict[str, Any], site: Site) -> list[Step]:
    """All steps of both sides in the order of plan/moments.py. Pure: everything it needs of the host is in `site`."""
    from pyruntime.features import cgroups, namespaces, procfs, root

    namespaces.survey(spec, site)
    cgroups.survey(spec, site)
    steps: list[Step] = []
    for module in modules():
        steps += module.plan(spec, site)
    steps += procfs.plan(site)
    steps += root.check_steps(site)
    steps.sort(key=lambda step: step.moment)
    return steps


def report() -> dict[str, Any]:
    """The `features` document (features.md); every feature tells its share."""
    document: dict[str, Any] = {}
    for module in modules():
        tell = getattr(module, "report", None)
        if tell is not None:
            merge(document, tell())
    order = ("ociVersionMin", "ociVersionMax", "hooks", "mountOptions", "linux")
    return {key: document[key] for key in (*order, *(key for key in document if key not in order))}


def merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    """Objects join, everything else replaces."""
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value
