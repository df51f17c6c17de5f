"""The face of the cgroup package: what the runtime calls, each imported when it is called.

A holding and a record have the same shape: {"mode": …, "groups": {hierarchy: [mountpoint, path, made]}}. A record of
groups that are a systemd unit's has "systemd" too, which as a holding is one of its own (systemd/scope.py).
"""

from __future__ import annotations

import posix

from pyruntime import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from pyruntime.cgroup.detect import Layout
    from pyruntime.cgroup.group import Cgroup
    from pyruntime.cgroup.systemd.scope import Scope


def rules(resources: Mapping[str, Any], *, changing: bool = False) -> Iterator[tuple[str, str]]:
    """(pointer from /linux/resources, why) of each mistake the schema cannot see."""
    from pyruntime.cgroup import rules

    return rules.rules(resources, changing=changing)


def prepare(
    layout: Layout,
    cgroups_path: str | None,
    container_id: str,
    resources: Mapping[str, Any],
    note: Callable[[dict[str, Any]], None],
    *,
    rootless: bool = False,
    owner: int | None = None,
    occupant: int = 0,
    lean: bool = False,
) -> Cgroup:
    """Makes the container's groups with their limits and opens the descriptors to join them by.

    `note` is given the holding before the first directory exists (once; again in the rare case that a
    parent vanished and a new look was needed). On failure the holdings are the caller's to release.
    `rootless`: a refusal to set device rules is no failure, as nothing is gained by being without them.
    `owner`: the host's uid a v2 group is given to; a v1 group never is (config-linux.md, Cgroup ownership).
    `lean`: few descriptors at a time; the v1 groups are then joined by `move` alone.
    `occupant`: a process that may be in the group already, which then is ours although it is there (systemd made it).
    """
    if not layout.hierarchies:
        raise errors.UnsupportedError(
            "no cgroup file system is mounted", hint="mount one on /sys/fs/cgroup"
        )
    if layout.mode == "v2":
        from pyruntime.cgroup.v2 import creation as unified

        return unified.prepare(
            layout,
            cgroups_path,
            container_id,
            resources,
            note,
            rootless=rootless,
            owner=owner,
            occupant=occupant,
        )
    from pyruntime.cgroup import creation

    return creation.prepare(
        layout,
        cgroups_path,
        container_id,
        resources,
        note,
        rootless=rootless,
        occupant=occupant,
        lean=lean,
    )


def move(cgroup: Cgroup, process: int) -> None:
    """Into every v1 group, one after the other, each of which waits for a grace period."""
    from pyruntime.cgroup import joining

    joining.move(cgroup, process)


def reach_systemd() -> None:
    """Re-executes in the full interpreter, which has D-Bus. Must be called before any side effect. Raises UnsupportedError
    where systemd does not run."""
    from pyruntime.cgroup.systemd import presence

    presence.reach()


def reach_to_release() -> None:
    """The same for `delete`, which can do without a systemd that no longer runs."""
    from pyruntime.cgroup.systemd import presence

    presence.reach_if_running()


def reach_for(kept: Mapping[str, Any] | None) -> None:
    """The same for a record's groups, where they are a systemd unit's."""
    if kept is not None and kept.get("systemd"):
        reach_systemd()


def scope(
    layout: Layout,
    cgroups_path: str | None,
    container_id: str,
    annotations: Mapping[str, str],
    *,
    user: bool,
) -> Scope:
    """The systemd unit the container will have; systemd is there and answers, and nothing was started yet."""
    from pyruntime.cgroup.systemd import scope

    return scope.Scope(layout, cgroups_path, container_id, annotations, user=user)


def release_unit(holding: Mapping[str, Any]) -> None:
    """Stops a systemd unit of ours; gone already is success, and so is a systemd that no longer runs."""
    from pyruntime.cgroup.systemd import presence

    if presence.is_running():
        presence.reach_if_running()  # long since done, unless the holdings are lost
        from pyruntime.cgroup.systemd import scope

        scope.release(holding)


def set_pids(cgroup: Cgroup, limit: int) -> None:
    """The limit of processes, in a group that has some."""
    from pyruntime.cgroup import knob

    group = cgroup.group("" if cgroup.mode == "v2" else "pids")
    fd = group.open() if group else None
    if fd is None:
        raise errors.UnsupportedError(
            "a limit in linux.resources needs the pids controller, which is not mounted"
        )
    try:
        knob.set_value(fd, "pids.max", str(limit), "pids limit", "/pids/limit")
    finally:
        posix.close(fd)


