"""The container's groups made by systemd: the one way in which the init is there before they are.

systemd makes no scope without a process in it. So the init is born in our groups and waits, before it does anything
else, until systemd has moved it and its limits stand. In the other order somebody would have to keep the scope alive who
then counts among the container's processes; and an ordinary user in a login session could not enter it at all, for
from there only systemd may move a process into its users' subtree.
"""

from __future__ import annotations

from pyruntime.cgroup import driver
from pyruntime.plan import messages, moments
from pyruntime.plan.step import SYNC, Step, builtin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.plan.host import HostSide


def step(resources: dict[str, Any], site: Site, owner: int | None) -> Step:
    """`owner`: the host's uid that a v2 group is given to."""
    return Step(
        moments.JOIN_CGROUP,
        "/linux/cgroupsPath",
        f"have systemd start unit {site.scope.unit.name} and set its limits",
        [builtin(SYNC, site.socket_fd, messages.SYNC)],
        run=lambda host: _start(resources, site, owner, host),
    )


def _start(resources: dict[str, Any], site: Site, owner: int | None, host: HostSide) -> None:
    def prepare(occupant: int) -> Any:
        return driver.prepare(
            site.layout,
            site.scope.path,
            site.container_id,
            resources,
            host.note,
            rootless=not site.privileged or site.in_user_namespace,
            owner=owner,
            occupant=occupant,
        )

    host.cgroup = site.scope.prepare(site.layout, resources, host.pid, host.note, prepare)
    host.record["cgroup"] = driver.record(host.cgroup)
    host.entry.write_record(host.record)
