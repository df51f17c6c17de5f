"""Bind mounts: where their sources come from, and which flags they have.

A source becomes a detached tree before anything of the container exists, with the rights of the runtime; without rights
over its own mounts the host leaves that to the init, in its copy of the mount table. A source that lies beneath the
destination of an earlier mount of the same config is there only once that one stands: the init opens it in its turn,
beneath the root (config.md, Mounts: the order listed).

Flags are as from runc. With none named a bind has those of its source. Where one is named, set or cleared, the others go,
and access times change only when one of their own words sets something. In a user namespace what the source has is locked
(mount_namespaces(7)): it stays, and naming its opposite is an error, also where root of the host could grant it.
"""

from __future__ import annotations

import posix
from errno import EEXIST, EPERM

from pyruntime.errors import KernelError, StepError
from pyruntime.features import mount_options as words
from pyruntime.features.container_paths import clean
from pyruntime.features.failures import failed_mount
from pyruntime.features.idioms import (
    AT_EMPTY,
    FS_TYPE,
    INODE,
    PROC_ROOT,
    SCRATCH,
    send_descriptors,
    set_attributes,
    statx_of,
)
from pyruntime.features.mount_steps import guard_proc, set_all
from pyruntime.kernel import calls
from pyruntime.kernel.native import lib
from pyruntime.plan import messages, moments
from pyruntime.plan.step import (
    DIRECTORY,
    MAKE_DIRECTORY,
    SYNC,
    Reg,
    Step,
    accepted,
    attempt,
    builtin,
    expect,
    resolve,
    sys,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.plan.host import HostSide
    from pyruntime.spec.types import Mount

    Mapper = Callable[[Any, int], None]

# f_flag of statvfs(3) and what it is called by mount_setattr(2): what a user namespace finds locked.
LOCKED = (
    (posix.ST_RDONLY, lib.MOUNT_ATTR_RDONLY),
    (posix.ST_NOSUID, lib.MOUNT_ATTR_NOSUID),
    (posix.ST_NODEV, lib.MOUNT_ATTR_NODEV),
    (posix.ST_NOEXEC, lib.MOUNT_ATTR_NOEXEC),
)
FLAGS = (*(attribute for _, attribute in LOCKED), lib.MOUNT_ATTR_NOSYMFOLLOW)
EVERY = sum(FLAGS)
TIMES = lib.MOUNT_ATTR__ATIME | lib.MOUNT_ATTR_NODIRATIME
HINT = "flags that the mount of the source has cannot be taken away in a user namespace"


class Bind:
    """One bind of the config, as its steps need it."""

    __slots__ = ("source", "options", "target", "pointer", "propagation", "mapper", "tree")

    def __init__(
        self,
        mount: Mount,
        options: words.Options,
        pointer: str,
        propagation: int,
        mapper: Mapper | None,
        site: Site,
    ) -> None:
        self.source = _from_bundle(mount, site)
        self.target = destination(mount, site)
        self.options = options
        self.pointer = pointer
        self.propagation = propagation
        self.mapper = mapper
        self.tree: Any = None  # a number or a register: what the init has it by

    @property
    def text(self) -> str:
        return f"mount `{self.source}` on `{self.target}`"

    @property
    def clone_flags(self) -> int:
        flags: int = lib.OPEN_TREE_CLONE | lib.OPEN_TREE_CLOEXEC
        return flags | (lib.AT_RECURSIVE if self.options.recursive else 0)

    def failed(self, number: int, hint: str | None = None) -> StepError:
        return failed_mount(self.text, self.pointer, number, hint=hint)


def steps(bind: Bind, earlier: list[str], site: Site) -> Iterator[Step]:
    """Up to `bind.tree`, detached and with its flags; `earlier` are the destinations mounted before."""
    inner = _beneath(bind.source, earlier, site)
    locked = site.has("user") or site.in_user_namespace
    by_host = site.privileged and not inner
    bind.tree = site.hand(bind.pointer) if by_host else Reg(bind.pointer)
    if by_host:
        yield _by_host(bind, locked=locked)
    elif inner:
        yield _by_init_in_turn(bind, inner, site)
        if bind.mapper is not None:
            yield _mapped_by_host(bind, site)
    else:
        yield _by_init(bind)
    if by_host and locked:
        return
    ops = _flags_by_init(bind, locked=locked)
    if ops:
        text = f"set the flags of `{bind.source}` for `{bind.target}`"
        failure = _locked(text, bind) if locked else None
        yield Step(moments.MOUNT, bind.pointer, text, ops, failure=failure)


def destination(mount: Mount, site: Site) -> str:
    """The destination as a path in the container. One that begins with the root's own path, as old configs have it, is
    meant from there on, as for runc."""
    target, root = clean(mount["destination"]), clean(site.rootfs)
    return target[len(root) :] if root != "/" and target.startswith(f"{root}/") else target


def link_to_copy(mount: Mount, options: words.Options, site: Site) -> str:
    """Where a source that is a link leads to, if it is to be copied as one (crun's copy-symlink); or ""."""
    if not options.copy_link:
        return ""
    try:
        return posix.readlink(_from_bundle(mount, site))
    except OSError:
        return ""  # no link: bound like any other source


def copied_link(link: str, target: str, pointer: str, site: Site) -> Step:
    """The link itself in the container, which leads to what has that name there."""
    parent, _, name = target.rpartition("/")
    at = Reg("parent")
    ops = [
        resolve(site.root, parent or "/", at, MAKE_DIRECTORY | DIRECTORY),
        *guard_proc(at, target),
        sys(lib.NR_symlinkat, link, at, name, ok=(EEXIST,)),
        sys(lib.NR_close, at),
    ]
    return Step(moments.MOUNT, pointer, f"copy the link to `{link}` to `{target}`", ops)


def _from_bundle(mount: Mount, site: Site) -> str:
    source = mount.get("source") or ""
    return source if source[:1] == "/" else f"{site.bundle}/{source}"


def _beneath(source: str, earlier: list[str], site: Site) -> str:
    """The source as a path in the container, if an earlier mount is what makes it; or ""."""
    source = clean(source)
    for destination in earlier:
        if f"{destination}/" not in f"{source}/":
            continue  # most sources: nothing is asked of the file system
        for path, root in ((source, clean(site.rootfs)), (_real(source), _real(site.rootfs))):
            if f"{path}/".startswith(f"{root}{destination}/"):
                return path[len(root) :]
    return ""


def _real(path: str) -> str:
    """Without links, as far as it exists."""
    rest = ""
    while path != "/":
        try:
            fd = posix.open(path, posix.O_PATH | posix.O_CLOEXEC)
        except OSError:
            path, _, last = path.rpartition("/")
            rest, path = f"/{last}{rest}", path or "/"
            continue
        try:
            return posix.readlink(f"/proc/self/fd/{fd}").rstrip("/") + rest
        finally:
            posix.close(fd)
    return rest


def _by_host(bind: Bind, *, locked: bool) -> Step:
    """Opened before anything of the container exists, with the rights of the runtime."""

    def open_source(host: HostSide) -> None:
        try:
            tree = calls.open_tree(lib.AT_FDCWD, bind.source, bind.clone_flags)
        except KernelError as error:
            raise bind.failed(error.errno or 0) from error
        host.give(bind.tree, tree)
        if bind.target == "/proc" and not _is_procfs(tree):
            why = '"/proc" cannot be mounted because it is not of type proc'
            raise failed_mount(bind.text, bind.pointer, EPERM, why)
        if bind.propagation:
            calls.mount_setattr(tree, lib.AT_RECURSIVE, propagation=bind.propagation)
        if locked:
            _set_by_host(bind, tree)
        if bind.mapper is not None:
            bind.mapper(host, tree)

    return Step(moments.SOURCES, bind.pointer, f"open `{bind.source}`", run=open_source)


def _is_procfs(tree: int) -> bool:
    """All of it: a part of a procfs would be a false /proc as much as anything else."""
    return calls.fs_type(tree) == lib.PROC_SUPER_MAGIC and posix.stat(tree).st_ino == PROC_ROOT


def _times(options: words.Options) -> tuple[int, int]:
    """(to set, to clear) of the access times, as mount(2) understands its flags: the last of the three wins in its own
    order, relatime is what nodiratime alone means, and none at all leaves them."""
    bits = options.atimes
    if not bits:
        return 0, 0
    set_ = lib.MOUNT_ATTR_NODIRATIME if bits & words.NODIRATIME else 0
    if bits & words.STRICTATIME:
        set_ |= lib.MOUNT_ATTR_STRICTATIME
    else:
        set_ |= lib.MOUNT_ATTR_NOATIME if bits & words.NOATIME else lib.MOUNT_ATTR_RELATIME
    return set_, TIMES & ~set_ | lib.MOUNT_ATTR__ATIME


def _flags(options: words.Options) -> tuple[int, int]:
    """(to set, to clear) of the others: exactly those that are named are set."""
    set_ = options.set & EVERY
    return set_, EVERY & ~set_


def _set_by_host(bind: Bind, tree: int) -> None:
    """For a container in a user namespace: what root of the host could take away is locked all the same."""
    options = bind.options
    if options.named:
        set_, clear = _flags(options)
        kept = _refuse_locked(bind, tree, options.clear)
        _refuse_other_times(bind, tree)
        calls.mount_setattr(tree, 0, set_ | kept, clear & ~kept)
    if options.set_all or options.clear_all:
        _refuse_locked(bind, tree, options.clear_all)
        calls.mount_setattr(tree, lib.AT_RECURSIVE, options.set_all, options.clear_all)


def _refuse_locked(bind: Bind, tree: int, clear: int) -> int:
    """What the mount of the source has; EPERM if some of it is to be taken away."""
    found, kept = posix.fstatvfs(tree).f_flag, 0
    for bit, attribute in LOCKED:
        if found & bit:
            kept |= attribute
    if kept & clear:
        raise bind.failed(EPERM, HINT)
    return kept


def _refuse_other_times(bind: Bind, tree: int) -> None:
    if not bind.options.atimes:
        return
    set_ = _times(bind.options)[0]
    found, has = posix.fstatvfs(tree).f_flag, 0
    has |= lib.MOUNT_ATTR_NODIRATIME if found & posix.ST_NODIRATIME else 0
    if found & posix.ST_NOATIME:
        has |= lib.MOUNT_ATTR_NOATIME
    elif not found & posix.ST_RELATIME:
        has |= lib.MOUNT_ATTR_STRICTATIME
    if set_ != has:
        raise bind.failed(EPERM, HINT)


def _by_init(bind: Bind) -> Step:
    ops = [sys(lib.NR_open_tree, lib.AT_FDCWD, bind.source, bind.clone_flags, out=bind.tree)]
    return Step(moments.OWN_SOURCES, bind.pointer, bind.text, [*ops, *_proved(bind)])


def _by_init_in_turn(bind: Bind, inner: str, site: Site) -> Step:
    place = Reg("source")
    ops = [
        resolve(site.root, inner, place),
        sys(lib.NR_open_tree, place, "", bind.clone_flags | AT_EMPTY, out=bind.tree),
        sys(lib.NR_close, place),
    ]
    return Step(moments.MOUNT, bind.pointer, bind.text, [*ops, *_proved(bind)])


def _proved(bind: Bind) -> list[Any]:
    ops = []
    if bind.target == "/proc":
        ops += [
            sys(lib.NR_fstatfs, bind.tree, SCRATCH),
            expect(FS_TYPE, lib.PROC_SUPER_MAGIC, 8, errno=EPERM),
            statx_of(bind.tree),
            expect(INODE, PROC_ROOT, 8, errno=EPERM),
        ]
    if bind.propagation:
        ops.append(set_attributes(bind.tree, 0, 0, bind.propagation, recursive=True))
    return ops


def _mapped_by_host(bind: Bind, site: Site) -> Step:
    """The init has the tree, and the host alone may map it."""
    mapper = bind.mapper
    assert mapper is not None
    ops = [
        *send_descriptors(site.socket_fd, messages.LENT, bind.tree),
        builtin(SYNC, site.socket_fd, messages.SYNC),
    ]
    text = f"id-map `{bind.source}` for `{bind.target}`"
    return Step(moments.MOUNT, bind.pointer, text, ops, run=lambda host: mapper(host, host.lent))


def _flags_by_init(bind: Bind, *, locked: bool) -> list[Any]:
    """Where some may be locked the kernel knows which: all that are not named at once, or one by one as far as it goes."""
    options, ops = bind.options, []
    if options.named:
        set_, clear = _flags(options)
        times, other_times = _times(options)
        unnamed = clear & ~options.clear if locked else 0
        ops.append(set_attributes(bind.tree, set_ | times, clear & ~unnamed | other_times))
        single = [attribute for attribute in FLAGS if unnamed & attribute]
        if single:
            one_by_one = [_cleared(bind, attribute) for attribute in single]
            ops += attempt([_cleared(bind, unnamed)], instead=one_by_one)
    ops += set_all(bind.tree, options)
    return ops


def _cleared(bind: Bind, attributes: int) -> Any:
    """Takes them away unless one is locked."""
    op = list(set_attributes(bind.tree, 0, attributes))
    op[3] = accepted((EPERM,))
    return tuple(op)


def _locked(text: str, bind: Bind) -> Callable[[int, bytes], Exception]:
    def failure(number: int, _: bytes) -> Exception:
        return failed_mount(text, bind.pointer, number, hint=HINT if number == EPERM else None)

    return failure
