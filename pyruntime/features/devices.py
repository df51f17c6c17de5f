"""linux.devices and the default devices (config-linux.md, Devices, Default Devices).

Everything is made relative to the descriptor of its directory with single-component names; what exists is never opened
(CVE-2026-41579). Unless it is the same device, it is replaced by a default one, and is an error for a listed one.
"""

from __future__ import annotations

from errno import EEXIST, ELOOP, ENODEV, ENOENT, ENOTDIR

from pyruntime.features.container_paths import clean
from pyruntime.features.idioms import (
    AT_EMPTY,
    MODE,
    MOVE_FLAGS,
    RDEV_MAJOR,
    RDEV_MINOR,
    SCRATCH,
    mount_id_of,
    statx_of,
)
from pyruntime.features.mount_options import words_of
from pyruntime.kernel.native import lib
from pyruntime.lib.files import S_IFBLK, S_IFCHR, S_IFIFO, S_IFLNK, S_IFMT
from pyruntime.plan import moments
from pyruntime.plan.step import (
    DIRECTORY,
    END,
    MAKE_DIRECTORY,
    Reg,
    Step,
    attempt,
    expect,
    refuse,
    resolve,
    sys,
    when,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.spec.types import Config

    # mode with type, major, minor, uid, gid, JSON pointer
    Wanted = tuple[int, int, int, int, int, str]

PROPERTIES = ("linux.devices",)

TYPES = {"c": S_IFCHR, "u": S_IFCHR, "b": S_IFBLK, "p": S_IFIFO}
DEFAULTS = (
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
)
DEFAULT = "/linux/devices"
PTMX = "/dev/ptmx"
LOOK = lib.O_PATH | lib.O_NOFOLLOW | lib.O_CLOEXEC
LINKS = (("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"),
         ("stderr", "/proc/self/fd/2"))  # fmt: skip
LAST_MAJOR, LAST_MINOR = (1 << 12) - 1, (1 << 20) - 1  # what a dev_t of the kernel holds


def rules(spec: Config) -> Iterator[tuple[str, str]]:
    seen: dict[str, tuple[Any, ...]] = {}
    for index, device in enumerate(spec.get("linux", {}).get("devices") or ()):
        pointer = f"/linux/devices/{index}"
        facts = tuple(device.get(name) for name in ("type", "major", "minor"))
        if seen.setdefault(clean(device["path"]), facts) != facts:
            yield f"{pointer}/path", "another device was listed for this path"
        if device["path"][:1] != "/" or "\0" in device["path"] or clean(device["path"]) == "/":
            yield f"{pointer}/path", "a device path must be absolute"
        if device["type"] not in TYPES:
            yield f"{pointer}/type", f"unknown device type {device['type']}"
        elif device["type"] != "p" and not ("major" in device and "minor" in device):
            yield pointer, "a device needs major and minor"
        numbers = {
            "major": (device.get("major", 0), LAST_MAJOR),
            "minor": (device.get("minor", 0), LAST_MINOR),
        }
        for name, (number, last) in numbers.items():
            if not 0 <= number <= last:
                yield f"{pointer}/{name}", f"not between 0 and {last}"


def brings_own_dev(spec: Config) -> bool:
    """A bind over /dev: the engine decides what is in it, nothing is made there."""
    return any(
        clean(mount["destination"]) == "/dev" and {"bind", "rbind"} & set(words_of(mount))
        for mount in spec.get("mounts") or ()
    )


def makedev(major: int, minor: int) -> int:
    """The kernel's number of a device, as mknod(2) takes it."""
    return (minor & 0xFF) | (major & 0xFFF) << 8 | (minor & ~0xFF) << 12 | (major & ~0xFFF) << 32


def _wanted(spec: Config) -> dict[str, Wanted]:
    """By path: the default ones and those listed, but for what a mount of the config has put there, which stays (as
    `-v /dev/urandom:/dev/random` asks), and but for /dev/ptmx, which is the container's own in any case."""
    wanted = {
        f"/dev/{name}": (S_IFCHR | 0o666, major, minor, 0, 0, DEFAULT)
        for name, major, minor in DEFAULTS
    }
    for index, device in enumerate(spec.get("linux", {}).get("devices") or ()):
        mode = TYPES[device["type"]] | (device.get("fileMode", 0o666) & 0o7777)
        wanted[clean(device["path"])] = (
            mode, device.get("major", 0), device.get("minor", 0), device.get("uid", 0) or 0,
            device.get("gid", 0) or 0, f"/linux/devices/{index}")  # fmt: skip
    for mount in spec.get("mounts") or ():
        wanted.pop(clean(mount["destination"]), None)
    wanted.pop(PTMX, None)
    return wanted


def plan(spec: Config, site: Site) -> Iterator[Step]:
    if brings_own_dev(spec) or not _has_place(spec, site):
        return
    wanted = _wanted(spec)
    tmpfs, names = -1, dict[str, str]()
    if site.privileged and site.has("user") and not site.in_user_namespace:
        from pyruntime.features import device_nodes

        tmpfs, names = device_nodes.hand(wanted, site)
        yield device_nodes.make(tmpfs, names, wanted, spec.get("linux", {}))
        yield device_nodes.attach(tmpfs, site)
    directories: dict[str, Reg] = {}
    for path, (mode, major, minor, uid, gid, pointer) in wanted.items():
        parent, _, name = path.rpartition("/")
        ops = []
        directory = directories.get(parent)
        if directory is None:
            directory = directories[parent] = Reg(parent)
            ops.append(resolve(site.root, parent or "/", directory, MAKE_DIRECTORY | DIRECTORY))
        if site.may_mknod or mode & S_IFMT == S_IFIFO:
            ops += _node(directory, name, mode, major, minor, uid, gid, replace=pointer == DEFAULT)
        else:
            mount = Reg(path)
            site.mount_ids.append((path, pointer, mount))
            if path in names:
                tree = Reg(f"node {path}")
                ops += [
                    device_nodes.clone(tmpfs, names[path], tree),
                    *_put(directory, name, tree, mount),
                ]
            else:
                ops += _bound_node(directory, name, path, mode, major, minor, mount)
        yield Step(moments.DEVICES, pointer, f"make device `{path}`", ops)
    if names:
        yield device_nodes.detach(tmpfs)
    yield from _links_and_end(directories, site)


def _links_and_end(directories: dict[str, Reg], site: Site) -> Iterator[Step]:
    found = []
    if "/dev" not in directories:  # mounts are in the place of every device there
        directories["/dev"] = Reg("/dev")
        found = [resolve(site.root, "/dev", directories["/dev"], MAKE_DIRECTORY | DIRECTORY)]
    yield Step(
        moments.DEV_LINKS,
        "/linux/devices",
        "make the links in /dev",
        [*found, *_links(directories["/dev"], site)],
    )
    yield Step(
        moments.DEV_LINKS,
        "/linux/devices",
        "forget the device directories",
        [sys(lib.NR_close, reg) for reg in directories.values()],
    )


def _has_place(spec: Config, site: Site) -> bool:
    """A changed root in other people's mounts takes device nodes, where those can be made, but no binds of them."""
    if site.has("mount") or site.may_mknod:
        return True
    from pyruntime.features import host_root

    return host_root.is_attached(spec, site)


def _node(
    directory: Reg,
    name: str,
    mode: int,
    major: int,
    minor: int,
    uid: int,
    gid: int,
    *,
    replace: bool,
) -> list[Any]:
    number = makedev(major, minor)
    make = [sys(lib.NR_mknodat, directory, name, mode, number)]
    if uid or gid:
        make.append(sys(lib.NR_fchownat, directory, name, uid, gid, lib.AT_SYMLINK_NOFOLLOW))
    first = sys(lib.NR_mknodat, directory, name, mode, number, ok=(EEXIST,))
    look = sys(lib.NR_statx, directory, name, lib.AT_SYMLINK_NOFOLLOW, lib.STATX_TYPE, SCRATCH)
    if not replace:
        same = [
            expect(MODE, mode & S_IFMT, 2, mask=S_IFMT, errno=EEXIST),
            expect(RDEV_MAJOR, major, 4, errno=EEXIST),
            expect(RDEV_MINOR, minor, 4, errno=EEXIST),
        ]
        return attempt([first, *make[1:]], instead=[look, *same])
    alike = [
        expect(MODE, mode & S_IFMT, 2, mask=S_IFMT),
        expect(RDEV_MAJOR, major, 4),
        expect(RDEV_MINOR, minor, 4),
    ]
    anew = [sys(lib.NR_unlinkat, directory, name, 0), *make]
    return attempt([first, *make[1:]], instead=[look, *when(alike, (), otherwise=anew)])


def _bound_node(
    directory: Reg, name: str, path: str, mode: int, major: int, minor: int, mount: Reg
) -> list[Any]:
    """The host's own node, proved to be that device: an ordinary user may not make any."""
    source, tree = Reg("source"), Reg("tree")
    clone = lib.OPEN_TREE_CLONE | lib.OPEN_TREE_CLOEXEC | AT_EMPTY
    return [
        sys(lib.NR_openat, lib.AT_FDCWD, path, LOOK, 0, out=source),
        statx_of(source),
        expect(MODE, mode & S_IFMT, 2, mask=S_IFMT, errno=ENODEV),
        expect(RDEV_MAJOR, major, 4, errno=ENODEV),
        expect(RDEV_MINOR, minor, 4, errno=ENODEV),
        sys(lib.NR_open_tree, source, "", clone, out=tree),
        sys(lib.NR_close, source),
        *_put(directory, name, tree, mount),
    ]


def _put(directory: Reg, name: str, tree: Any, mount: Reg) -> list[Any]:
    """A detached node over an empty file, or over what is there already but a link."""
    target = Reg("target")
    make = lib.O_CREAT | lib.O_EXCL | lib.O_NOFOLLOW | lib.O_CLOEXEC
    return [
        *mount_id_of(tree, mount),
        *attempt(
            [
                sys(lib.NR_openat, directory, name, make, 0o666, ok=(EEXIST,), out=target),
                sys(lib.NR_close, target),
            ]
        ),
        sys(lib.NR_openat, directory, name, LOOK, 0, out=target),
        statx_of(target),
        *when(expect(MODE, S_IFLNK, 2, mask=S_IFMT), [refuse(ELOOP)]),
        sys(lib.NR_move_mount, tree, "", target, "", MOVE_FLAGS),
        sys(lib.NR_close, target),
        sys(lib.NR_close, tree),
    ]


def _links(dev: Reg, site: Site) -> list[Any]:
    ops = [sys(lib.NR_symlinkat, target, dev, name, ok=(EEXIST,)) for name, target in LINKS]
    kcore = Reg("kcore")
    return [
        *ops,
        sys(lib.NR_unlinkat, dev, "ptmx", 0, ok=(ENOENT,)),
        sys(lib.NR_symlinkat, "pts/ptmx", dev, "ptmx"),
        resolve(site.root, "/proc/kcore", kcore, ok=(ENOENT, ENOTDIR), skip=END),
        sys(lib.NR_close, kcore),
        sys(lib.NR_symlinkat, "/proc/kcore", dev, "core", ok=(EEXIST,)),
    ]
