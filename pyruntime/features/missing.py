"""What config.json may ask for and this version cannot do: refused with its pointer, never ignored (runtime.md, Create).

A property leaves this list when it gets a module of its own.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.plan.step import Step

PROPERTIES = (
    "process.scheduler",
    "process.ioPriority",
    "linux.memoryPolicy",
    "linux.netDevices",
    "linux.intelRdt",
)


def rules(spec: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for path in PROPERTIES:
        section, name = path.split(".")
        if (spec.get(section) or {}).get(name):
            yield f"/{section}/{name}", f"{name} is not supported by this version of pyruntime"


def plan(spec: dict[str, Any], site: Site) -> Iterator[Step]:
    return iter(())
