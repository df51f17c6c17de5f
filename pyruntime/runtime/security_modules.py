"""Which security module of the kernel is in force, asked only where a config wants something of it."""

from __future__ import annotations

import posix

from pyruntime.kernel import calls
from pyruntime.kernel.native import lib
from pyruntime.lib.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.features.site import Site

SELINUXFS = "/sys/fs/selinux"
NO_POLICY = b"kernel"  # the label of everything until a policy is loaded


def look(site: Site) -> None:
    """Fills in what features/labels.py must know."""
    site.apparmor, site.selinux = has_apparmor(), has_selinux()


def has_apparmor() -> bool:
    """By the module's own word. securityfs, which runc asks too, need not be mounted where we run."""
    try:
        return read_file("/sys/module/apparmor/parameters/enabled", 16)[:1] == b"Y"
    except OSError:
        return False


def has_selinux() -> bool:
    """As libselinux: a selinuxfs that can be written to, and a policy."""
    try:
        fd = posix.open(SELINUXFS, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except OSError:
        return False
    try:
        # The magic number has its highest bit set; statfs(2) may give it with a sign.
        if calls.fs_type(fd) & 0xFFFFFFFF != lib.SELINUX_MAGIC:
            return False
        if posix.fstatvfs(fd).f_flag & posix.ST_RDONLY:
            return False
    finally:
        posix.close(fd)
    return read_file("/proc/self/attr/current", 4096).rstrip(b"\0\n") != NO_POLICY
