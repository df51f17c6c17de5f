"""process.terminal, process.consoleSize: a pty of the container's own devpts (config.md, Process).

ptmx is opened beneath the root without links, proved to be devpts's, reopened through our own procfs; the peer comes
from the master by ioctl, never by name (CVE-2025-52565). The master travels to the host, which hands it to the
console socket or relays it itself.
"""

from __future__ import annotations

from errno import EPERM

from pyruntime.features.idioms import (
    AT_EMPTY,
    FS_TYPE,
    MODE,
    MOVE_FLAGS,
    RDEV_MAJOR,
    RDEV_MINOR,
    SCRATCH,
    open_beneath,
    statx_of,
)
from pyruntime.features.mount_steps import remembered
from pyruntime.kernel.native import lib
from pyruntime.lib.files import S_IFCHR, S_IFMT
from pyruntime.plan import moments
from pyruntime.plan.step import (
    MAKE_FILE,
    NO_SYMLINKS,
    At,
    Buffer,
    Pointers,
    Reg,
    Step,
    decimal,
    expect,
    load,
    resolve,
    store,
    sys,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.spec.types import Config

PROPERTIES = ("process.terminal", "process.consoleSize")

CONSOLE = "/dev/console"
NAME_ROOM = 32  # bytes of "/dev/pts/N" in the message that carries the master
WITHOUT_LINKS = lib.RESOLVE_IN_ROOT | lib.RESOLVE_NO_SYMLINKS | lib.RESOLVE_NO_MAGICLINKS


def plan(spec: Config, site: Site) -> Iterator[Step]:
    process = spec.get("process", {})
    if not process.get("terminal"):
        return
    master, peer = Reg("master"), Reg("peer")
    yield Step(moments.CONSOLE, "/process/terminal", "open a pty", _open_master(site, master, peer))
    size = process.get("consoleSize")
    if size:
        window = b"".join(
            [size[name].to_bytes(2, "little") for name in ("height", "width")]
        ) + bytes(4)
        yield Step(
            moments.CONSOLE,
            "/process/consoleSize",
            f"set the window size to {size['height']}x{size['width']}",
            [sys(lib.NR_ioctl, master, lib.TIOCSWINSZ, window)],
        )
    yield Step(
        moments.CONSOLE, "/process/terminal", "send the pty to the host", _send(site, master)
    )
    yield Step(
        moments.CONSOLE,
        "/process/terminal",
        "make the pty stdin, stdout, stderr and /dev/console",
        _take_over(site, peer, process.get("user", {}).get("uid", 0)),
    )
    # Only the leader of a session can have it, and stays after its clone.
    moment = moments.LATE_SESSION if site.exec else moments.CONSOLE
    control = [sys(lib.NR_ioctl, 0, lib.TIOCSCTTY, 0)]
    yield Step(moment, "/process/terminal", "make the pty the controlling terminal", control)


def rules(spec: Config) -> Iterator[tuple[str, str]]:
    size: Any = spec.get("process", {}).get("consoleSize", {})
    for name in ("height", "width"):
        if size.get(name, 0) > 0xFFFF:
            yield f"/process/consoleSize/{name}", "more than 65535"


def _open_master(site: Site, master: Reg, peer: Reg) -> list[Any]:
    ptmx, link = Reg("ptmx"), Buffer(b"self/fd/" + bytes(24))
    return [
        open_beneath(site.root, "dev/pts/ptmx", lib.O_PATH, WITHOUT_LINKS, ptmx),
        sys(lib.NR_fstatfs, ptmx, SCRATCH),
        expect(FS_TYPE, lib.DEVPTS_SUPER_MAGIC, 8, errno=EPERM),
        statx_of(ptmx),
        expect(MODE, S_IFCHR, 2, mask=S_IFMT, errno=EPERM),
        expect(RDEV_MAJOR, 5, 4, errno=EPERM),
        expect(RDEV_MINOR, 2, 4, errno=EPERM),
        decimal(At(link, 8), ptmx),
        sys(
            lib.NR_openat,
            site.procfs,
            link,
            lib.O_RDWR | lib.O_NOCTTY | lib.O_CLOEXEC,
            0,
            out=master,
        ),
        sys(lib.NR_close, ptmx),
        sys(lib.NR_ioctl, master, lib.TIOCSPTLCK, b"\0\0\0\0"),
        sys(
            lib.NR_ioctl,
            master,
            lib.TIOCGPTPEER,
            lib.O_RDWR | lib.O_NOCTTY | lib.O_CLOEXEC,
            out=peer,
        ),
    ]


def _send(site: Site, master: Reg) -> list[Any]:
    """One message of type F: the name of the pty as text, the master as ancillary data."""
    number, value = Buffer(8), Reg("pts")
    header = b"F\0\0\0" + bytes(4) + NAME_ROOM.to_bytes(4, "little")
    message = Buffer(header + b"/dev/pts/".ljust(NAME_ROOM, b"\0"))
    rights = (
        (20).to_bytes(8, "little")
        + lib.SOL_SOCKET.to_bytes(4, "little")
        + lib.SCM_RIGHTS.to_bytes(4, "little")
    )
    control = Buffer(rights + bytes(8))
    envelope = Pointers((0, 0, Pointers((message, len(message.data))), 1, control, 24, 0))
    return [
        sys(lib.NR_ioctl, master, lib.TIOCGPTN, number),
        load(number, 4, value),
        decimal(At(message, len(header) + 9), value),
        store(At(control, 16), master, 4),
        sys(lib.NR_sendmsg, site.socket_fd, envelope, 0),
        sys(lib.NR_close, master),
    ]


def _take_over(site: Site, peer: Reg, uid: int) -> list[Any]:
    own = [sys(lib.NR_fchown, peer, uid, -1)] if uid else []
    return [
        *own,
        *([] if site.exec else _console(site, peer)),
        sys(lib.NR_dup3, peer, 0, 0),
        sys(lib.NR_dup3, peer, 1, 0),
        sys(lib.NR_dup3, peer, 2, 0),
        sys(lib.NR_close, peer),
    ]


def _console(site: Site, peer: Reg) -> list[Any]:
    """/dev/console is the first process's terminal, not that of one more."""
    target, tree = Reg("console"), Reg("tree")
    # Over a mount of the config that is to be found at the end, both are.
    covers = any(path == CONSOLE for path, _, _ in site.mount_ids)
    clone = lib.OPEN_TREE_CLONE | lib.OPEN_TREE_CLOEXEC | AT_EMPTY
    return [
        resolve(site.root, CONSOLE, target, MAKE_FILE | NO_SYMLINKS, 0o666),
        sys(lib.NR_open_tree, peer, "", clone, out=tree),
        *(remembered(tree, CONSOLE, "/process/terminal", site) if covers else []),
        sys(lib.NR_move_mount, tree, "", target, "", MOVE_FLAGS),
        sys(lib.NR_close, tree),
        sys(lib.NR_close, target),
    ]
