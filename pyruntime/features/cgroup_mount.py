"""A mount of type `cgroup`: the container's own view of its cgroups (config.md, Mounts; runc's shape).

On v1 and hybrid hosts a tmpfs holds one mount per hierarchy: mounted anew inside a cgroup namespace, else a bind of
the container's own group. On v2 it is cgroup2 itself, inside a cgroup namespace. Without one it is a bind of the
host's mount: a new one would be the same to look at, and would reset `nsdelegate` and `memory_recursiveprot` for
the whole host, which the kernel takes from whoever mounted last.
"""

from __future__ import annotations

from errno import EBUSY, EEXIST, ENOENT, EPERM

from pyruntime.cgroup import detect
from pyruntime.features.idioms import MOVE_FLAGS, set_attributes
from pyruntime.features.mount_options import Options
from pyruntime.features.mount_steps import attach, guard_proc, new_file_system, propagate
from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.plan.step import DIRECTORY, MAKE_DIRECTORY, Reg, Step, attempt, resolve, sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.spec.types import Mount

ALWAYS = ("nosuid", "nodev", "noexec")


def plan(mount: Mount, options: Options, target: str, pointer: str, site: Site) -> Iterator[Step]:
    options.flatten()
    if not any(not hierarchy.unified for hierarchy in site.layout.hierarchies):
        yield _unified(options, target, pointer, site)
        return
    top: Mount = {"destination": target, "type": "tmpfs", "source": "tmpfs"}
    first = Options((*ALWAYS, "mode=755", *(["ro"] if options.read_only else [])))
    first.propagation = options.propagation
    steps = list(new_file_system(top, first, target, pointer, site))
    yield steps[0]
    attributes = Options((*ALWAYS, *(["ro"] if options.read_only else []))).set
    for name, source, links in detect.mounts(site.layout, site.cgroup_relative):
        path = f"{target}/{name}"
        fd, where = Reg(path), Reg("target")
        if site.has("cgroup"):
            ops = _anew(detect.mount_data(site.layout, name), fd, attributes)
        else:
            flags = lib.OPEN_TREE_CLONE | lib.OPEN_TREE_CLOEXEC
            ops = [
                sys(lib.NR_open_tree, lib.AT_FDCWD, source, flags, out=fd),
                set_attributes(fd, attributes),
            ]
        ops += [
            *propagate(fd, options),
            resolve(site.root, path, where, MAKE_DIRECTORY | DIRECTORY),
            sys(lib.NR_move_mount, fd, "", where, "", MOVE_FLAGS),
            sys(lib.NR_close, where),
            sys(lib.NR_close, fd),
        ]
        yield Step(moments.MOUNT, pointer, f"mount cgroup `{name}` on `{path}`", ops)
        if links:
            yield Step(
                moments.MOUNT,
                pointer,
                f"link the controllers of `{name}`",
                _links(links, name, target, site),
            )
    yield from steps[1:]


def _unified(options: Options, target: str, pointer: str, site: Site) -> Step:
    """cgroup2, or what stands in for it where the kernel does not let us mount it (CVE-2023-25809)."""
    where, fd = Reg("target"), Reg(pointer)
    attributes = options.set
    hierarchy = next(iter(site.layout.hierarchies), None)
    if site.has("cgroup"):
        own = "" if hierarchy is None else detect.directory(hierarchy, site.cgroup_relative)
        ops = _cgroup2(options, _bind(own, attributes, 0, fd), fd)
    else:
        top = "" if hierarchy is None else hierarchy.mountpoint
        if site.has("user") or site.in_user_namespace:
            ops = _bind(top, attributes | lib.MOUNT_ATTR_RDONLY, 0, fd)
        else:
            ops = _bind(top, attributes, 0 if options.read_only else lib.MOUNT_ATTR_RDONLY, fd)
    return Step(
        moments.MOUNT,
        pointer,
        f"mount `cgroup` on `{target}`",
        [
            resolve(site.root, target, where, MAKE_DIRECTORY | DIRECTORY),
            *guard_proc(where, target),
            *ops,
            *propagate(fd, options),
            *attach(fd, where, target, pointer, site),
            sys(lib.NR_close, fd),
        ],
    )


