"""linux.maskedPaths, linux.readonlyPaths (config-linux.md).

The source of a file mask is the host's own /dev/null, proved to be it before anything is mounted from it: the
image's may be a link to somewhere else (CVE-2025-31133, CVE-2025-62161). A directory is covered by an empty
read-only tmpfs. Targets are resolved beneath the root; only a missing one is passed over.
"""

from __future__ import annotations

from errno import ENOENT, EPERM

from pyruntime.features.container_paths import clean
from pyruntime.features.idioms import (
    AT_EMPTY,
    MODE,
    MOVE_FLAGS,
    RDEV_MAJOR,
    RDEV_MINOR,
    is_still_at,
    mount_id_of,
    set_attributes,
    statx_of,
)
from pyruntime.kernel.native import lib
from pyruntime.lib.files import S_IFCHR, S_IFDIR, S_IFMT
from pyruntime.plan import moments
from pyruntime.plan.step import END, Reg, Step, assign, expect, resolve, sys, when

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.spec.types import Config

PROPERTIES = ("linux.maskedPaths", "linux.readonlyPaths")

CLONE = lib.OPEN_TREE_CLONE | lib.OPEN_TREE_CLOEXEC | AT_EMPTY


def rules(spec: Config) -> Iterator[tuple[str, str]]:
    linux: Any = spec.get("linux", {})
    for name in ("maskedPaths", "readonlyPaths"):
        for index, path in enumerate(linux.get(name) or ()):
            if path[:1] != "/" or "\0" in path:
                yield f"/linux/{name}/{index}", "must be an absolute path in the container"


def plan(spec: Config, site: Site) -> Iterator[Step]:
    linux = spec.get("linux", {})
    for index, path in enumerate(linux.get("readonlyPaths") or ()):
        if clean(path) == "/":
            text, ops = (
                "make the root read-only",
                [set_attributes(site.root, lib.MOUNT_ATTR_RDONLY)],
            )
            yield Step(moments.LATE_READONLY, f"/linux/readonlyPaths/{index}", text, ops)
            continue
        yield Step(
            moments.READONLY_PATHS,
            f"/linux/readonlyPaths/{index}",
            f"make `{path}` read-only",
            _read_only(clean(path), site),
        )
    masked = dict.fromkeys(clean(path) for path in linux.get("maskedPaths") or ())
    if masked:
        null, empty = Reg("null"), Reg("empty")
        yield Step(
            moments.MASKS,
            "/linux/maskedPaths",
            "prepare the sources of the masks",
            [*_prove_null(null), *_empty_directory(empty, site.mount_label)],
        )
        for index, path in enumerate(masked):
            yield Step(
                moments.MASKS,
                f"/linux/maskedPaths/{index}",
                f"mask `{path}`",
                _mask(path, null, empty, site),
            )
        yield Step(
            moments.MASKS,
            "/linux/maskedPaths",
            "forget the sources of the masks",
            [sys(lib.NR_close, null), sys(lib.NR_close, empty)],
        )


def _attach(source: Reg, target: Reg, path: str, site: Site) -> list[Any]:
    reg = Reg(path)
    return [
        *mount_id_of(source, reg),
        sys(lib.NR_move_mount, source, "", target, "", MOVE_FLAGS),
        sys(lib.NR_close, target),
        *is_still_at(site.root, path, [reg]),
    ]


def _read_only(path: str, site: Site) -> list[Any]:
    target, tree = Reg("target"), Reg("tree")
    return [
        resolve(site.root, path, target, ok=(ENOENT,), skip=END),
        sys(lib.NR_open_tree, target, "", CLONE | lib.AT_RECURSIVE, out=tree),
        set_attributes(tree, lib.MOUNT_ATTR_RDONLY, recursive=True),
        *_attach(tree, target, path, site),
        sys(lib.NR_close, tree),
    ]


def _prove_null(null: Reg) -> list[Any]:
    return [
        sys(
            lib.NR_openat,
            lib.AT_FDCWD,
            "/dev/null",
            lib.O_PATH | lib.O_NOFOLLOW | lib.O_CLOEXEC,
            0,
            out=null,
        ),
        statx_of(null),
        expect(MODE, S_IFCHR, 2, mask=S_IFMT, errno=EPERM),
        expect(RDEV_MAJOR, 1, 4, errno=EPERM),
        expect(RDEV_MINOR, 3, 4, errno=EPERM),
    ]


def _empty_directory(out: Reg, label: str) -> list[Any]:
    """One read-only tmpfs for all masked directories (size=0 would mean unlimited). Only what is attached in our
    namespace can be cloned, so it covers the old root's /dev, which goes away with the pivot."""
    context, where = Reg("context"), Reg("where")

    def config(key: str, value: str) -> Any:
        return sys(lib.NR_fsconfig, context, lib.FSCONFIG_SET_STRING, key, value, log=context)

    return [
        sys(lib.NR_fsopen, "tmpfs", lib.FSOPEN_CLOEXEC, out=context),
        config("source", "tmpfs"),
        config("nr_blocks", "1"),
        config("nr_inodes", "2"),
        *([config("context", label)] if label else []),
        sys(lib.NR_fsconfig, context, lib.FSCONFIG_SET_FLAG, "ro", log=context),
        sys(lib.NR_fsconfig, context, lib.FSCONFIG_CMD_CREATE, log=context),
        sys(
            lib.NR_fsmount,
            context,
            lib.FSMOUNT_CLOEXEC,
            lib.MOUNT_ATTR_RDONLY,
            out=out,
            log=context,
        ),
        sys(lib.NR_close, context),
        sys(
            lib.NR_openat,
            lib.AT_FDCWD,
            "/dev",
            lib.O_PATH | lib.O_DIRECTORY | lib.O_CLOEXEC,
            0,
            out=where,
        ),
        sys(lib.NR_move_mount, out, "", where, "", MOVE_FLAGS),
        sys(lib.NR_close, where),
    ]


def _mask(path: str, null: Reg, empty: Reg, site: Site) -> list[Any]:
    target, kind, source = Reg("target"), Reg("kind"), Reg("source")
    return [
        resolve(site.root, path, target, ok=(ENOENT,), skip=END),
        statx_of(target),
        assign(kind, null),
        *when(expect(MODE, S_IFDIR, 2, mask=S_IFMT), [assign(kind, empty)]),
        sys(lib.NR_open_tree, kind, "", CLONE, out=source),
        *_attach(source, target, path, site),
        sys(lib.NR_close, source),
    ]
