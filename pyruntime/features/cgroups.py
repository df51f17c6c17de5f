"""linux.cgroupsPath, linux.resources (config-linux.md, Control groups).

The groups, their limits and device rules stand before anything runs in them; the init joins v1 groups itself, by
writing 0 to `tasks`, which spares the kernel's grace period; the unified group is joined by the clone. With the systemd
cgroup manager the groups are a unit's (scope.py).
"""

from __future__ import annotations

from pyruntime.cgroup import driver, location
from pyruntime.features.container_paths import clean
from pyruntime.features.mount_options import words_of
from pyruntime.kernel.native import lib
from pyruntime.plan import messages, moments
from pyruntime.plan.step import SYNC, Step, builtin, sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.cgroup.group import Cgroup
    from pyruntime.features.site import Site
    from pyruntime.plan.host import HostSide
    from pyruntime.spec.types import Config, Mount

PROPERTIES = ("linux.cgroupsPath", "linux.resources")


def rules(spec: Config) -> Iterator[tuple[str, str]]:
    for pointer, why in driver.rules(spec.get("linux", {}).get("resources", {})):
        yield f"/linux/resources{pointer}", why
    path = spec.get("linux", {}).get("cgroupsPath")
    why = location.problem(path) if path else ""
    if why:
        yield location.POINTER, why


def survey(spec: Config, site: Site) -> None:
    """Where the container's groups will stand, if it gets any; refuses a path that climbs."""
    if site.scope is None and (not site.cgroups or not site.privileged or site.in_user_namespace):
        from pyruntime.features import groupless

        site.cgroups = groupless.decide(spec, site)
        if not site.cgroups:
            return
    path = spec.get("linux", {}).get("cgroupsPath") if site.scope is None else site.scope.path
    absolute, parts = location.inner(path, site.container_id)
    for hierarchy in site.layout.joined():
        found = location.components(site.layout, hierarchy, absolute, parts)
        site.cgroup_relative[hierarchy.name] = "/" + "/".join(found)
        if not (hierarchy.unified or site.lean) and site.scope is None:
            site.join_count += 1


def _own(host: HostSide) -> Cgroup:
    assert host.cgroup is not None, "the groups are made before any step that needs them"
    return host.cgroup


def plan(spec: Config, site: Site) -> Iterator[Step]:
    if not site.cgroups:
        return
    linux = spec.get("linux", {})
    resources, warnings = driver.effective(linux.get("resources") or {}, site.layout.mode)
    site.warnings += warnings
    if site.staged and resources.get("pids", {}).get("limit") == 1:
        # A stage's clone counts beside it: such a limit stands once the init alone is in the group.
        del resources["pids"]
        yield Step(
            moments.IDENTITY,
            "/linux/resources/pids/limit",
            "let no second process be made",
            run=lambda host: driver.set_pids(_own(host), 1),
        )
    if site.scope is not None:
        from pyruntime.features import scope

        yield scope.step(resources, site, owner(spec, site))
        return
    numbers = [site.hand(f"tasks {index}") for index in range(site.join_count)]

    def make_groups(host: HostSide) -> None:
        host.cgroup = driver.prepare(
            site.layout,
            linux.get("cgroupsPath"),
            site.container_id,
            resources,
            host.note,
            rootless=not site.privileged or site.in_user_namespace,
            owner=owner(spec, site),
            lean=site.lean,
        )
        fds, host.cgroup.task_fds = host.cgroup.task_fds, []
        for number, fd in zip(numbers, fds, strict=True):
            host.give(number, fd)

    yield Step(
        moments.CGROUP,
        "/linux/cgroupsPath",
        "make the cgroups and set their limits",
        run=make_groups,
    )
    yield _join(site, numbers)


def _join(site: Site, numbers: list[int]) -> Step:
    """The init by itself; where it has no descriptors for that, the host moves it."""
    text, ops = "join the cgroups", []
    if site.lean:
        ops.append(builtin(SYNC, site.socket_fd, messages.SYNC))
        return Step(
            moments.JOIN_CGROUP,
            "/linux/cgroupsPath",
            text,
            ops,
            run=lambda host: driver.move(_own(host), host.pid),
        )
    for number in numbers:
        ops += [sys(lib.NR_write, number, "0", 1), sys(lib.NR_close, number)]
    return Step(moments.JOIN_CGROUP, "/linux/cgroupsPath", text, ops)


def owner(spec: Config, site: Site) -> int | None:
    """The host's uid of the container's user, who gets a v2 group where it can use one: in a cgroup namespace
    of its own, by a writable mount (config-linux.md, Cgroup ownership)."""
    if site.layout.mode != "v2" or "cgroup" not in site.created:
        return None
    if not any(_is_writable_view(mount) for mount in spec.get("mounts") or ()):
        return None
    uid: int = spec.get("process", {}).get("user", {}).get("uid", 0)
    if not site.has("user"):
        return uid
    for row in spec["linux"].get("uidMappings") or ():
        if 0 <= uid - row["containerID"] < row["size"]:
            return int(row["hostID"]) + uid - int(row["containerID"])
    return None


def _is_writable_view(mount: Mount) -> bool:
    return (
        mount.get("source") == "cgroup"
        and clean(mount["destination"]) == "/sys/fs/cgroup"
        and "ro" not in words_of(mount)
    )


def report() -> dict[str, Any]:
    return {
        "linux": {
            "cgroup": {
                "v1": True,
                "v2": True,
                "systemd": True,
                "systemdUser": True,
                "rdma": True,
            }
        }
    }
