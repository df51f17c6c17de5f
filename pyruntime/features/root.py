"""root, linux.rootfsPropagation: the root file system becomes the container's `/` (config.md, Root).

The path is opened once on the host, proved to be a directory and no link (security: R-45); a clone of that tree is
what the init attaches, at the root's own path in its mount namespace, because hooks look for it there. All later
steps resolve beneath that descriptor.
"""

from __future__ import annotations

import posix
from errno import EACCES, EBUSY, EINVAL, ELOOP, ENOENT, ENOTDIR, EPERM, EXDEV

from pyruntime.errors import StepError
from pyruntime.features.idioms import (
    AT_EMPTY,
    DEV_MAJOR,
    DEV_MINOR,
    FS_TYPE,
    INODE,
    MOUNT_ID,
    MOVE_FLAGS,
    PROC_ROOT,
    SCRATCH,
    is_still_at,
    mount_id_of,
    open_beneath,
    set_attributes,
    statx_of,
)
from pyruntime.features.propagation import PROPAGATIONS, default_propagation
from pyruntime.kernel import calls
from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.plan.step import (
    DIRECTORY,
    END,
    NO_SYMLINKS,
    Reg,
    Step,
    attempt,
    expect,
    load,
    resolve,
    sys,
    unless,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.plan.host import HostSide
    from pyruntime.spec.types import Config

PROPERTIES = ("root.path", "root.readonly", "linux.rootfsPropagation")

SHARED, UNBINDABLE = ("shared", "rshared"), ("unbindable", "runbindable")
DIRECTORY_FLAGS = lib.O_PATH | lib.O_DIRECTORY | lib.O_NOFOLLOW | lib.O_CLOEXEC


def rules(spec: Config) -> Iterator[tuple[str, str]]:
    if not spec.get("root"):
        yield "/root", "a container on Linux needs a root file system"
        return
    if "\0" in spec["root"]["path"] or not spec["root"]["path"]:
        yield "/root/path", "not a path"
    if not any(ns["type"] == "mount" for ns in spec.get("linux", {}).get("namespaces") or ()):
        from pyruntime.features import host_root

        yield from host_root.rules(spec)


def plan(spec: Config, site: Site) -> Iterator[Step]:
    number, rootfs = site.root, site.rootfs
    if not site.has("mount"):
        yield from _without_namespace(spec, site)
        return
    asked = spec.get("linux", {}).get("rootfsPropagation") or ""
    propagation = default_propagation(spec) or lib.MS_SLAVE
    # A peer group of the container's own is no longer the host's (config-linux.md, Rootfs Mount Propagation).
    top = lib.MS_PRIVATE if asked in SHARED else propagation

    def open_root(host: HostSide) -> None:
        by_host = (
            _open_tree(rootfs, propagation, top) if site.privileged else _open_directory(rootfs)
        )
        host.give(number, by_host)

    yield Step(moments.SOURCES, "/root/path", f"open the root `{rootfs}`", run=open_root)
    yield Step(
        moments.PROPAGATION,
        "/linux/rootfsPropagation",
        "keep mounts from reaching the host",
        [sys(lib.NR_mount, 0, "/", 0, propagation | lib.MS_REC, 0)],
    )
    if _waits_in_root(site):
        yield _go_to_root(number)
    ops = _attach(site) if site.privileged else _clone_and_attach(site, propagation, top)
    yield Step(moments.ROOT, "/root/path", f"attach the root `{rootfs}`", ops)
    yield from _readonly(spec, site)
    yield from _leave_old_root(spec, site)
    # Private and slave it is since it was cloned; again, recursively, would undo what the mounts ask for themselves.
    if asked in SHARED or asked in UNBINDABLE:
        yield Step(
            moments.ROOT_PROPAGATION,
            "/linux/rootfsPropagation",
            f"make / {asked}",
            [sys(lib.NR_mount, 0, "/", 0, PROPAGATIONS[asked], 0)],
        )


def _without_namespace(spec: Config, site: Site) -> Iterator[Step]:
    """A changed root in the runtime's own mount namespace; mounts, if there are any, lie on a mount of the root."""
    from pyruntime.features import host_root

    number, rootfs = site.root, site.rootfs
    attached = host_root.is_attached(spec, site)

    def open_root(host: HostSide) -> None:
        if not attached:
            host.give(number, _open_directory(rootfs))
            return
        tree = _open_tree(rootfs, lib.MS_SLAVE, lib.MS_SLAVE)
        host.give(number, tree)
        host.note(host_root.holding(tree, rootfs))

    yield Step(moments.SOURCES, "/root/path", f"open the root `{rootfs}`", run=open_root)
    if attached:
        # On a shared mount of the host's it becomes a shared one; nothing that is mounted later may reach others.
        ops = [*_attach(site), set_attributes(number, 0, 0, lib.MS_SLAVE, recursive=True)]
        yield Step(moments.ROOT, "/root/path", f"attach the root `{rootfs}`", ops)
        yield from _readonly(spec, site)
    change = [sys(lib.NR_fchdir, number), sys(lib.NR_chroot, "."), sys(lib.NR_chdir, "/")]
    yield Step(moments.PIVOT, "/root/path", "change the root", change)


def _readonly(spec: Config, site: Site) -> Iterator[Step]:
    if spec["root"].get("readonly"):
        yield Step(
            moments.LATE_READONLY,
            "/root/readonly",
            "make the root read-only",
            [set_attributes(site.root, lib.MOUNT_ATTR_RDONLY)],
        )


def check_steps(site: Site) -> Iterator[Step]:
    """After the last mount: each destination still leads to its mount, or to one that was put over it later."""
    ids = site.mount_ids
    if any(pointer.startswith("/mounts/") for _, pointer, _ in ids):  # not the devices' own
        yield _check_top(site)
        yield _check_proc(site)
    for index, (destination, pointer, reg) in enumerate(ids):
        later = [other[2] for other in ids[index + 1 :]]
        wanted = [reg, *later] if len(ids) <= 40 else [reg]
        if any(
            (destination + "/").startswith(other.rstrip("/") + "/")
            for other, _, _ in ids[index + 1 :]
        ):
            continue
        yield Step(
            moments.CHECK,
            pointer,
            f"check that `{destination}` is what was mounted",
            is_still_at(site.root, destination, wanted),
        )


def _check_top(site: Site) -> Step:
    """A destination may have been a link that leads to the root itself."""
    top, mount = Reg("top"), Reg("mount")
    text = "check that no mount covers the root"
    return Step(
        moments.CHECK,
        "/mounts",
        text,
        [
            *mount_id_of(site.root, mount),
            open_beneath(site.root, "..", DIRECTORY_FLAGS, lib.RESOLVE_IN_ROOT, top),
            statx_of(top),
            sys(lib.NR_close, top),
            expect(MOUNT_ID, mount, 8, errno=EBUSY),
        ],
    )


def _check_proc(site: Site) -> Step:
    """A link may have led a volume to /proc before procfs was there: what covers /proc is a procfs, as a whole."""
    proc, mount = Reg("proc"), Reg("mount")
    how = DIRECTORY | NO_SYMLINKS
    return Step(
        moments.CHECK,
        "/mounts",
        "check that nothing but procfs covers `/proc`",
        [
            *mount_id_of(site.root, mount),
            resolve(site.root, "/proc", proc, how, ok=(ENOENT, ENOTDIR, ELOOP), skip=END),
            statx_of(proc),
            *unless(
                expect(MOUNT_ID, mount, 8),
                [
                    expect(INODE, PROC_ROOT, 8, errno=EPERM),
                    sys(lib.NR_fstatfs, proc, SCRATCH),
                    expect(FS_TYPE, lib.PROC_SUPER_MAGIC, 8, errno=EPERM),
                ],
            ),
            sys(lib.NR_close, proc),
        ],
    )


def _open_directory(rootfs: str) -> int:
    flags = posix.O_PATH | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
    try:
        fd = posix.open(rootfs, flags)
    except OSError as error:
        raise StepError(f"open root `{rootfs}`", "/root/path", errno=error.errno or 0) from error
    top = posix.stat("/")
    found = posix.stat(fd)
    if (found.st_dev, found.st_ino) == (top.st_dev, top.st_ino):
        posix.close(fd)
        raise StepError(
            "the root of the host cannot be the root of a container", "/root/path", errno=EINVAL
        )
    return fd


def _open_tree(rootfs: str, propagation: int, top: int) -> int:
    directory = _open_directory(rootfs)
    try:
        tree = calls.open_tree(
            directory, "", lib.OPEN_TREE_CLONE | lib.OPEN_TREE_CLOEXEC | lib.AT_RECURSIVE | AT_EMPTY
        )
    finally:
        posix.close(directory)
    calls.mount_setattr(tree, lib.AT_RECURSIVE, propagation=propagation)
    if top != propagation:
        calls.mount_setattr(tree, 0, propagation=top)
    return tree


def _attach(site: Site) -> list[Any]:
    """The root of a user namespace may have no way to the root's path. Then / itself is covered, which our own view of
    it does not notice; only hooks in the container that look for the path miss it."""
    at = Reg("at")
    place = _find_place(site, at)
    if site.has("user"):
        top = sys(lib.NR_openat, lib.AT_FDCWD, "/", DIRECTORY_FLAGS, 0, out=at)
        path = site.rootfs
        first = sys(lib.NR_openat, lib.AT_FDCWD, path, DIRECTORY_FLAGS, 0, out=at, ok=(EACCES,))
        place = attempt([first, *place[1:]], instead=[top])
    return [
        *place,
        sys(lib.NR_move_mount, site.root, "", at, "", MOVE_FLAGS),
        sys(lib.NR_close, at),
    ]


def _waits_in_root(site: Site) -> bool:
    return not site.privileged and site.staged and "mount" in site.created


def _go_to_root(number: int) -> Step:
    text = "go to the root, while the way there is open"
    return Step(moments.BIRTH, "/root/path", text, [sys(lib.NR_fchdir, number)])


def _clone_and_attach(site: Site, propagation: int, top: int) -> list[Any]:
    """Where the host may not clone the tree, the init does, from its own copy of the mount table. Its working directory
    went along into that copy: ids of the user namespace may have no way to the root's path."""
    at, tree = Reg("at"), Reg("tree")
    clone = lib.OPEN_TREE_CLONE | lib.OPEN_TREE_CLOEXEC | lib.AT_RECURSIVE | AT_EMPTY
    place = _find_place(site, at)
    if _waits_in_root(site):
        place[0] = sys(lib.NR_openat, lib.AT_FDCWD, ".", DIRECTORY_FLAGS, 0, out=at)
    return [
        *place,
        sys(lib.NR_open_tree, at, "", clone, out=tree),
        set_attributes(tree, 0, 0, propagation, recursive=True),
        *([set_attributes(tree, 0, 0, top)] if top != propagation else []),
        sys(lib.NR_move_mount, tree, "", at, "", MOVE_FLAGS),
        sys(lib.NR_dup3, tree, site.root, lib.O_CLOEXEC),
        sys(lib.NR_close, tree),
        sys(lib.NR_close, at),
    ]


def _find_place(site: Site, at: Reg) -> list[Any]:
    """The directory at the root's path, seen from our namespace, must be the one the host opened."""
    inode, major, minor = Reg("inode"), Reg("major"), Reg("minor")
    return [
        sys(lib.NR_openat, lib.AT_FDCWD, site.rootfs, DIRECTORY_FLAGS, 0, out=at),
        statx_of(site.root),
        load(INODE, 8, inode),
        load(DEV_MAJOR, 4, major),
        load(DEV_MINOR, 4, minor),
        statx_of(at),
        expect(INODE, inode, 8, errno=EXDEV),
        expect(DEV_MAJOR, major, 4, errno=EXDEV),
        expect(DEV_MINOR, minor, 4, errno=EXDEV),
    ]


def _leave_old_root(spec: Config, site: Site) -> Iterator[Step]:
    if site.no_pivot or (site.root_alone and "mount" in site.created):
        from pyruntime.features import old_root

        if site.no_pivot:
            yield old_root.move(spec, site)
            return
        yield old_root.enter_copy(site)
    yield Step(moments.PIVOT, "/root/path", "pivot_root", _pivot(site.root))


def _pivot(root: int) -> list[Any]:
    """The old root ends up on top of the new one and is detached; afterwards /.. must be /."""
    old, mount = Reg("old"), Reg("top")
    mask = lib.STATX_MNT_ID | lib.STATX_INO
    return [
        sys(
            lib.NR_openat,
            lib.AT_FDCWD,
            "/",
            lib.O_PATH | lib.O_DIRECTORY | lib.O_CLOEXEC,
            0,
            out=old,
        ),
        sys(lib.NR_fchdir, root),
        sys(lib.NR_pivot_root, ".", "."),
        sys(lib.NR_fchdir, old),
        sys(lib.NR_mount, 0, ".", 0, lib.MS_SLAVE | lib.MS_REC, 0),
        sys(lib.NR_umount2, ".", lib.MNT_DETACH),
        sys(lib.NR_close, old),
        sys(lib.NR_chdir, "/"),
        sys(lib.NR_statx, lib.AT_FDCWD, "/", 0, mask, SCRATCH),
        load(MOUNT_ID, 8, mount),
        sys(lib.NR_statx, lib.AT_FDCWD, "/..", 0, mask, SCRATCH),
        expect(MOUNT_ID, mount, 8, errno=EXDEV),
    ]