def _cgroup2(options: Options, instead: list[Any], fd: Reg) -> list[Any]:
    context = Reg("context")
    words = [word.partition("=") for word in options.data]
    refused, make = (EPERM, EBUSY), lib.FSCONFIG_CMD_CREATE
    create = sys(lib.NR_fsconfig, context, make, ok=refused, log=context)
    mount = sys(lib.NR_fsmount, context, lib.FSMOUNT_CLOEXEC, options.set, out=fd, log=context)
    return [
        sys(lib.NR_fsopen, "cgroup2", lib.FSOPEN_CLOEXEC, out=context),
        sys(lib.NR_fsconfig, context, lib.FSCONFIG_SET_STRING, "source", "cgroup", log=context),
        *[
            sys(lib.NR_fsconfig, context, lib.FSCONFIG_SET_STRING, key, value, log=context)
            if equals
            else sys(lib.NR_fsconfig, context, lib.FSCONFIG_SET_FLAG, key, log=context)
            for key, equals, value in words
        ],
        *attempt([create, mount], instead),
        sys(lib.NR_close, context),
    ]


def _bind(source: str, attributes: int, clear: int, fd: Reg) -> list[Any]:
    """A bind of a directory of the host's hierarchy; where there is none, an empty directory."""
    empty = _empty(fd)
    if not source:
        return empty
    flags = lib.OPEN_TREE_CLONE | lib.OPEN_TREE_CLOEXEC
    bind = sys(lib.NR_open_tree, lib.AT_FDCWD, source, flags, out=fd, ok=(ENOENT,))
    return attempt([bind, set_attributes(fd, attributes, clear)], instead=empty)


def _empty(fd: Reg) -> list[Any]:
    context = Reg("mask")
    attributes = Options((*ALWAYS, "ro")).set

    def config(key: str, value: str) -> Any:
        return sys(lib.NR_fsconfig, context, lib.FSCONFIG_SET_STRING, key, value, log=context)

    return [
        sys(lib.NR_fsopen, "tmpfs", lib.FSOPEN_CLOEXEC, out=context),
        config("source", "tmpfs"),
        config("nr_blocks", "1"),
        config("nr_inodes", "1"),
        sys(lib.NR_fsconfig, context, lib.FSCONFIG_CMD_CREATE, log=context),
        sys(lib.NR_fsmount, context, lib.FSMOUNT_CLOEXEC, attributes, out=fd, log=context),
        sys(lib.NR_close, context),
    ]


def _anew(data: str, fd: Reg, attributes: int) -> list[Any]:
    """A fresh mount shows the hierarchy from the root of the cgroup namespace."""
    context = Reg("context")
    _, named, name = data.partition("name=")
    ops = [
        sys(lib.NR_fsopen, "cgroup", lib.FSOPEN_CLOEXEC, out=context),
        sys(
            lib.NR_fsconfig,
            context,
            lib.FSCONFIG_SET_STRING,
            "source",
            name or "cgroup",
            log=context,
        ),
    ]
    if named:
        ops += [
            sys(lib.NR_fsconfig, context, lib.FSCONFIG_SET_FLAG, "none", log=context),
            sys(lib.NR_fsconfig, context, lib.FSCONFIG_SET_STRING, "name", name, log=context),
        ]
    else:
        ops += [
            sys(lib.NR_fsconfig, context, lib.FSCONFIG_SET_FLAG, controller, log=context)
            for controller in data.split(",")
        ]
    return [
        *ops,
        sys(lib.NR_fsconfig, context, lib.FSCONFIG_CMD_CREATE, log=context),
        sys(lib.NR_fsmount, context, lib.FSMOUNT_CLOEXEC, attributes, out=fd, log=context),
        sys(lib.NR_close, context),
    ]


def _links(links: list[str], name: str, target: str, site: Site) -> list[Any]:
    directory = Reg("directory")
    return [
        resolve(site.root, target, directory, DIRECTORY),
        *[sys(lib.NR_symlinkat, name, directory, link, ok=(EEXIST,)) for link in links],
        sys(lib.NR_close, directory),
    ]
