"""ociVersion, annotations (config.md): opaque strings, shown by `state` and given to hooks.

None of them changes behaviour but `org.systemd.property.NAME`, and that with the systemd cgroup manager only
(cgroup/systemd/variants.py)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.plan.step import Step
    from pyruntime.spec.types import Config

PROPERTIES = ("ociVersion", "annotations")


def plan(spec: Config, site: Site) -> Iterator[Step]:
    return iter(())


def report() -> dict[str, Any]:
    """What belongs to no other feature."""
    from pyruntime import __version__

    return {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": "1.3.0",
        "annotations": {"io.pyruntime.version": __version__},
        "potentiallyUnsafeConfigAnnotations": [
            "org.systemd.property.",
            "run.oci.keep_original_groups",
        ],
    }
