"""Device nodes for a container in a user namespace, which may make none: root of the host makes them in a tmpfs of its own
that is mounted nowhere, with the attributes asked for, and each is bound in its place (as runc binds the host's)."""

from __future__ import annotations

import posix

from pyruntime.errors import KernelError, StepError, strerror
from pyruntime.kernel import calls
from pyruntime.kernel.native import lib
from pyruntime.lib.files import S_IFIFO, S_IFMT
from pyruntime.plan import moments
from pyruntime.plan.step import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.features.devices import Wanted
    from pyruntime.features.site import Site
    from pyruntime.plan.host import HostSide
    from pyruntime.spec.types import IDMapping, Linux


def hand(wanted: dict[str, Wanted], site: Site) -> dict[str, int]:
    """The number under which the init gets each node, by path. A fifo it makes itself."""
    return {
        path: site.hand(f"device {path}")
        for path, row in wanted.items()
        if row[0] & S_IFMT != S_IFIFO
    }


def step(wanted: dict[str, Wanted], numbers: dict[str, int], linux: Linux) -> Step:
    def make(host: HostSide) -> None:
        directory = -1
        try:
            directory = calls.detached_tmpfs(lib.MOUNT_ATTR_NOSUID | lib.MOUNT_ATTR_NOEXEC)
            for path, number in numbers.items():
                host.give(number, _made(directory, str(number), path, wanted[path], linux))
        finally:
            if directory >= 0:
                posix.close(directory)

    text = "make device nodes for the user namespace"
    return Step(moments.SOURCES, "/linux/devices", text, run=make)


def _made(directory: int, name: str, path: str, row: Wanted, linux: Linux) -> int:
    mode, major, minor, uid, gid, pointer = row
    try:
        posix.mknod(name, mode, posix.makedev(major, minor), dir_fd=directory)
        posix.chmod(name, mode & 0o7777, dir_fd=directory)
        owner = _on_host(uid, linux.get("uidMappings")), _on_host(gid, linux.get("gidMappings"))
        posix.chown(name, *owner, dir_fd=directory)
        return calls.open_tree(directory, name, lib.OPEN_TREE_CLONE | lib.OPEN_TREE_CLOEXEC)
    except KernelError as error:
        number = error.errno or 0
    except OSError as error:
        number = error.errno or 0
    words = f"make device `{path}` ({pointer}): {strerror(number)}"
    raise StepError(words, pointer, errno=number)


def _on_host(number: int, rows: list[IDMapping] | None) -> int:
    """-1, which changes nothing, for an id that is not mapped: nobody's in the container, as the host's own nodes are."""
    for row in rows or ():
        if 0 <= number - row["containerID"] < row["size"]:
            return row["hostID"] + number - row["containerID"]
    return -1
