"""The steps that put a mount in its place, for the mounts of config.json and for those we add ourselves.

A target is resolved beneath the root, once; a mount is attached descriptor to descriptor (CVE-2021-30465).
"""

from __future__ import annotations

from errno import EBADF, ELOOP, ENOENT, EPERM

from pyruntime.features import joined_views
from pyruntime.features.failures import INTO_PROC, failed_mount, file_systems_words
from pyruntime.features.idioms import (
    FS_TYPE,
    MODE,
    MOVE_FLAGS,
    SCRATCH,
    configure,
    mount_id_of,
    set_attributes,
    statx_of,
)
from pyruntime.features.mount_options import NEEDS_MOUNT2, Options
from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.plan.step import (
    COPY,
    DIRECTORY,
    MAKE_DIRECTORY,
    NO_SYMLINKS,
    Buffer,
    Reg,
    Step,
    attempt,
    builtin,
    expect,
    load,
    octal,
    refuse,
    resolve,
    sys,
    unless,
    when,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.spec.types import Mount

MOUNT2_LIMIT = 4095  # bytes of all options together, for mount(2)
FSCONFIG_LIMIT = 256  # bytes of a string the kernel takes, its NUL included

# lxcfs puts its own files over these; everything else beneath /proc is the kernel's.
INSIDE_PROC = frozenset("/proc/" + name for name in (
    "cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo",
    "sys/kernel/ns_last_pid", "sys/crypto/fips_enabled"))  # fmt: skip


UNLABELLED = ("proc", "sysfs", "cgroup2")  # SELinux has their labels of its policy alone
LABELS = ("context=", "fscontext=", "defcontext=", "rootcontext=")


def guard_proc(target: Any, path: str) -> list[Any]:
    """Unless the config's path is one of lxcfs's, a target that turns out to lie on procfs is refused."""
    if path in INSIDE_PROC or path == "/proc":
        return []
    return [
        sys(lib.NR_fstatfs, target, SCRATCH),
        *when(expect(FS_TYPE, lib.PROC_SUPER_MAGIC, 8), [refuse(INTO_PROC)]),
    ]


def remembered(mount: Any, path: str, pointer: str, site: Site) -> list[Any]:
    """The mount's id is kept for the final check."""
    reg = Reg(pointer)
    site.mount_ids.append((path, pointer, reg))
    return mount_id_of(mount, reg)


def attach(mount: Any, target: Reg, path: str, pointer: str, site: Site) -> list[Any]:
    """move_mount by descriptors."""
    return [
        *remembered(mount, path, pointer, site),
        sys(lib.NR_move_mount, mount, "", target, "", MOVE_FLAGS),
        sys(lib.NR_close, target),
    ]


def propagate(fd: Any, options: Options) -> list[Any]:
    return [set_attributes(fd, 0, 0, kind, recursive=deep) for kind, deep in options.propagation]


def set_all(fd: Any, options: Options) -> list[Any]:
    """The recursive options: of the mount and of all that is below it."""
    if options.set_all or options.clear_all:
        return [set_attributes(fd, options.set_all, options.clear_all, recursive=True)]
    return []


def new_file_system(
    mount: Mount, options: Options, target: str, pointer: str, site: Site
) -> Iterator[Step]:
    """A file system made by the init. Read-only tmpfs and /dev turn so late: devices and hooks still fill them."""
    options.flatten()
    kind = mount["type"]
    spread_layers(kind, options)
    late = options.read_only and (kind == "tmpfs" or target == "/dev")
    fd, where, mode = Reg(pointer), Reg("target"), Reg("mode")
    ops = _find_target(kind, where, mode, target, site)
    fallback, label = _fallback(kind, fd, options, site), _context_label(kind, options, site)
    attached = not fallback and _needs_mount2(options, mount.get("source") or "", label)
    before = list(joined_views.early(kind, options, fd, pointer, site))
    yield from before
    if before:
        attached = False
    elif attached:
        ops += _by_mount2(mount, options, where, target, fd, site, label, late=late)
    else:
        ops += _by_context(mount, options, fd, fallback, label, late=late, mode=mode)
    if kind == "mqueue" and site.mount_label:
        ops += _label_root(fd, site.mount_label)
    if attached and kind == "tmpfs" and not has_mode(options):
        ops += unless(expect(mode, -1), [sys(lib.NR_fchmodat, fd, ".", mode)])
    if options.copy_up:
        owner = not any(word.startswith(("uid=", "gid=")) for word in options.data)
        # Of a directory that was not there nothing can be copied.
        ops += unless(expect(mode, -1), [builtin(COPY, where, fd, int(owner))])
    ops += propagate(fd, options)
    if attached:
        ops += [*remembered(fd, target, pointer, site), sys(lib.NR_close, where)]
    else:
        ops += attach(fd, where, target, pointer, site)
    text = f"mount `{mount.get('source') or kind}` on `{target}`"
    failure = joined_views.refusal(kind, text, pointer, site)
    if failure is None and kind in ("proc", "sysfs"):
        failure = _on_a_link(kind, text, pointer)
    if late:
        yield Step(moments.MOUNT, pointer, text, ops)
        yield Step(
            moments.LATE_READONLY,
            pointer,
            f"make `{target}` read-only",
            [set_attributes(fd, lib.MOUNT_ATTR_RDONLY), sys(lib.NR_close, fd)],
        )
    else:
        yield Step(moments.MOUNT, pointer, text, [*ops, sys(lib.NR_close, fd)], failure=failure)


def spread_layers(kind: str, options: Options) -> None:
    """mount(2) takes 4095 bytes of options and cuts the rest off without a word: an overlay with more has its layers told
    one by one (overlayfs.rst; lowerdir+ since Linux 6.7)."""
    if kind != "overlay" or length(options.data) <= MOUNT2_LIMIT:
        return
    words = []
    for word in options.data:
        key, _, value = word.partition("=")
        if key == "lowerdir":
            words += _layers(value)
        else:
            words.append(word)
    options.data = words


def _layers(value: str) -> list[str]:
    """What `:` divides, but after a backslash; after `::` come layers of data alone."""
    words, layer, kind, escaped = [], "", "lowerdir+", False
    for letter in f"{value}:":
        if letter != ":" or escaped:
            layer += letter
            escaped = letter == "\\" and not escaped
        elif layer:
            words.append(f"{kind}={layer}")
            layer = ""
        else:
            kind = "datadir+"
    return words


def length(words: Iterable[str]) -> int:
    """In bytes, as one string with commas."""
    return len(",".join(words).encode("utf-8", "surrogateescape"))


def is_too_long(kind: str, options: Options) -> bool:
    """Whether mount(2) would have to carry more than it can."""
    data = options.data
    spread_layers(kind, options)
    found = _needs_mount2(options, "", "") and length(options.data) > MOUNT2_LIMIT
    options.data = data
    return found


def has_mode(options: Options) -> bool:
    return any(word.startswith("mode=") for word in options.data)


def _needs_mount2(options: Options, source: str, label: str) -> bool:
    return bool(options.flags2 & NEEDS_MOUNT2) or any(
        len(word.encode("utf-8", "surrogateescape")) >= FSCONFIG_LIMIT
        for word in (source, label, *options.data)
    )


def _context_label(kind: str, options: Options, site: Site) -> str:
    """linux.mountLabel, for a file system that is made with one; a mount's own word goes first. mqueue is made with
    its ipc namespace and labelled after it."""
    if kind in UNLABELLED or kind == "mqueue":
        return ""
    return "" if any(word.startswith(LABELS) for word in options.data) else site.mount_label


def _label_root(fd: Reg, label: str) -> list[Any]:
    root, data = Reg("labelled"), label.encode("utf-8", "surrogateescape")
    flags = lib.O_RDONLY | lib.O_DIRECTORY | lib.O_CLOEXEC
    return [
        sys(lib.NR_openat, fd, ".", flags, 0, out=root),
        sys(lib.NR_fsetxattr, root, "security.selinux", data, len(data), 0),
        sys(lib.NR_close, root),
    ]


def _on_a_link(kind: str, text: str, pointer: str) -> Callable[[int, bytes], Exception]:
    """A link of the image may lead anywhere (CVE-2019-19921); in runc's words."""

    def failure(number: int, said: bytes) -> Exception:
        why = file_systems_words(said)
        if number == ELOOP:
            why = f'filesystem "{kind}" must be mounted on ordinary directory'
        return failed_mount(text, pointer, number, why)

    return failure


def _find_target(kind: str, where: Reg, mode: Reg, target: str, site: Site) -> list[Any]:
    """Opens the directory to mount on. A tmpfs gets the mode of a directory that exists, as its `mode` option."""
    how = MAKE_DIRECTORY | DIRECTORY
    if kind in ("proc", "sysfs"):
        return [resolve(site.root, target, where, how | NO_SYMLINKS)]
    if kind != "tmpfs":
        return [resolve(site.root, target, where, how), *guard_proc(where, target)]
    return [
        *attempt(
            [
                resolve(site.root, target, where, DIRECTORY, ok=(ENOENT,)),
                statx_of(where),
                load(MODE, 2, mode),
            ],
            instead=[resolve(site.root, target, where, how)],
        ),
        *guard_proc(where, target),
    ]


def _fallback(kind: str, fd: Reg, options: Options, site: Site) -> list[Any]:
    """Of a namespace that is not its own a user namespace cannot mount the file system: what our copy of the mount
    table has takes its place, /sys read-only with all beneath it (security: R-38)."""
    if not (site.has("user") or site.in_user_namespace):
        return []
    if kind == "proc" and joined_views.shares_ours("pid", site):
        attributes = options.set
    elif kind == "sysfs" and joined_views.shares_ours("network", site):
        attributes = options.set | lib.MOUNT_ATTR_RDONLY
    else:
        return []
    clone = lib.OPEN_TREE_CLONE | lib.OPEN_TREE_CLOEXEC | lib.AT_RECURSIVE
    ops = [
        sys(lib.NR_open_tree, lib.AT_FDCWD, "/proc" if kind == "proc" else "/sys", clone, out=fd),
        set_attributes(fd, 0, 0, lib.MS_SLAVE, recursive=True),
    ]
    if attributes:
        ops.append(set_attributes(fd, attributes, recursive=True))
    return ops


def _by_context(
    mount: Mount,
    options: Options,
    fd: Reg,
    fallback: list[Any],
    label: str,
    *,
    late: bool,
    mode: Reg,
) -> list[Any]:
    """fsopen, one fsconfig per option, fsmount: nothing is glued into one string (security: R-43). Where there is a
    fall-back the kernel says EPERM to the first, to the creation or to the last of them."""
    context = Reg("context")
    kind, source = mount["type"], mount.get("source") or mount["type"]
    attributes = options.set & ~lib.MOUNT_ATTR_RDONLY if late else options.set
    flags = ["ro"] if options.read_only and not late else []
    refused = (EPERM,)
    ops = configure(context, [f"source={source}", *([f"context={label}"] if label else [])])
    ops += configure(context, flags + options.context + options.data)
    if kind == "tmpfs" and not has_mode(options):
        text = Buffer(24)
        inherit = sys(lib.NR_fsconfig, context, lib.FSCONFIG_SET_STRING, "mode", text, log=context)
        ops += unless(expect(mode, -1), [octal(text, mode), inherit])
    create, close = lib.FSCONFIG_CMD_CREATE, sys(lib.NR_close, context)
    make = (lib.NR_fsmount, context, lib.FSMOUNT_CLOEXEC, attributes)
    if not fallback:
        return [
            sys(lib.NR_fsopen, kind, lib.FSOPEN_CLOEXEC, out=context),
            *ops,
            sys(lib.NR_fsconfig, context, create, log=context),
            sys(*make, out=fd, log=context),
            close,
        ]
    return attempt(
        [
            sys(lib.NR_fsopen, kind, lib.FSOPEN_CLOEXEC, out=context, ok=refused),
            *ops,
            sys(lib.NR_fsconfig, context, create, log=context, ok=refused),
            sys(*make, out=fd, log=context, ok=refused),
            close,
        ],
        instead=[sys(lib.NR_close, context, ok=(EBADF,)), *fallback],
    )


def remount(target: str, options: Options, site: Site) -> list[Any]:
    """Flags of the mount are the mount's alone, `ro` as well: the file system may be one of the host's, with other
    mounts. What belongs to the file system is changed in place. What is not named stays as it is."""
    fd, context = Reg("target"), Reg("context")
    ops = [resolve(site.root, target, fd)]
    words = options.context + options.data
    if words and not options.bind:
        flags = lib.FSPICK_CLOEXEC | lib.FSPICK_EMPTY_PATH
        change = lib.FSCONFIG_CMD_RECONFIGURE
        ops += [
            sys(lib.NR_fspick, fd, "", flags, out=context),
            *configure(context, words),
            sys(lib.NR_fsconfig, context, change, log=context),
            sys(lib.NR_close, context),
        ]
    if options.set or options.clear:
        ops.append(set_attributes(fd, options.set, options.clear))
    return [*ops, *set_all(fd, options), *propagate(fd, options), sys(lib.NR_close, fd)]


def _by_mount2(
    mount: Mount,
    options: Options,
    where: Reg,
    target: str,
    fd: Reg,
    site: Site,
    label: str,
    *,
    late: bool,
) -> list[Any]:
    """For what fsconfig cannot carry: mount(2) on `.` of the target's descriptor, then attributes by descriptor. In
    one string a label, which may hold commas, needs quotes."""
    flags = options.flags2 | (lib.MS_RDONLY if options.read_only and not late else 0)
    labels = [f'context="{label}"'] if label else []
    return [
        sys(lib.NR_fchdir, where),
        sys(
            lib.NR_mount,
            mount.get("source") or mount["type"],
            ".",
            mount["type"],
            flags,
            ",".join([*options.data, *labels]) or 0,
        ),
        sys(lib.NR_chdir, "/"),
        resolve(site.root, target, fd),
        set_attributes(
            fd, options.set & ~lib.MOUNT_ATTR_RDONLY if late else options.set, options.clear
        ),
    ]
