"""Which cgroup hierarchies this host has, where they are mounted, and where we stand in them.

Read from /proc/self/mountinfo and /proc/self/cgroup, never guessed from directory names: a container in a
container sees mounts whose root is not `/`, and a test host may hide one mount beneath another.
"""

from __future__ import annotations

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# A container joins exactly these, as runc does; a hierarchy of another name belongs to somebody else.
JOINED = frozenset(
    "cpuset devices memory cpu cpuacct pids blkio hugetlb net_cls net_prio perf_event freezer rdma misc"
    " name=systemd".split()
)
USUAL_ROOT = "/sys/fs/cgroup"


class Mount:
    """One visible mount of a cgroup file system."""

    __slots__ = ("fs_type", "root", "mountpoint", "device", "options")

    def __init__(
        self, fs_type: str, root: str, mountpoint: str, device: int, options: tuple[str, ...]
    ) -> None:
        self.fs_type = fs_type
        self.root = root
        self.mountpoint = mountpoint
        self.device = device
        self.options = options


class Hierarchy:
    """A mounted hierarchy; `name` is `memory`, `cpu,cpuacct`, `name=systemd`, or '' for the unified one."""

    __slots__ = (
        "name",
        "controllers",
        "mountpoint",
        "mount_root",
        "own_path",
        "unified",
        "device",
    )

    def __init__(self, name: str, mount: Mount, own_path: str) -> None:
        self.name = name
        self.controllers = tuple(name.split(",")) if name else ()
        self.mountpoint = mount.mountpoint
        self.mount_root = mount.root
        self.own_path = own_path
        self.unified = not name
        self.device = mount.device

    @property
    def title(self) -> str:
        return self.name or "unified"

    def joined(self) -> bool:
        """Whether a container gets a group of its own here."""
        return self.unified or not JOINED.isdisjoint(self.controllers)


class Layout:
    """The hierarchies of this host in the order of mountinfo; `mode` is `v1`, `hybrid`, `v2` or `none`."""

    __slots__ = ("mode", "hierarchies")

    def __init__(self, mode: str, hierarchies: list[Hierarchy]) -> None:
        self.mode = mode
        self.hierarchies = hierarchies

    def joined(self) -> list[Hierarchy]:
        return [hierarchy for hierarchy in self.hierarchies if hierarchy.joined()]

    def controller(self, name: str) -> Hierarchy | None:
        for hierarchy in self.hierarchies:
            if name in hierarchy.controllers:
                return hierarchy
        return None


def layout(mountinfo: bytes | None = None, own: bytes | None = None) -> Layout:
    """The host's layout, from the two files of /proc or from the bytes given for them."""
    own_paths = _own_paths(read_proc("/proc/self/cgroup") if own is None else own)
    mounts = visible_mounts(mountinfo)
    hierarchies = _v1_hierarchies(mounts, own_paths)
    unified = _unified(mounts, own_paths, hierarchies)
    if not hierarchies:
        return Layout("v2", [unified]) if unified is not None else Layout("none", [])
    if unified is None:
        return Layout("v1", hierarchies)
    return Layout("hybrid", [*hierarchies, unified])


def mounts(layout: Layout, relative: Mapping[str, str]) -> list[tuple[str, str, list[str]]]:
    """What a container's /sys/fs/cgroup shows on v1: (directory name, source to bind, links to make).

    `relative` is the container's place in each hierarchy (Cgroup.relative). A container with a cgroup
    namespace of its own mounts the hierarchy anew instead of binding the source; the data of that mount is
    the hierarchy's name (see mount_data). The unified hierarchy of a hybrid host is not shown, as in runc.
    """
    rows = []
    for hierarchy in layout.hierarchies:
        if hierarchy.unified:
            continue
        name = hierarchy.mountpoint.rpartition("/")[2]
        links = name.split(",") if "," in name else []
        rows.append((name, directory(hierarchy, relative) or hierarchy.mountpoint, links))
    return rows


def directory(hierarchy: Hierarchy, relative: Mapping[str, str]) -> str:
    """The container's own group; ours where it has none, as it stays in it then. '' where that is not to be seen."""
    path = relative.get(hierarchy.name)
    if path is None:
        path = beneath(hierarchy.mount_root, hierarchy.own_path)
    return "" if path is None else hierarchy.mountpoint + path.rstrip("/")


def mount_data(layout: Layout, name: str) -> str:
    """The data string of a fresh mount of the hierarchy that `mounts` calls `name`."""
    for hierarchy in layout.hierarchies:
        if not hierarchy.unified and hierarchy.mountpoint.rpartition("/")[2] == name:
            return hierarchy.name
    raise KeyError(name)


