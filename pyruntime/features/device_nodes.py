"""Device nodes for a container in a user namespace, which may make none: root of the host makes them in a tmpfs of its own
with the attributes asked for, and the init binds each in its place (as runc binds the host's).

The init attaches the tmpfs in its own mount table meanwhile, where nothing looks: of a mount that is attached nowhere
no part can be cloned before Linux 6.15.
"""

from __future__ import annotations

import posix

from pyruntime.errors import StepError
from pyruntime.features.idioms import MOVE_FLAGS
from pyruntime.kernel import calls
from pyruntime.kernel.native import lib
from pyruntime.lib.files import S_IFIFO, S_IFMT
from pyruntime.plan import moments
from pyruntime.plan.step import Reg, Step, sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.features.devices import Wanted
    from pyruntime.features.site import Site
    from pyruntime.plan.host import HostSide
    from pyruntime.plan.step import Instruction
    from pyruntime.spec.types import IDMapping, Linux


def hand(wanted: dict[str, Wanted], site: Site) -> tuple[int, dict[str, str]]:
    """The number under which the init gets the tmpfs, and the name in it of each device's node, by path. A fifo the
    init makes itself."""
    devices = [path for path, row in wanted.items() if row[0] & S_IFMT != S_IFIFO]
    return site.hand("device nodes"), {path: str(index) for index, path in enumerate(devices)}


def make(tmpfs: int, names: dict[str, str], wanted: dict[str, Wanted], linux: Linux) -> Step:
    def run(host: HostSide) -> None:
        directory = calls.detached_tmpfs(lib.MOUNT_ATTR_NOSUID | lib.MOUNT_ATTR_NOEXEC)
        host.give(tmpfs, directory)
        for path, name in names.items():
            _make_node(directory, name, path, wanted[path], linux)

    text = "make device nodes for the user namespace"
    return Step(moments.SOURCES, "/linux/devices", text, run=run)


def attach(tmpfs: int, site: Site) -> Step:
    """Over the root of the container, which is entered by a descriptor from below."""
    ops = [sys(lib.NR_move_mount, tmpfs, "", site.root, "", MOVE_FLAGS)]
    return Step(moments.DEVICES, "/linux/devices", "attach the device nodes", ops)


def clone(tmpfs: int, name: str, tree: Reg) -> Instruction:
    flags = lib.OPEN_TREE_CLONE | lib.OPEN_TREE_CLOEXEC
    return sys(lib.NR_open_tree, tmpfs, name, flags, out=tree)


def detach(tmpfs: int) -> Step:
    ops = [
        sys(lib.NR_fchdir, tmpfs),
        sys(lib.NR_umount2, ".", lib.MNT_DETACH),
        sys(lib.NR_chdir, "/"),
        sys(lib.NR_close, tmpfs),
    ]
    return Step(moments.DEVICES, "/linux/devices", "detach the device nodes", ops)


def _make_node(directory: int, name: str, path: str, row: Wanted, linux: Linux) -> None:
    mode, major, minor, uid, gid, pointer = row
    try:
        posix.mknod(name, mode, posix.makedev(major, minor), dir_fd=directory)
        posix.chmod(name, mode & 0o7777, dir_fd=directory)
        owner = _on_host(uid, linux.get("uidMappings")), _on_host(gid, linux.get("gidMappings"))
        posix.chown(name, *owner, dir_fd=directory)
    except OSError as error:
        raise StepError(f"make device `{path}`", pointer, errno=error.errno or 0) from error


def _on_host(number: int, rows: list[IDMapping] | None) -> int:
    """-1, which changes nothing, for an id that is not mapped: nobody's in the container, as the host's own nodes are."""
    for row in rows or ():
        if 0 <= number - row["containerID"] < row["size"]:
            return row["hostID"] + number - row["containerID"]
    return -1
