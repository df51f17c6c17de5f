"""How the old root is left behind, so that nothing of it can be named (root.path; CVE-2024-21626, R-11).

pivot_root puts the container's root into the place of the old one, which is then detached. It cannot where the old
root is an initramfs: the first mount of all has no parent, so there is no place to take. Then a copy of the tree is
put on top first and entered: that one can be left as any other. What was mounted on the first mount is detached,
and what remains beneath the container is the initramfs alone; where a user namespace is made after the copy was
entered, the kernel locks what lies on top of it, for good (mount_namespaces(7)).

With --no-pivot the container's root is moved over the old one instead. It is no different from outside, but whoever
may unmount can lift it, and finds the whole old root there.
"""

from __future__ import annotations

from errno import EINVAL, ELOOP, ENOENT, ENOTDIR

from pyruntime.errors import UnsupportedError
from pyruntime.features.idioms import MOVE_FLAGS
from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.plan.step import Reg, Step, attempt, sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.spec.types import Config

DIRECTORY_FLAGS = lib.O_PATH | lib.O_DIRECTORY | lib.O_CLOEXEC
CLONE_FLAGS = lib.OPEN_TREE_CLONE | lib.OPEN_TREE_CLOEXEC | lib.AT_RECURSIVE
COVER = lib.MS_NOSUID | lib.MS_NODEV | lib.MS_NOEXEC | lib.MS_RDONLY


def move(spec: Config, site: Site) -> Step:
    """--no-pivot."""
    if spec.get("linux", {}).get("rootfsPropagation") in ("private", "rprivate"):
        raise UnsupportedError(
            "rootfsPropagation of [r]private is not safe without pivot_root",
            "/linux/rootfsPropagation",
        )
    if "mount" in site.created:
        ops = _move_over(site.root, _detach(site.root_places))
    else:  # other mounts of a namespace that is joined are somebody else's
        ops = _move_over(site.root, [_unmount("/proc"), _unmount("/sys")])
    return Step(moments.PIVOT, "/root/path", "move the root over / (--no-pivot)", ops)


def enter_copy(site: Site) -> Step:
    """Before a new user namespace, if the runtime may: a later copy of the mount table is a locked one then."""
    text = "enter a copy of /, which is an initramfs"
    if "user" in site.created and site.privileged:
        own_table = [
            sys(lib.NR_unshare, lib.CLONE_NEWNS),
            sys(lib.NR_mount, 0, "/", 0, lib.MS_SLAVE | lib.MS_REC, 0),
        ]
        return Step(moments.JOIN, "/root/path", text, [*own_table, *_copy(site.root_places)])
    return Step(moments.PROPAGATION, "/root/path", text, _copy(site.root_places))


def _copy(places: list[str]) -> list[Any]:
    """Until the chroot every path begins beneath the copy, at the first mount."""
    top, tree = Reg("top"), Reg("tree")
    return [
        sys(lib.NR_openat, lib.AT_FDCWD, "/", DIRECTORY_FLAGS, 0, out=top),
        sys(lib.NR_open_tree, lib.AT_FDCWD, "/", CLONE_FLAGS, out=tree),
        sys(lib.NR_move_mount, tree, "", top, "", MOVE_FLAGS),
        *_detach(places),
        sys(lib.NR_fchdir, tree),
        sys(lib.NR_chroot, "."),
        sys(lib.NR_chdir, "/"),
        sys(lib.NR_close, tree),
        sys(lib.NR_close, top),
    ]


def _move_over(root: int, detach: list[Any]) -> list[Any]:
    """First the move: what is detached afterwards may hold the place the root was attached at. It may have been
    attached over / to begin with (root.py), and cannot be moved onto itself then."""
    flags = lib.MOVE_MOUNT_F_EMPTY_PATH
    return [
        sys(lib.NR_move_mount, root, "", lib.AT_FDCWD, "/", flags, ok=(ELOOP,)),
        *detach,
        sys(lib.NR_fchdir, root),
        sys(lib.NR_chroot, "."),
        sys(lib.NR_chdir, "/"),
    ]


def _detach(places: Iterable[str]) -> list[Any]:
    """What a user namespace got locked (EINVAL) cannot be detached, but covered: a proc or sysfs in full view would
    let processes of the container mount their own without any mask."""
    ops: list[Any] = []
    for path in places:
        missing = (ENOENT, ENOTDIR)
        cover = sys(lib.NR_mount, "tmpfs", path, "tmpfs", COVER, "nr_inodes=1", ok=missing)
        ops += attempt([_unmount(path)], instead=[cover])
    return ops


def _unmount(path: str) -> Any:
    return sys(lib.NR_umount2, path, lib.MNT_DETACH, ok=(EINVAL, ENOENT))
