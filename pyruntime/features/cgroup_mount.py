"""A mount of type `cgroup`: the container's own view of its cgroups (config.md, Mounts; runc's shape).

On v1 and hybrid hosts a tmpfs holds one mount per hierarchy: mounted anew inside a cgroup namespace, else a bind of
the container's own group. On v2 it is cgroup2 itself.
"""

from __future__ import annotations

from pyruntime.cgroup import detect
from pyruntime.features.fields import MOVE_FLAGS, set_attributes
from pyruntime.features.mount_options import Options
from pyruntime.features.mount_steps import new_file_system
from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.plan.step import DIRECTORY, MAKE_DIRECTORY, Reg, Step, resolve, sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.features.site import Site

ALWAYS = ("nosuid", "nodev", "noexec")
EEXIST = 17


def plan(
    mount: dict[str, Any], options: Options, target: str, pointer: str, site: Site
) -> Iterator[Step]:
    if site.layout.mode == "v2":
        words = mount.get("options") or ()
        yield from new_file_system(
            {**mount, "type": "cgroup2"}, Options(words), target, pointer, site
        )
        return
    top = {"type": "tmpfs", "source": "tmpfs"}
    first = Options((*ALWAYS, "mode=755", *(["ro"] if options.read_only else [])))
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
