"""A procfs nobody can mount over, only when a step needs one (CVE-2025-52881): our own detached one, or the host's.

In a user namespace the kernel refuses a new one while parts of the old are covered, so the host lends its own: what
is opened through it with NO_XDEV cannot be anything but procfs, and `self` is the init there too.
"""

from __future__ import annotations

import posix
from errno import EIO, EPERM

from pyruntime.errors import StepError
from pyruntime.features.idioms import FS_TYPE, INODE, SCRATCH, open_beneath, statx_of
from pyruntime.kernel import calls
from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.plan.step import Reg, Step, assign, expect, sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.features.site import Site

PROC_ROOT_INODE = 1
BENEATH = lib.RESOLVE_BENEATH | lib.RESOLVE_NO_XDEV | lib.RESOLVE_NO_MAGICLINKS
"""`self` is a link; what is mounted over anything on the way, and what leads elsewhere, is an error."""


def write_file(site: Site, path: str, text: str, rules: int = BENEATH) -> list[Any]:
    """All of `text` by one write(2) into a file of our procfs, or an error (security: R-03)."""
    fd, wrote = Reg(path), Reg("wrote")
    data = text.encode("utf-8", "surrogateescape")
    return [
        open_beneath(site.procfs, path, lib.O_WRONLY, rules, fd),
        assign(wrote, -1),
        sys(lib.NR_write, fd, data, len(data), out=wrote),
        expect(wrote, len(data), errno=EIO),
        sys(lib.NR_close, fd),
    ]


def plan(site: Site) -> Iterator[Step]:
    """Called after all features, if one of them has asked for `site.procfs`."""
    if site.procfs_lent >= 0:
        number = site.procfs_lent
        yield Step(
            moments.SOURCES,
            "",
            "open the host's procfs",
            run=lambda host: host.give(number, _open_own()),
        )
        return
    context = Reg("context")
    yield Step(
        moments.PROCFS,
        "",
        "make a private procfs",
        [
            sys(lib.NR_fsopen, "proc", lib.FSOPEN_CLOEXEC, out=context),
            sys(lib.NR_fsconfig, context, lib.FSCONFIG_CMD_CREATE, log=context),
            sys(lib.NR_fsmount, context, lib.FSMOUNT_CLOEXEC, 0, out=site.procfs, log=context),
            sys(lib.NR_close, context),
            sys(lib.NR_fstatfs, site.procfs, SCRATCH),
            expect(FS_TYPE, lib.PROC_SUPER_MAGIC, 8, errno=EPERM),
            statx_of(site.procfs),
            expect(INODE, PROC_ROOT_INODE, 8, errno=EPERM),
        ],
    )


def _open_own() -> int:
    fd = posix.open("/proc", posix.O_PATH | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC)
    if calls.fs_type(fd) != lib.PROC_SUPER_MAGIC or posix.fstat(fd).st_ino != PROC_ROOT_INODE:
        posix.close(fd)
        raise StepError("/proc of the host is not a procfs", errno=EPERM)
    return fd
