"""Our own detached procfs, made only when a step needs one: nobody can mount over it (CVE-2025-52881)."""

from __future__ import annotations

from pyruntime.features.fields import FS_TYPE, INODE, SCRATCH, statx_of
from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.plan.step import Reg, Step, expect, sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyruntime.features.site import Site

PROC_ROOT_INODE = 1
EPERM = 1


def plan(site: Site) -> Iterator[Step]:
    """Called after all features, if one of them has set `needs_procfs`."""
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
