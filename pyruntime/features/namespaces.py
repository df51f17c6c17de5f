"""linux.namespaces: which are new, which are joined (config-linux.md, Namespaces).

New ones come with the clone itself, but the cgroup namespace, which must see the cgroups already joined; where a
user, a time or a joined pid namespace is asked for, the init makes them one after the other (staging.py). Joined
ones are opened once on the host, proved to be of their type and entered by descriptor (security: R-21).
"""

from __future__ import annotations

import posix
from errno import EINVAL, EPERM

from pyruntime.errors import KernelError, StepError
from pyruntime.kernel import calls
from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.plan.step import END, At, Buffer, Reg, Step, assign, expect, store, sys, when

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.plan.host import HostSide
    from pyruntime.spec.types import Config, Linux

PROPERTIES = ("linux.namespaces",)

FLAGS = {
    "pid": lib.CLONE_NEWPID,
    "network": lib.CLONE_NEWNET,
    "mount": lib.CLONE_NEWNS,
    "ipc": lib.CLONE_NEWIPC,
    "uts": lib.CLONE_NEWUTS,
    "user": lib.CLONE_NEWUSER,
    "cgroup": lib.CLONE_NEWCGROUP,
    "time": lib.CLONE_NEWTIME,
}
FILES = {"network": "net", "mount": "mnt"}
"""Where /proc/PID/ns has another name for a type."""
LATE = frozenset(("user", "time", "pid", "cgroup"))
"""New ones that have a place of their own in the order of a staged spawn."""


def rules(spec: Config) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for index, entry in enumerate(spec.get("linux", {}).get("namespaces") or ()):
        kind, path = entry["type"], entry.get("path")
        if kind in seen:
            yield f"/linux/namespaces/{index}", f"namespace type {kind} appears twice"
        seen.add(kind)
        if path and path[0] != "/":
            yield f"/linux/namespaces/{index}/path", "a namespace path must be absolute"


def is_unmapped(linux: Linux) -> bool:
    """A new user namespace for which the config has no mappings at all: who creates the container chooses them."""
    if linux.get("uidMappings") or linux.get("gidMappings"):
        return False  # what they must say is checked in user_mappings.py
    for entry in linux.get("namespaces") or ():
        if entry["type"] == "user" and not entry.get("path"):
            return True
    return False


def survey(spec: Config, site: Site) -> None:
    """Sorts the namespaces into new and joined, before any feature plans."""
    for entry in spec.get("linux", {}).get("namespaces") or ():
        kind, path = entry["type"], entry.get("path")
        if path or site.exec:
            site.joined[kind] = path or ""
        else:
            site.created.add(kind)


def clone_flags(site: Site) -> int:
    """The CLONE_NEW* flags of the spawn."""
    return 0 if site.staged else flags(site.created - {"cgroup"})


def flags(kinds: Iterable[str]) -> int:
    """The CLONE_NEW* flags of these kinds together."""
    union = 0
    for kind in kinds:
        union |= FLAGS[kind]
    return union


def plan(spec: Config, site: Site) -> Iterator[Step]:
    for index, entry in enumerate(spec.get("linux", {}).get("namespaces") or ()):
        kind, path = entry["type"], entry.get("path")
        pointer = f"/linux/namespaces/{index}"
        if path:
            number = site.hand(pointer)
            yield _open(kind, path, pointer, _changes(spec, kind), number)
            yield from _join(kind, path, pointer, number, site)
        elif kind == "cgroup":
            yield Step(
                moments.CGROUP_NAMESPACE,
                pointer,
                "unshare the cgroup namespace",
                [sys(lib.NR_unshare, lib.CLONE_NEWCGROUP)],
            )
        elif kind == "network":
            yield _loopback(pointer)
    if site.staged:
        from pyruntime.features import staging

        yield from staging.plan(spec, site, flags(site.created - LATE))


def _open(kind: str, path: str, pointer: str, changes: list[str], number: int) -> Step:
    def open_namespace(host: HostSide) -> None:
        try:
            fd = posix.open(
                path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK | posix.O_NOCTTY
            )
            host.give(number, fd)
            found = calls.ns_type(fd)
        except KernelError:
            found = 0
        if found == FLAGS[kind] and changes and _is_of_the_host(kind, fd):
            raise StepError(
                f"`{path}` is the {kind} namespace of the host", changes[0], errno=EPERM
            )
        if found != FLAGS[kind]:
            raise StepError(
                f"join {kind} namespace `{path}`",
                pointer,
                errno=EINVAL,
                why=f"not a {kind} namespace",
            )

    return Step(moments.SOURCES, pointer, f"open the {kind} namespace `{path}`", run=open_namespace)


def _join(kind: str, path: str, pointer: str, number: int, site: Site) -> Iterator[Step]:
    """A namespace that belongs to the container's user namespace can only be entered from within that one; any
    other only before, for then the rights over it are gone."""
    text = f"join the {kind} namespace `{path}`"
    enter = sys(lib.NR_setns, number, FLAGS[kind])
    if kind == "user":
        yield Step(moments.USER_NAMESPACE, pointer, text, [enter])
    elif site.has("user"):
        done = Reg(kind)
        first = sys(lib.NR_setns, number, FLAGS[kind], ok=(EPERM,), skip=END)
        yield Step(moments.JOIN, pointer, text, [first, assign(done, 1)])
        yield Step(moments.JOIN_LATE, pointer, text, when(expect(done, -1), [enter]))
    else:
        yield Step(moments.JOIN, pointer, text, [enter])


def _changes(spec: Config, kind: str) -> list[str]:
    """Pointers of what the config would change in a namespace of this kind: never allowed in the host's own, which
    a path may lead to (security: R-14)."""
    prefixes = {"network": ("net",), "ipc": ("kernel", "fs"), "uts": ("kernel",)}.get(kind, ())
    found = ["/" + name for name in ("hostname", "domainname") if kind == "uts" and spec.get(name)]
    if kind == "mount":
        found.append("/root/path")  # pivot_root moves everybody in the namespace
    if kind == "network" and spec.get("linux", {}).get("netDevices"):
        found.append("/linux/netDevices")
    for key in spec.get("linux", {}).get("sysctl") or ():
        if key.startswith(prefixes):
            found.append("/linux/sysctl/" + key.replace("~", "~0").replace("/", "~1"))
    return found


def _is_of_the_host(kind: str, fd: int) -> bool:
    """Our own, or that of the first process: we may be in a private one ourselves."""
    given = posix.fstat(fd)
    for process in ("self", "1"):
        try:
            known = posix.stat(f"/proc/{process}/ns/{FILES.get(kind, kind)}")
        except PermissionError:
            continue  # then we may not enter it either
        if (known.st_dev, known.st_ino) == (given.st_dev, given.st_ino):
            return True
    return False


def _loopback(pointer: str) -> Step:
    """struct ifreq: 16 bytes of name, then the flags."""
    fd = Reg("loopback")
    request = Buffer(b"lo".ljust(16, b"\0") + bytes(24))
    return Step(
        moments.LOOPBACK,
        pointer,
        "bring the loopback interface up",
        [
            sys(lib.NR_socket, lib.AF_INET, lib.SOCK_DGRAM | lib.SOCK_CLOEXEC, 0, out=fd),
            store(At(request, 16), lib.IFF_UP, 2),
            sys(lib.NR_ioctl, fd, lib.SIOCSIFFLAGS, request),
            sys(lib.NR_close, fd),
        ],
    )


def report() -> dict[str, Any]:
    return {"linux": {"namespaces": sorted(FLAGS)}}