def beneath(root: str, path: str) -> str | None:
    """`path` as seen from the mount root `root`: `/` + the rest, or None where it lies outside."""
    if root == "/":
        return path if not path.startswith("/..") else None
    if path == root:
        return "/"
    if path.startswith(root + "/"):
        return path[len(root) :]
    return None


def visible_mounts(mountinfo: bytes | None = None) -> list[Mount]:
    """Mounts of cgroup file systems that no later mount hides, in mountinfo's order."""
    if mountinfo is None:
        mountinfo = read_proc("/proc/self/mountinfo")
    found: list[Mount] = []
    above: set[bytes] = set()  # every directory a later mount would hide one of `found` by
    for line in mountinfo.split(b"\n"):  # a name may hold any other line break as it is
        fields = line.split(b" ", 5)
        if len(fields) < 6:
            continue
        if fields[4] in above:
            hidden = _text(fields[4])
            found = [
                m for m in found if not (m.mountpoint + "/").startswith(hidden.rstrip("/") + "/")
            ]
        _, separator, tail = fields[5].partition(b" - cgroup")
        if not separator:
            continue
        fs_type, _, rest = tail.partition(b" ")
        if fs_type not in (b"", b"2"):
            continue
        major, _, minor = fields[2].partition(b":")
        device = posix.makedev(int(major), int(minor))
        options = tuple(rest.rpartition(b" ")[2].decode().split(","))
        name = "cgroup2" if fs_type else "cgroup"
        found.append(Mount(name, _text(fields[3]), _text(fields[4]), device, options))
        place = fields[4]
        while place and place not in above:
            above.add(place)
            place = place.rpartition(b"/")[0]
        above.add(b"/")
    return found


def mounted() -> dict[str, int]:
    """Mountpoint → device of each visible cgroup file system, for proving a handle on it."""
    return {mount.mountpoint: mount.device for mount in visible_mounts()}


def read_proc(path: str) -> bytes:
    """All of a /proc file, whose size is not known beforehand."""
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        parts = []
        while part := posix.read(fd, 65536):
            parts.append(part)
    finally:
        posix.close(fd)
    return b"".join(parts)


def _own_paths(own: bytes) -> dict[str, str]:
    """Hierarchy name (its controllers as the kernel joins them) → our own path in it."""
    paths = {}
    for line in own.split(b"\n"):
        _, _, rest = line.partition(b":")
        name, separator, path = rest.partition(b":")
        if separator:
            paths[name.decode()] = path.decode("utf-8", "surrogateescape")
    return paths


def _v1_hierarchies(mounts: list[Mount], own_paths: dict[str, str]) -> list[Hierarchy]:
    """One mount for each v1 hierarchy; the usual place wins over a second mount elsewhere."""
    chosen: dict[str, Mount] = {}
    for mount in mounts:
        if mount.fs_type != "cgroup":
            continue
        for name in own_paths:
            if name and name.partition(",")[0] in mount.options:
                kept = chosen.get(name)
                if kept is None or (not _usual(kept) and _usual(mount)):
                    chosen[name] = mount
                break
    rows = [Hierarchy(name, mount, own_paths[name]) for name, mount in chosen.items()]
    if not any(row.joined() for row in rows):
        return []
    return rows


def _unified(
    mounts: list[Mount], own_paths: dict[str, str], v1: list[Hierarchy]
) -> Hierarchy | None:
    """The unified hierarchy. Beside v1 it counts only where it stands among the v1 mounts.

    Other programs mount cgroup2 for themselves on a v1 host (network plug-ins do, beneath /run); runc
    does not join that one, and a container's /proc/self/cgroup should not depend on it.
    """
    if "" not in own_paths:
        return None
    places = {row.mountpoint.rpartition("/")[0] for row in v1}
    for mount in mounts:
        if mount.fs_type != "cgroup2":
            continue
        if not v1 or mount.mountpoint.rpartition("/")[0] in places:
            return Hierarchy("", mount, own_paths[""])
    return None


def _usual(mount: Mount) -> bool:
    return mount.mountpoint.startswith(USUAL_ROOT)


def _text(field: bytes) -> str:
    r"""A mountinfo field; the kernel writes blanks, tabs, newlines and backslashes as \ooo."""
    if b"\\" in field:
        head, *rest = field.split(b"\\")
        field = head + b"".join(bytes((int(part[:3], 8),)) + part[3:] for part in rest)
    return field.decode("utf-8", "surrogateescape")
