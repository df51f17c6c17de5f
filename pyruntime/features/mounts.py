"""mounts: what is mounted where, in the order of config.json (config.md, Mounts).

Sources of binds become detached trees on the host; new file systems are made by the init with fsopen. Either way the
init attaches a descriptor to a descriptor: the target is resolved beneath the root, once (CVE-2021-30465), and its
mount id is kept for the final check. proc and sysfs need real directories without links on the way (CVE-2019-19921,
CVE-2023-27561); nothing else may cover or enter /proc (CVE-2019-16884), whatever its path says: the resolved
descriptor is judged.
"""

from __future__ import annotations

import posix

from pyruntime.errors import KernelError, StepError, strerror
from pyruntime.features import cgroup_mount
from pyruntime.features.fields import (
    FS_TYPE,
    INODE,
    PROC_ROOT,
    SCRATCH,
    set_attributes,
    statx_of,
)
from pyruntime.features.inside import clean
from pyruntime.features.mount_options import Options, names
from pyruntime.features.mount_steps import (
    INSIDE_PROC,
    attach,
    guard_proc,
    new_file_system,
    propagate,
    remount,
    set_all,
)
from pyruntime.features.propagation import default_propagation
from pyruntime.kernel import calls
from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.plan.step import MAKE_LIKE, Reg, Step, expect, resolve, sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from pyruntime.features.site import Site

PROPERTIES = ("mounts",)

EPERM, ENOTDIR, EINVAL = 1, 20, 22


def rules(spec: dict[str, Any]) -> Iterator[tuple[str, str]]:
    mounts = spec.get("mounts") or ()
    if len(mounts) > 4096:
        yield "/mounts", "more than 4096 mounts"
        return
    for index, mount in enumerate(mounts):
        pointer = f"/mounts/{index}"
        words = mount.get("options") or ()
        texts = (mount["destination"], mount.get("source") or "", mount.get("type") or "", *words)
        if any("\0" in text for text in texts):
            yield pointer, "a NUL byte in a mount"
        options = Options(words)
        for place, why in _option_rules(mount, options, spec.get("linux") or {}):
            yield pointer + place, why
        for why in _place_rules(mount, options, clean(mount["destination"])):
            yield f"{pointer}/destination", why


def _option_rules(
    mount: dict[str, Any], options: Options, linux: dict[str, Any]
) -> Iterator[tuple[str, str]]:
    data = ",".join(options.data)
    if not options.bind and not options.remount and not mount.get("type"):
        yield "/type", "neither a type nor a bind option"
    if options.copy_up and (options.bind or mount.get("type") != "tmpfs"):
        yield "/options", "tmpcopyup is for tmpfs only"
    if options.remount and options.flags2 & lib.MS_I_VERSION:
        yield "/options", "iversion is chosen when a file system is mounted, not by a remount"
    # A misspelt flag would weaken the mount; name=value is data that mount(2) takes and ignores for a bind (config.md,
    # Linux mount options), and becomes a warning.
    strange = [word for word in options.data if options.remount or "=" not in word]
    if options.bind and strange:
        # runc's words; they are what people search for.
        data = ",".join(strange)
        yield "/options", f"bind mounts cannot have any filesystem-specific options applied: {data}"
    if _is_id_mapped(mount, options):
        from pyruntime.features import idmapped

        yield from idmapped.rules(mount, options, linux)


def _place_rules(mount: dict[str, Any], options: Options, target: str) -> Iterator[str]:
    """The root cannot be covered; /proc only by proc, or by a bind that turns out to be one (security: R-02)."""
    if not mount["destination"] or target == "/":
        yield "a mount cannot be put over the root of the container"
    if options.remount:
        return
    if target == "/proc" and not options.bind and mount.get("type") not in ("proc", None):
        yield '"/proc" cannot be mounted because it is not of type proc'
    if target.startswith("/proc/") and target not in INSIDE_PROC:
        yield f'"{target}" cannot be mounted because it is inside /proc'


def plan(spec: dict[str, Any], site: Site) -> Iterator[Step]:
    propagation = default_propagation(spec)
    for index, mount in enumerate(spec.get("mounts") or ()):
        pointer = f"/mounts/{index}"
        options = Options(mount.get("options") or ())
        target = clean(mount["destination"])
        if mount["destination"][:1] != "/":
            site.warnings.append(
                f"{pointer}/destination: `{mount['destination']}` is not absolute, which is "
                f"deprecated; taken as `{target}`"
            )
        if options.remount:
            ops = remount(target, options, site)
            yield Step(moments.MOUNT, pointer, f"remount `{target}`", ops)
        elif options.bind:
            mapper = None
            if _is_id_mapped(mount, options):
                from pyruntime.features import idmapped

                mapper = idmapped.mapper(mount, options, spec.get("linux") or {}, pointer, site)
            yield from _bind(mount, options, target, pointer, propagation, site, mapper)
        elif mount["type"] == "cgroup":
            yield from cgroup_mount.plan(mount, options, target, pointer, site)
        else:
            yield from new_file_system(mount, options, target, pointer, site)


def _is_id_mapped(mount: dict[str, Any], options: Options) -> bool:
    return bool(options.idmap or mount.get("uidMappings") or mount.get("gidMappings"))


