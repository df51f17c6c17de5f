"""How a further process joins a container's groups: `exec`, and its `--cgroup`.

A sub path leads beneath the container's own group and nowhere else (R-37): `..` is worked out in the text and
refused where it climbs, and each component is opened without following links. A v2 group that hands controllers
down to groups of its own takes no processes (the kernel's "no internal processes" rule); then the place to join is
the one the container's init has moved to, as in runc.
"""

from __future__ import annotations

import posix

from pyruntime import errors
from pyruntime.cgroup import detect, knob, tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyruntime.cgroup.group import Cgroup, Group

EVERY = ""  # the controller of a sub path that is for every hierarchy


def sub_paths(words: Iterable[str]) -> dict[str, str]:
    """What `--cgroup` says, {controller: path}: `path` for every hierarchy, or `controller[,controller]:path`."""
    rows = list(words)
    found: dict[str, str] = {}
    for word in rows:
        names, separator, path = word.partition(":")
        if not separator:
            if len(rows) > 1:
                raise errors.UsageError(
                    f"invalid --cgroup argument: {word} (missing <controller>: prefix)"
                )
            names, path = EVERY, word
        elif ":" in path or not all(names.split(",")):
            raise errors.UsageError(f"invalid --cgroup argument: {word}")
        for name in names.split(","):
            if name in found:
                raise errors.UsageError(
                    f"invalid --cgroup argument(s): controller {name} specified multiple times"
                )
            found[name] = path
    return found


def join(
    cgroup: Cgroup, pid: int, sub_paths: Mapping[str, str], *, late: bool = False
) -> tuple[int | None, list[int]]:
    """(directory for CLONE_INTO_CGROUP, v1 `tasks` files to write `0` to); the caller closes them.

    `pid` is the container's init, `sub_paths` as from the function of that name. What the payload does with its
    groups meanwhile may make the clone fail with EBUSY; then ask again. With `late` the group that counts processes
    is left out: `enter` is for that one.
    """
    places = _Places(cgroup, pid, sub_paths)
    unified: int | None = None
    tasks: list[int] = []
    try:
        for group in cgroup.groups:
            if late and group is _counting(cgroup):
                continue
            fd = places.open(group)
            if not group.hierarchy:
                unified = fd
                continue
            try:
                flags = posix.O_WRONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW
                tasks.append(posix.open("tasks", flags, dir_fd=fd))
            finally:
                posix.close(fd)
    except BaseException as error:
        for fd in (*tasks, *(() if unified is None else (unified,))):
            posix.close(fd)
        if isinstance(error, OSError):
            raise _failed(cgroup.groups[0].path, error) from error
        raise
    return unified, tasks


def enter(cgroup: Cgroup, pid: int, sub_paths: Mapping[str, str], process: int) -> None:
    """Moves a process into the group that `join` has left out. The kernel limits what is born in a group and not
    who enters it (Documentation/admin-guide/cgroup-v1/pids.rst), but the move waits for a grace period."""
    group = _counting(cgroup)
    if group is None:
        return
    try:
        fd = _Places(cgroup, pid, sub_paths).open(group)
        try:
            knob.write(fd, "cgroup.procs", str(process))
        finally:
            posix.close(fd)
    except OSError as error:
        raise _failed(group.path, error) from error


def move(cgroup: Cgroup, process: int) -> None:
    """Into every v1 group; the unified one was joined by the clone."""
    mounted = detect.mounted()
    for group in cgroup.groups:
        fd = group.open(mounted) if group.hierarchy else None
        if fd is None:
            continue
        try:
            knob.write(fd, "cgroup.procs", str(process))
        except OSError as error:
            raise _failed(group.path, error) from error
        finally:
            posix.close(fd)