def obstacle(layout: Layout, cgroups_path: str | None, container_id: str) -> str | None:
    """Why somebody who is not the host's root cannot make the groups, in words; None where it can be done."""
    from pyruntime.cgroup import permission

    return permission.obstacle(layout, cgroups_path, container_id)


def limits(resources: Mapping[str, Any]) -> list[str]:
    """The parts of linux.resources that ask for a limit; device rules are none."""
    from pyruntime.cgroup import rules

    return rules.limits(resources)


def update(kept: dict[str, Any], resources: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    """Changes the limits of a container that runs; all of them, or none. `before`: its linux.resources so far."""
    from pyruntime.cgroup import updating

    unit = None
    if kept.get("systemd"):
        from pyruntime.cgroup.systemd import scope

        unit = scope.Limits(kept)
    updating.update(from_record(kept), resources, before, unit)


def release(holding: dict[str, Any]) -> None:
    """Kills what is left in the groups and removes them; gone already is success."""
    from pyruntime.cgroup import removal

    removal.release(holding)


def record(cgroup: Cgroup) -> dict[str, Any]:
    """What the state record keeps."""
    from pyruntime.cgroup import group

    kept = group.as_record(cgroup.mode, cgroup.groups)
    if cgroup.unit is not None:
        kept["systemd"] = cgroup.unit
    return kept


def from_record(kept: dict[str, Any]) -> Cgroup:
    """The groups again, without descriptors."""
    from pyruntime.cgroup import group

    return group.from_record(kept)


def pids(kept: dict[str, Any]) -> list[int]:
    """Every process of the container, those in groups beneath its own included."""
    from pyruntime.cgroup import members

    return members.pids(from_record(kept))


def join(
    kept: dict[str, Any] | None, pid: int, sub_paths: Mapping[str, str], *, late: bool = False
) -> tuple[int | None, list[int]]:
    """What `exec` joins by: (directory for CLONE_INTO_CGROUP, v1 `tasks` files to write `0` to).

    `kept` is the state record's (None: a container without groups), `pid` its init, `sub_paths` what
    `sub_paths` made of `--cgroup`. The descriptors are the caller's; after EBUSY from the clone ask again, after
    EAGAIN with `late`, and `enter` with the clone.
    """
    from pyruntime.cgroup import joining

    if kept is None:
        if sub_paths:
            raise errors.UsageError("--cgroup: the container has no cgroup of its own")
        return None, []
    return joining.join(from_record(kept), pid, sub_paths, late=late)


def enter(
    kept: dict[str, Any] | None, pid: int, sub_paths: Mapping[str, str], process: int
) -> None:
    """Moves a process into the group that counts processes, whatever its limit is."""
    from pyruntime.cgroup import joining

    if kept is not None:
        joining.enter(from_record(kept), pid, sub_paths, process)


def reached_limit(kept: dict[str, Any] | None) -> str:
    """The limit of processes that keeps any more from being born, in words; "" for none."""
    from pyruntime.cgroup import joining

    return joining.reached_limit(from_record(kept)) if kept else ""


def sub_paths(words: Iterable[str]) -> dict[str, str]:
    """`--cgroup` of exec, {controller or "" for all: path}."""
    from pyruntime.cgroup import joining

    return joining.sub_paths(words)


def stats(kept: dict[str, Any]) -> dict[str, Any]:
    """What the container has used, as `runc events` words it."""
    from pyruntime.cgroup import stats

    return stats.stats(from_record(kept))


def kill_all(kept: dict[str, Any], signal: int) -> None:
    """Signals every process of the container."""
    from pyruntime.cgroup import members

    members.kill_all(from_record(kept), signal)


def freeze(kept: dict[str, Any]) -> None:
    """Returns when every process of the container stands still, or raises and lets them run."""
    from pyruntime.cgroup import pause

    pause.stand_still(from_record(kept))


def thaw(kept: dict[str, Any]) -> None:
    """Lets a paused container run."""
    from pyruntime.cgroup import pause

    pause.thaw(from_record(kept))


def thaw_all(kept: dict[str, Any]) -> None:
    """After SIGKILL, so that it reaches frozen processes on v1: the container, and what it froze itself."""
    from pyruntime.cgroup import pause

    pause.thaw_all(from_record(kept))


def device_rules(resources: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(file, line) of each write to the v1 devices controller, for traces and for `plan`."""
    from pyruntime.cgroup.v1 import devices

    return devices.device_rules(resources)


def effective(resources: Mapping[str, Any], mode: str) -> tuple[dict[str, Any], list[str]]:
    """linux.resources as this host can have it, to be given to `prepare`; warnings of what it cannot."""
    from pyruntime.cgroup import rules

    return rules.effective(resources, mode, posix.uname().release)
