"""mounts: what is mounted where, in the order of config.json (config.md, Mounts).

Sources of binds become detached trees on the host; new file systems are made by the init with fsopen. Either way the
init attaches a descriptor to a descriptor: the target is resolved beneath the root, once (CVE-2021-30465), and its
mount id is kept for the final check. proc and sysfs need real directories without links on the way (CVE-2019-19921,
CVE-2023-27561); nothing else may cover or enter /proc (CVE-2019-16884), whatever its path says: the resolved
descriptor is judged.
"""

from __future__ import annotations

from pyruntime.errors import KernelError, StepError, UnsupportedError, strerror
from pyruntime.features import cgroup_mount
from pyruntime.features.fields import FS_TYPE, MODE, MOVE_FLAGS, SCRATCH, mount_id_of, set_attributes, statx_of
from pyruntime.features.mount_options import Options, names
from pyruntime.features.root import default_propagation
from pyruntime.kernel import calls
from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.plan.step import (
    DIRECTORY,
    MAKE_DIRECTORY,
    MAKE_LIKE,
    NO_SYMLINKS,
    Reg,
    Step,
    expect,
    jump,
    load,
    resolve,
    sys,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.features.site import Site

PROPERTIES = ("mounts",)

EPERM, ENOENT = 1, 2
FSCONFIG_LIMIT = 256  # bytes of a string the kernel takes, its NUL included

# lxcfs puts its own files over these; everything else beneath /proc is the kernel's.
INSIDE_PROC = frozenset("/proc/" + name for name in (
    "cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo",
    "sys/kernel/ns_last_pid", "sys/crypto/fips_enabled"))  # fmt: skip


def clean(path: str) -> str:
    """An absolute path without `.`, `..`, doubled or trailing slashes; a relative one counts from /."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part and part != ".":
            parts.append(part)
    return "/" + "/".join(parts)


def rules(spec: dict[str, Any]) -> Iterator[tuple[str, str]]:
    mounts = spec.get("mounts") or ()
    if len(mounts) > 4096:
        yield "/mounts", "more than 4096 mounts"
        return
    for index, mount in enumerate(mounts):
        pointer = f"/mounts/{index}"
        words = mount.get("options") or ()
        for text in (mount["destination"], mount.get("source") or "", mount.get("type") or "", *words):
            if "\0" in text:
                yield pointer, "a NUL byte in a mount"
        options = Options(words)
        target = clean(mount["destination"])
        if not mount["destination"] or target == "/":
            yield f"{pointer}/destination", "a mount cannot be put over the root of the container"
        if options.bind and options.data:
            yield (f"{pointer}/options",
                   f"bind mounts cannot have any filesystem-specific options applied: {','.join(options.data)}")
        if not options.bind and not options.remount and not mount.get("type"):
            yield f"{pointer}/type", "neither a type nor a bind option"
        if target == "/proc" and not options.bind and mount.get("type") not in ("proc", None) and not options.remount:
            yield f"{pointer}/destination", "\"/proc\" cannot be mounted because it is not of type proc"
        if target.startswith("/proc/") and target not in INSIDE_PROC and not options.remount:
            yield f"{pointer}/destination", f"\"{target}\" cannot be mounted because it is inside /proc"


def plan(spec: dict[str, Any], site: Site) -> Iterator[Step]:
    propagation = default_propagation(spec)
    for index, mount in enumerate(spec.get("mounts") or ()):
        pointer = f"/mounts/{index}"
        options = Options(mount.get("options") or ())
        if options.unsupported:
            word = options.unsupported[0]
            raise UnsupportedError(f"mount option {word} ({pointer}) is not supported by this version of pyruntime")
        target = clean(mount["destination"])
        if options.bind:
            yield from _bind(mount, options, target, pointer, propagation, site)
        elif options.remount:
            yield Step(moments.MOUNT, pointer, f"remount `{target}`", _remount(target, options, site))
        elif mount["type"] == "cgroup":
            yield from cgroup_mount.plan(mount, options, target, pointer, site)
        else:
            yield from new_file_system(mount, options, target, pointer, site)


def _remount(target: str, options: Options, site: Site) -> list[Any]:
    fd = Reg("target")
    return [resolve(site.root, target, fd), set_attributes(fd, options.set, options.clear),
            sys(lib.NR_close, fd)]


def guard_proc(target: Any, path: str) -> list[Any]:
    """Unless the config's path is one of lxcfs's, a target that turns out to lie on procfs is refused."""
    if path in INSIDE_PROC or path == "/proc":
        return []
    return [
        sys(lib.NR_fstatfs, target, SCRATCH),
        expect(FS_TYPE, lib.PROC_SUPER_MAGIC, 8, skip=1),
        expect(0, 1, errno=EPERM),
    ]


def attach(mount: Any, target: Reg, path: str, pointer: str, site: Site) -> list[Any]:
    """move_mount by descriptors; the mount's id is kept for the final check."""
    reg = Reg(pointer)
    site.mount_ids.append((path, pointer, reg))
    return [
        *mount_id_of(mount, reg),
        sys(lib.NR_move_mount, mount, "", target, "", MOVE_FLAGS),
        sys(lib.NR_close, target),
    ]


def _propagate(fd: Any, options: Options) -> list[Any]:
    return [set_attributes(fd, 0, 0, kind, recursive=deep) for kind, deep in options.propagation]


def _bind(mount: dict[str, Any], options: Options, target: str, pointer: str, propagation: int,
          site: Site) -> Iterator[Step]:
    source = mount.get("source") or ""
    if source[:1] != "/":
        source = f"{site.bundle}/{source}"
    number = site.hand(pointer)
    over_proc = target == "/proc"

    def open_source(host: Any) -> None:
        flags = lib.OPEN_TREE_CLONE | lib.OPEN_TREE_CLOEXEC | (lib.AT_RECURSIVE if options.recursive else 0)
        try:
            tree = calls.open_tree(lib.AT_FDCWD, source, flags)
        except KernelError as error:
            number_ = error.errno or 0
            raise StepError(f"mount `{source}` on `{target}` ({pointer}): {strerror(number_)}", pointer,
                            errno=number_) from error
        host.give(number, tree)
        if over_proc and calls.fs_type(tree) != lib.PROC_SUPER_MAGIC:
            raise StepError(f"mount `{source}` on `/proc` ({pointer}): \"/proc\" cannot be mounted because it is "
                            "not of type proc: operation not permitted", pointer)
        if propagation:
            calls.mount_setattr(tree, lib.AT_RECURSIVE, propagation=propagation)

    fd = Reg("target")
    ops = [resolve(site.root, target, fd, MAKE_LIKE, model=number), *guard_proc(fd, target)]
    # As runc: without a restricting option the source's flags stay; a flag is only cleared by its opposite.
    if options.set:
        ops.append(set_attributes(number, options.set, options.clear))
    ops += _propagate(number, options)
    if options.set_all or options.clear_all:
        ops.append(set_attributes(number, options.set_all, options.clear_all, recursive=True))
    ops += attach(number, fd, target, pointer, site)
    ops.append(sys(lib.NR_close, number))
    yield Step(moments.SOURCES, pointer, f"open `{source}`", run=open_source)
    yield Step(moments.MOUNT, pointer, f"mount `{source}` on `{target}`", ops)


def new_file_system(mount: dict[str, Any], options: Options, target: str, pointer: str,
                    site: Site) -> Iterator[Step]:
    """A file system made by the init. Read-only tmpfs and /dev turn so late: devices and hooks still fill them."""
    kind = mount["type"]
    late = options.read_only and (kind == "tmpfs" or target == "/dev")
    fd, where, mode = Reg(pointer), Reg("target"), Reg("mode")
    ops = _find_target(kind, where, mode, target, site)
    if options.flags2 or any(len(word.encode("utf-8", "surrogateescape")) >= FSCONFIG_LIMIT for word in options.data):
        ops += _by_mount2(mount, options, where, target, fd, site)
    else:
        ops += _by_context(mount, options, fd, late=late)
        if kind == "tmpfs" and not any(word.startswith("mode=") for word in options.data):
            ops += [expect(mode, -1, skip=1), jump(1), sys(lib.NR_fchmodat, fd, ".", mode)]
        ops += _propagate(fd, options)
        if options.set_all or options.clear_all:
            ops.append(set_attributes(fd, options.set_all, options.clear_all, recursive=True))
        ops += attach(fd, where, target, pointer, site)
    text = f"mount `{mount.get('source') or kind}` on `{target}`"
    if late:
        yield Step(moments.MOUNT, pointer, text, ops)
        yield Step(moments.LATE_READONLY, pointer, f"make `{target}` read-only",
                   [set_attributes(fd, lib.MOUNT_ATTR_RDONLY), sys(lib.NR_close, fd)])
    else:
        yield Step(moments.MOUNT, pointer, text, [*ops, sys(lib.NR_close, fd)])


def _find_target(kind: str, where: Reg, mode: Reg, target: str, site: Site) -> list[Any]:
    """The directory to mount on; a tmpfs takes over the mode of one that exists."""
    how = MAKE_DIRECTORY | DIRECTORY
    if kind in ("proc", "sysfs"):
        return [resolve(site.root, target, where, how | NO_SYMLINKS)]
    if kind != "tmpfs":
        return [resolve(site.root, target, where, how), *guard_proc(where, target)]
    return [
        resolve(site.root, target, where, DIRECTORY, ok=(ENOENT,), skip=3),
        statx_of(where),
        load(MODE, 2, mode),
        jump(1),
        resolve(site.root, target, where, how),
        *guard_proc(where, target),
    ]


def _by_context(mount: dict[str, Any], options: Options, fd: Reg, *, late: bool) -> list[Any]:
    """fsopen, one fsconfig per option, fsmount: nothing is glued into one string (security: R-43)."""
    context = Reg("context")
    kind, source = mount["type"], mount.get("source") or mount["type"]
    attributes = options.set & ~lib.MOUNT_ATTR_RDONLY if late else options.set
    flags = ["ro"] if options.read_only and not late else []
    ops = [
        sys(lib.NR_fsopen, kind, lib.FSOPEN_CLOEXEC, out=context),
        sys(lib.NR_fsconfig, context, lib.FSCONFIG_SET_STRING, "source", source, log=context),
    ]
    for word in flags + options.context + options.data:
        key, equals, value = word.partition("=")
        if equals:
            ops.append(sys(lib.NR_fsconfig, context, lib.FSCONFIG_SET_STRING, key, value, log=context))
        else:
            ops.append(sys(lib.NR_fsconfig, context, lib.FSCONFIG_SET_FLAG, key, log=context))
    return [
        *ops,
        sys(lib.NR_fsconfig, context, lib.FSCONFIG_CMD_CREATE, log=context),
        sys(lib.NR_fsmount, context, lib.FSMOUNT_CLOEXEC, attributes, out=fd, log=context),
        sys(lib.NR_close, context),
    ]


def _by_mount2(mount: dict[str, Any], options: Options, where: Reg, target: str, fd: Reg,
               site: Site) -> list[Any]:
    """For what fsconfig cannot carry: mount(2) on `.` of the target's descriptor, then attributes by descriptor."""
    data = ",".join([*options.context, *options.data])
    return [
        sys(lib.NR_fchdir, where),
        sys(lib.NR_mount, mount.get("source") or mount["type"], ".", mount["type"], options.flags2, data or 0),
        sys(lib.NR_chdir, "/"),
        sys(lib.NR_close, where),
        resolve(site.root, target, fd),
        set_attributes(fd, options.set, options.clear),
        *_propagate(fd, options),
    ]


def report() -> dict[str, Any]:
    return {"mountOptions": names()}