def reached_limit(cgroup: Cgroup) -> str:
    """Which group lets no more processes be born, the container's or one above it; "" for none of them."""
    group = _counting(cgroup)
    directory = group.directory if group is not None else ""
    while group is not None and len(directory) > len(group.mountpoint):
        try:
            limit = knob.read_path(f"{directory}/pids.max")
            if limit.isdigit() and int(knob.read_path(f"{directory}/pids.current")) >= int(limit):
                return f"the limit of processes is {limit} ({directory}/pids.max)"
        except OSError:
            return ""
        directory = directory.rpartition("/")[0]
    return ""


def _counting(cgroup: Cgroup) -> Group | None:
    return cgroup.group("" if cgroup.mode == "v2" else "pids")


class _Places:
    """Where in each hierarchy a further process belongs."""

    def __init__(self, cgroup: Cgroup, pid: int, sub_paths: Mapping[str, str]) -> None:
        self.pid = pid
        self.ways = _ways(cgroup, sub_paths)
        self.mounts = {mount.mountpoint: mount for mount in detect.visible_mounts()}

    def open(self, group: Group) -> int:
        mount = self.mounts.get(group.mountpoint)
        fd = _open(group, mount, self.ways.get(group.hierarchy, []))
        if group.hierarchy or mount is None or group.hierarchy in self.ways:
            return fd
        try:
            if not knob.read(fd, "cgroup.subtree_control"):
                return fd
            inits = _open_inits(group, mount, self.pid)
        except BaseException:
            posix.close(fd)
            raise
        posix.close(fd)
        return inits


def _ways(cgroup: Cgroup, sub_paths: Mapping[str, str]) -> dict[str, list[str]]:
    """Hierarchy → components below the container's group, where a sub path is asked for."""
    found: dict[str, list[str]] = {}
    for controller, path in sub_paths.items():
        parts = _inner(path)
        if controller == EVERY:
            return {group.hierarchy: parts for group in cgroup.groups}
        group = cgroup.group(controller)
        if group is None:
            raise errors.UsageError(f"unknown controller {controller} in --cgroup")
        if found.setdefault(group.hierarchy, parts) != parts:
            raise errors.UsageError(
                f"--cgroup gives {group.hierarchy}, which is one hierarchy, two different paths"
            )
    return found


def _inner(path: str) -> list[str]:
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if not parts:
                raise errors.UsageError(f"bad sub cgroup path: {path} is not a sub cgroup path")
            parts.pop()
        elif part and part != ".":
            parts.append(part)
    return parts


def _open(group: Group, mount: detect.Mount | None, below: list[str]) -> int:
    """A handle on the group, or on one beneath it."""
    directory = "/".join([group.directory, *below])
    if mount is not None:
        parts = [*group.parts, *below]
        fd, depth = tree.descend(tree.open_mount(mount.mountpoint, mount.device), parts)
        if depth == len(parts):
            return fd
        posix.close(fd)
    raise errors.StepError(f"error adding pid of the new process to cgroup {directory}", errno=2)


def _open_inits(group: Group, mount: detect.Mount, pid: int) -> int:
    """A handle on the group the container's init is in now. The payload names the groups: a carriage return may be in
    a name, and what follows it is no row."""
    try:
        rows = detect.read_proc(f"/proc/{pid}/cgroup").split(b"\n")
    except OSError as error:
        raise _failed(f"of process {pid}", error) from error
    for row in rows:
        if row.startswith(b"0::"):
            path = detect.beneath(mount.root, row[3:].decode("utf-8", "surrogateescape"))
            if path is not None:
                parts = [part for part in path.split("/") if part]
                fd, depth = tree.descend(tree.open_mount(mount.mountpoint, mount.device), parts)
                if depth == len(parts):
                    return fd
                posix.close(fd)
    raise errors.StepError(
        f"join cgroup {group.directory}: it has groups of its own, and the one of process {pid} is not to be found"
    )


def _failed(path: str, error: OSError) -> errors.StepError:
    number = error.errno or 0
    return errors.StepError(f"join cgroup {path}", errno=number)
