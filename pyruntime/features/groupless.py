"""Containers without cgroups of their own: asked for by `--cgroup-manager disabled`, or because somebody who is not
the host's root may not make any. Whoever asked for limits is told; nobody else is bothered."""

from __future__ import annotations

from pyruntime.cgroup import driver
from pyruntime.errors import WORDS, StepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.spec.types import Config

# runc's words, which the engines' tests look for.


def decide(spec: Config, site: Site) -> bool:
    """Whether the container gets groups; what it cannot get is an error only if it was asked for."""
    linux = spec.get("linux", {})
    resources = driver.effective(linux.get("resources") or {}, site.layout.mode)[0]
    limits = driver.limits(resources)
    if site.cgroups:
        obstacle = site.cgroup_obstacle
        if obstacle is None:
            return True
        if limits:
            raise _refused(
                f"limits ({', '.join(limits)})", f"/linux/resources/{limits[0]}", obstacle
            )
        if linux.get("cgroupsPath"):
            raise _refused("a cgroupsPath", "/linux/cgroupsPath", obstacle)
    elif limits:
        raise StepError(
            f"--cgroup-manager disabled leaves no place for limits ({', '.join(limits)})",
            f"/linux/resources/{limits[0]}",
        )
    _warn_of_devices(spec, resources, site)
    if not site.has("pid"):
        site.warnings.append(
            "without cgroups and without a pid namespace, processes that the container's first one leaves behind"
            " cannot be found"
        )
    return False


def _refused(what: str, pointer: str, obstacle: str) -> StepError:
    return StepError(
        f"{WORDS['no permission']}: the config has {what}",
        pointer,
        why=obstacle,
        hint="on cgroup v2 run it in a subtree that is yours, as with `systemd-run --user --scope`",
    )


def _warn_of_devices(spec: Config, resources: dict[str, Any], site: Site) -> None:
    """Device rules are kept by a cgroup. Without one only the lack of CAP_MKNOD keeps root from a host's disk; who
    asks for both, as `podman --cgroups=disabled` does by default, has chosen so (as with crun)."""
    rows = resources.get("devices") or [{"allow": False}]
    last = rows[-1]
    if last["allow"] and last.get("type", "a") == "a" and len(last.get("access", "")) == 3:
        return
    capabilities: Any = spec.get("process", {}).get("capabilities", {})
    if site.may_mknod and any("CAP_MKNOD" in (names or ()) for names in capabilities.values()):
        site.warnings.append(
            "/linux/resources/devices: without cgroups nothing keeps a container with CAP_MKNOD from the host's devices"
        )
