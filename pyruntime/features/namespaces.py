"""linux.namespaces: which are new, which are joined (config-linux.md, Namespaces).

New ones come with the clone itself, but the cgroup namespace, which must see the cgroups already joined. Joined ones
are opened once on the host, proved to be of their type and entered by descriptor (security: R-21).
"""

from __future__ import annotations

import posix

from pyruntime.errors import KernelError, StepError, UnsupportedError
from pyruntime.kernel import calls
from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.plan.step import At, Buffer, Reg, Step, store, sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.features.site import Site

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


def rules(spec: dict[str, Any]) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for index, entry in enumerate(spec.get("linux", {}).get("namespaces") or ()):
        kind, path = entry["type"], entry.get("path")
        if kind in seen:
            yield f"/linux/namespaces/{index}", f"namespace type {kind} appears twice"
        seen.add(kind)
        if path and path[0] != "/":
            yield f"/linux/namespaces/{index}/path", "a namespace path must be absolute"
        if kind == "user" and not path and not _has_mappings(spec["linux"]):
            yield f"/linux/namespaces/{index}", "user namespaces enabled, but no uid mappings found"


def _has_mappings(linux: dict[str, Any]) -> bool:
    """What they must say is checked in users.py, which is woken by them only."""
    return bool(linux.get("uidMappings") or linux.get("gidMappings"))


def survey(spec: dict[str, Any], site: Site) -> None:
    """Sorts the namespaces into new and joined, before any feature plans."""
    for entry in spec.get("linux", {}).get("namespaces") or ():
        kind, path = entry["type"], entry.get("path")
        if kind in ("user", "time") or (kind == "pid" and path):
            what = f"joining a {kind} namespace" if path else f"a new {kind} namespace"
            raise UnsupportedError(
                f"{what} (/linux/namespaces) is not supported by this version of pyruntime"
            )
        if path:
            site.joined[kind] = path
        else:
            site.created.add(kind)


def clone_flags(site: Site) -> int:
    """The CLONE_NEW* flags of the spawn."""
    flags = 0
    for kind in site.created:
        if kind != "cgroup":
            flags |= FLAGS[kind]
    return flags


def plan(spec: dict[str, Any], site: Site) -> Iterator[Step]:
    for index, entry in enumerate(spec.get("linux", {}).get("namespaces") or ()):
        kind, path = entry["type"], entry.get("path")
        pointer = f"/linux/namespaces/{index}"
        if path:
            yield from _join(kind, path, pointer, _changes(spec, kind), site)
        elif kind == "cgroup":
            yield Step(
                moments.CGROUP_NAMESPACE,
                pointer,
                "unshare the cgroup namespace",
                [sys(lib.NR_unshare, lib.CLONE_NEWCGROUP)],
            )
        elif kind == "network":
            yield _loopback(pointer)


def _join(kind: str, path: str, pointer: str, changes: list[str], site: Site) -> Iterator[Step]:
    number = site.hand(pointer)

    def open_namespace(host: Any) -> None:
        try:
            fd = posix.open(
                path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK | posix.O_NOCTTY
            )
            host.give(number, fd)
            found = calls.ns_type(fd)
        except KernelError:
            found = 0
        if found == FLAGS[kind] and changes and _is_ours(kind, fd):
            raise StepError(
                f"{changes[0]}: `{path}` is the {kind} namespace of the host: operation not permitted",
                changes[0],
            )
        if found != FLAGS[kind]:
            raise StepError(
                f"join {kind} namespace: `{path}` is not a {kind} namespace: invalid argument",
                pointer,
            )

    yield Step(moments.SOURCES, pointer, f"open the {kind} namespace `{path}`", run=open_namespace)
    moment = moments.CGROUP_NAMESPACE if kind == "cgroup" else moments.BIRTH
    yield Step(
        moment,
        pointer,
        f"join the {kind} namespace `{path}`",
        [sys(lib.NR_setns, number, FLAGS[kind])],
    )


def _changes(spec: dict[str, Any], kind: str) -> list[str]:
    """Pointers of what the config would change in a namespace of this kind: never allowed in the host's own, which
    a path may lead to (security: R-14)."""
    prefixes = {"network": ("net",), "ipc": ("kernel", "fs"), "uts": ("kernel",)}.get(kind, ())
    found = ["/" + name for name in ("hostname", "domainname") if kind == "uts" and spec.get(name)]
    for key in spec.get("linux", {}).get("sysctl") or ():
        if key.startswith(prefixes):
            found.append("/linux/sysctl/" + key.replace("~", "~0").replace("/", "~1"))
    return found


def _is_ours(kind: str, fd: int) -> bool:
    own, given = posix.stat("/proc/self/ns/" + FILES.get(kind, kind)), posix.fstat(fd)
    return (own.st_dev, own.st_ino) == (given.st_dev, given.st_ino)


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
    """Without the two that survey() still refuses."""
    return {"linux": {"namespaces": sorted(kind for kind in FLAGS if kind not in ("user", "time"))}}
