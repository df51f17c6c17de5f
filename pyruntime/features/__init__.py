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
    from pyruntime.spec.types import Config


# Every feature, and the properties without which it has nothing to do; what is not asked for is not even imported,
# because `create` pays for each module. Among steps of one moment this order decides.
REGISTRY: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("affinity", ("process.execCPUAffinity",)),
    ("labels", ("process.apparmorProfile", "process.selinuxLabel", "linux.mountLabel")),
    ("session", ()),
    ("namespaces", ()),
    ("user_mappings", ("linux.uidMappings", "linux.gidMappings")),
    ("time_offsets", ("linux.timeOffsets",)),
    ("cgroups", ()),
    ("intel_rdt", ("linux.intelRdt",)),
    ("net_devices", ("linux.netDevices",)),
    ("root", ()),
    ("mounts", ()),
    ("devices", ()),
    ("terminal", ("process.terminal", "process.consoleSize")),
    ("sysctl", ("linux.sysctl",)),
    ("masked_paths", ("linux.maskedPaths", "linux.readonlyPaths")),
    ("host_names", ("hostname", "domainname")),
    ("hooks", ("hooks",)),
    ("process", ()),
    ("personality", ("linux.personality",)),
    ("memory_policy", ("linux.memoryPolicy",)),
    ("io_priority", ("process.ioPriority",)),
    ("scheduler", ("process.scheduler",)),
    ("seccomp", ("linux.seccomp",)),
    ("credentials", ()),
    ("annotations", ("annotations",)),
)  # fmt: skip

# What a process that joins a container has of its own; all else is the container's already (security: R-20).
OF_A_PROCESS = frozenset((
    "affinity", "labels", "session", "intel_rdt", "terminal", "process", "personality", "memory_policy", "io_priority",
    "scheduler", "seccomp", "credentials"))  # fmt: skip

# What asks for something even when it is empty.
BY_PRESENCE = frozenset(("linux.intelRdt",))

# Features that need more of Python than the launcher has.
HEAVY = frozenset(("net_devices",))


def load(name: str) -> Any:
    """The module of one feature."""
    return __import__("pyruntime.features." + name, None, None, (name,))


def modules(spec: Config | None = None) -> Iterator[Any]:
    """The features a document asks for; all of them without one."""
    for name, needs in REGISTRY:
        if spec is None or _wants(spec, needs):
            yield load(name)


def _wants(spec: Config, needs: tuple[str, ...]) -> bool:
    return not needs or any(_is_set(spec, path) for path in needs)


def _is_set(spec: Config, path: str) -> bool:
    value: Any = spec
    for part in path.split("."):
        value = value.get(part)
        if not value:
            return value is not None and path in BY_PRESENCE
    return True


def reach(spec: Config) -> None:
    """Re-executes in the full interpreter if a feature of this document needs it. Must be called before any side effect."""
    for name, needs in REGISTRY:
        if name in HEAVY and _wants(spec, needs):
            load(name).reach()


def rules(spec: Config) -> Iterator[tuple[str, str]]:
    """What each feature finds wrong in a document that keeps to the schema. Where something is, the seccomp profile is
    judged as well: by itself its plan says what is wrong with it."""
    wrong = False
    for module in modules(spec):
        check = getattr(module, "rules", None)
        for finding in check(spec) if check is not None else ():
            wrong = True
            yield finding
    if wrong and _is_set(spec, "linux.seccomp"):
        yield from load("seccomp").rules_of_profile(spec)


def exec_rules(spec: Config) -> Iterator[tuple[str, str]]:
    """What is wrong with `process` alone; of all else create has seen to it."""
    for name, needs in REGISTRY:
        if name in OF_A_PROCESS and _wants(spec, needs):
            check = getattr(load(name), "rules", None)
            if check is not None:
                yield from check(spec)


def plan(spec: Config, site: Site) -> list[Step]:
    """All steps of both sides in the order of plan/moments.py. Pure: everything it needs of the host is in `site`."""
    from pyruntime.features import cgroups, namespaces, root

    namespaces.survey(spec, site)
    cgroups.survey(spec, site)
    steps: list[Step] = []
    for module in modules(spec):
        steps += module.plan(spec, site)
    if site.notify:
        steps += load("notification").plan(site)
    if site.piped:
        steps += load("stdio").plan(site)
    steps += root.check_steps(site)
    return _in_order(steps, site)


def plan_exec(spec: Config, site: Site) -> list[Step]:
    """The steps of one more process in a container whose config is `spec`, `process` being the new one."""
    from pyruntime.features import joining, namespaces

    namespaces.survey(spec, site)
    steps = list(joining.plan(site, namespaces.flags(site.joined)))
    for name, needs in REGISTRY:
        if name in OF_A_PROCESS and _wants(spec, needs):
            steps += load(name).plan(spec, site)
    if site.piped:
        steps += load("stdio").plan(site)
    return _in_order(steps, site)


def _in_order(steps: list[Step], site: Site) -> list[Step]:
    if site.needs_procfs:
        steps += load("procfs").plan(site)
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
