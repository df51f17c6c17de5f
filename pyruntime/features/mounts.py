"""mounts: what is mounted where, in the order of config.json (config.md, Mounts).

Sources of binds become detached trees on the host; new file systems are made by the init with fsopen. Either way the
init attaches a descriptor to a descriptor: the target is resolved beneath the root, once (CVE-2021-30465), and its
mount id is kept for the final check. proc and sysfs need real directories without links on the way (CVE-2019-19921,
CVE-2023-27561); nothing else may cover or enter /proc (CVE-2019-16884), whatever its path says: the resolved
descriptor is judged.
"""

from __future__ import annotations

from errno import EINVAL, ENOTDIR

from pyruntime.features import binds, cgroup_mount
from pyruntime.features.binds import Bind
from pyruntime.features.container_paths import clean
from pyruntime.features.failures import failed_mount
from pyruntime.features.mount_options import Options, names, words_of
from pyruntime.features.mount_steps import (
    INSIDE_PROC,
    attach,
    guard_proc,
    is_too_long,
    new_file_system,
    propagate,
    remount,
)
from pyruntime.features.propagation import default_propagation
from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.plan.step import MAKE_LIKE, Reg, Step, resolve, sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.spec.types import Config, Linux, Mount

PROPERTIES = ("mounts",)


def rules(spec: Config) -> Iterator[tuple[str, str]]:
    mounts = spec.get("mounts") or ()
    if len(mounts) > 4096:
        yield "/mounts", "more than 4096 mounts"
        return
    for index, mount in enumerate(mounts):
        pointer = f"/mounts/{index}"
        words = words_of(mount)
        texts = (mount["destination"], mount.get("source") or "", mount.get("type") or "", *words)
        if any("\0" in text for text in texts):
            yield pointer, "a NUL byte in a mount"
        options = Options(words)
        for place, why in _option_rules(mount, options, spec.get("linux", {})):
            yield pointer + place, why
        for why in _place_rules(mount, options, clean(mount["destination"])):
            yield f"{pointer}/destination", why


def _option_rules(mount: Mount, options: Options, linux: Linux) -> Iterator[tuple[str, str]]:
    data = ",".join(options.data)
    if not options.bind and not options.remount and not mount.get("type"):
        yield "/type", "neither a type nor a bind option"
    if options.bind and not options.remount and not mount.get("source"):
        yield "/source", "a bind mount needs a source"
    if not options.bind and is_too_long(mount.get("type") or "", options):
        yield "/options", "longer than 4095 bytes, which is all that mount(2) takes"
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

        try:
            mapped = idmapped.with_maps(mount, options, linux)
        except ValueError as why:
            yield "/options", f"{options.idmap}: {why}"
            return
        yield from idmapped.rules(mapped, options, linux)


def _place_rules(mount: Mount, options: Options, target: str) -> Iterator[str]:
    """The root cannot be covered; /proc only by proc, or by a bind that turns out to be one (security: R-02)."""
    if not mount["destination"] or target == "/":
        yield "a mount cannot be put over the root of the container"
    if options.remount:
        return
    if target == "/proc" and not options.bind and mount.get("type") not in ("proc", None):
        yield '"/proc" cannot be mounted because it is not of type proc'
    if target.startswith("/proc/") and target not in INSIDE_PROC:
        yield f'"{target}" cannot be mounted because it is inside /proc'


def plan(spec: Config, site: Site) -> Iterator[Step]:
    propagation = default_propagation(spec)
    earlier: list[str] = []
    for index, mount in enumerate(spec.get("mounts") or ()):
        pointer = f"/mounts/{index}"
        options = Options(words_of(mount))
        target = binds.destination(mount, site)
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

                linux = spec.get("linux", {})
                mapped = idmapped.with_maps(mount, options, linux)
                mapper = idmapped.mapper(mapped, options, linux, pointer, site)
            link = binds.link_to_copy(mount, options, site)
            if link:
                yield binds.copied_link(link, target, pointer, site)
                continue
            yield from _bind(
                Bind(mount, options, pointer, propagation, mapper, site), earlier, site
            )
        elif mount["type"] == "cgroup":
            yield from cgroup_mount.plan(mount, options, target, pointer, site)
        else:
            yield from new_file_system(mount, options, target, pointer, site)
        earlier.append(target)


def _is_id_mapped(mount: Mount, options: Options) -> bool:
    return bool(options.idmap or mount.get("uidMappings") or mount.get("gidMappings"))


def _bind(bind: Bind, earlier: list[str], site: Site) -> Iterator[Step]:
    options, target, pointer = bind.options, bind.target, bind.pointer
    if options.data:
        ignored = ",".join(options.data)
        site.warnings.append(
            f"{pointer}/options: a bind mount takes no file system data: {ignored}"
        )
    yield from binds.steps(bind, earlier, site)
    tree, fd = bind.tree, Reg("target")
    ops = [resolve(site.root, target, fd, MAKE_LIKE, model=tree), *guard_proc(fd, target)]
    ops += propagate(tree, options)
    ops += attach(tree, fd, target, pointer, site)
    ops.append(sys(lib.NR_close, tree))
    yield Step(moments.MOUNT, pointer, bind.text, ops, failure=_unlike(bind.text, pointer))


def _unlike(text: str, pointer: str) -> Callable[[int, bytes], Exception]:
    """move_mount(2) has EINVAL where mount(2) had ENOTDIR, which is what engines and people look for."""

    def failure(number: int, _: bytes) -> Exception:
        if number != EINVAL:
            return failed_mount(text, pointer, number)
        hint = "a directory goes on a directory, and a file on a file"
        return failed_mount(text, pointer, ENOTDIR, hint=hint)

    return failure


def report() -> dict[str, Any]:
    return {"mountOptions": names(), "linux": {"mountExtensions": {"idmap": {"enabled": True}}}}