def _bind(
    mount: dict[str, Any],
    options: Options,
    target: str,
    pointer: str,
    propagation: int,
    site: Site,
    mapper: Callable[[Any, int], None] | None,
) -> Iterator[Step]:
    source = mount.get("source") or ""
    if source[:1] != "/":
        source = f"{site.bundle}/{source}"
    if options.data:
        ignored = ",".join(options.data)
        site.warnings.append(
            f"{pointer}/options: a bind mount takes no file system data: {ignored}"
        )
    tree: Any = site.hand(pointer) if site.privileged else Reg(pointer)
    if site.privileged:
        yield _source_of_host(source, options, target, pointer, propagation, tree, mapper)
    else:
        yield _source_of_init(source, options, target, pointer, propagation, tree)
    # The source's flags stay but for those that are named: one that is locked can only be kept (mount_namespaces(7)).
    flags = set_all(tree, options)
    if options.set or options.clear:
        flags.insert(0, set_attributes(tree, options.set, options.clear))
    if flags:
        text = f"set the flags of `{source}` for `{target}`"
        failure = None if site.privileged else _locked(text, pointer)
        yield Step(moments.MOUNT, pointer, text, flags, failure=failure)
    fd = Reg("target")
    ops = [resolve(site.root, target, fd, MAKE_LIKE, model=tree), *guard_proc(fd, target)]
    ops += propagate(tree, options)
    ops += attach(tree, fd, target, pointer, site)
    ops.append(sys(lib.NR_close, tree))
    text = f"mount `{source}` on `{target}`"
    yield Step(moments.MOUNT, pointer, text, ops, failure=_unlike(text, pointer))


def _unlike(text: str, pointer: str) -> Callable[[int, bytes], Exception]:
    """move_mount(2) has EINVAL where mount(2) had ENOTDIR, which is what engines and people look for."""

    def failure(number: int, _: bytes) -> Exception:
        words, hint = f"{text} ({pointer}): ", None
        if number == EINVAL:
            number, hint = ENOTDIR, "a directory goes on a directory, and a file on a file"
        return StepError(words + strerror(number), pointer, "container", number, hint)

    return failure


def _locked(text: str, pointer: str) -> Callable[[int, bytes], Exception]:
    def failure(number: int, _: bytes) -> Exception:
        hint = "flags that the mount of the source has cannot be taken away in a user namespace"
        words = f"{text} ({pointer}): {strerror(number)}"
        return StepError(words, pointer, "container", number, hint if number == EPERM else None)

    return failure


def _source_of_host(
    source: str,
    options: Options,
    target: str,
    pointer: str,
    propagation: int,
    number: int,
    mapper: Callable[[Any, int], None] | None,
) -> Step:
    """Opened before anything of the container exists, with the rights of the runtime."""

    def open_source(host: Any) -> None:
        try:
            tree = calls.open_tree(lib.AT_FDCWD, source, _clone_flags(options))
        except KernelError as error:
            number_ = error.errno or 0
            raise StepError(
                f"mount `{source}` on `{target}` ({pointer}): {strerror(number_)}",
                pointer,
                errno=number_,
            ) from error
        host.give(number, tree)
        if target == "/proc" and not _is_procfs(tree):
            raise StepError(
                f'mount `{source}` on `/proc` ({pointer}): "/proc" cannot be mounted because it is '
                "not of type proc: operation not permitted",
                pointer,
            )
        if propagation:
            calls.mount_setattr(tree, lib.AT_RECURSIVE, propagation=propagation)
        if mapper is not None:
            mapper(host, tree)

    return Step(moments.SOURCES, pointer, f"open `{source}`", run=open_source)


def _is_procfs(tree: int) -> bool:
    """All of it: a part of a procfs would be a false /proc as much as anything else."""
    return calls.fs_type(tree) == lib.PROC_SUPER_MAGIC and posix.stat(tree).st_ino == PROC_ROOT


def _source_of_init(
    source: str, options: Options, target: str, pointer: str, propagation: int, tree: Reg
) -> Step:
    """Without rights over its own mounts the host cannot clone any; the init can, in its copy of the mount table."""
    ops = [sys(lib.NR_open_tree, lib.AT_FDCWD, source, _clone_flags(options), out=tree)]
    if target == "/proc":
        ops += [
            sys(lib.NR_fstatfs, tree, SCRATCH),
            expect(FS_TYPE, lib.PROC_SUPER_MAGIC, 8, errno=EPERM),
            statx_of(tree),
            expect(INODE, PROC_ROOT, 8, errno=EPERM),
        ]
    if propagation:
        ops.append(set_attributes(tree, 0, 0, propagation, recursive=True))
    return Step(moments.OWN_SOURCES, pointer, f"mount `{source}` on `{target}`", ops)


def _clone_flags(options: Options) -> int:
    flags: int = lib.OPEN_TREE_CLONE | lib.OPEN_TREE_CLOEXEC
    return flags | (lib.AT_RECURSIVE if options.recursive else 0)


def report() -> dict[str, Any]:
    return {"mountOptions": names(), "linux": {"mountExtensions": {"idmap": {"enabled": True}}}}
