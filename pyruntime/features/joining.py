"""What `exec` does instead of making a container: the stage joins the one there is.

The namespaces are those of the container's init, all entered at once through one pidfd, which is opened and proved
before (security: R-07, R-20, R-30); the kernel enters the user namespace first (setns(2)). Cgroups come before them,
for the cgroup namespace hides the paths to join by.
"""

from __future__ import annotations

import posix
from errno import EPERM, ESRCH

from pyruntime.errors import WORDS, StepError
from pyruntime.features import staging
from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.plan.step import Step, sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyruntime.features.site import Site
    from pyruntime.plan.host import HostSide


def plan(site: Site, flags: int) -> Iterator[Step]:
    """`flags` are the CLONE_NEW* of the container's namespaces, `site.join_count` is how many `tasks` files the
    conductor opens (Host.task_fds)."""
    yield from _cgroups(site)
    pidfd = site.hand("init")
    yield Step(
        moments.SOURCES,
        "",
        "hand over the container's init",
        run=lambda host: host.give(pidfd, posix.dup(host.container_pidfd)),
    )
    if flags:
        ops = [sys(lib.NR_setns, pidfd, flags)]
        yield Step(
            moments.JOIN, "/linux/namespaces", "join the container", ops, failure=_not_joined
        )
    if site.has("user"):
        yield Step(
            moments.NAMESPACE_ROOT,
            "/linux/namespaces",
            "become the root of the user namespace",
            staging.become_root({}, site),
        )
    if not site.has("mount"):
        yield from _enter_root(site)
    if site.has("pid"):
        yield staging.clone(0, site, moments.LATE_CLONE)
    directory = lib.O_PATH | lib.O_DIRECTORY | lib.O_CLOEXEC
    open_root = [sys(lib.NR_openat, lib.AT_FDCWD, "/", directory, 0, out=site.root)]
    yield Step(moments.ROOT, "/root/path", "open the container's root", open_root)


def _cgroups(site: Site) -> Iterator[Step]:
    numbers = [site.hand(f"tasks {index}") for index in range(site.join_count)]

    def give(host: HostSide) -> None:
        fds, host.task_fds = host.task_fds, []
        for number, fd in zip(numbers, fds, strict=True):
            host.give(number, fd)

    if not numbers:
        return
    yield Step(moments.CGROUP, "/linux/cgroupsPath", "hand over the cgroups", run=give)
    ops = []
    for number in numbers:
        ops += [sys(lib.NR_write, number, "0", 1), sys(lib.NR_close, number)]
    yield Step(moments.JOIN_CGROUP, "/linux/cgroupsPath", "join the cgroups", ops)


def _enter_root(site: Site) -> Iterator[Step]:
    """A container without a mount namespace lives in a changed root, which no namespace tells of."""
    number = site.hand("container root")

    def open_root(host: HostSide) -> None:
        flags = posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC
        host.give(number, posix.open(f"/proc/{host.container_pid}/root", flags))

    yield Step(moments.SOURCES, "/root/path", "open the container's root", run=open_root)
    yield Step(
        moments.JOIN_LATE,
        "/root/path",
        "enter the container's root",
        [sys(lib.NR_fchdir, number), sys(lib.NR_chroot, "."), sys(lib.NR_chdir, "/")],
    )


def _not_joined(number: int, text: bytes) -> Exception:
    if number == ESRCH:
        return StepError(WORDS["exec stopped"])
    hint = None
    if number == EPERM:
        hint = "a program that made itself non-dumpable can only be joined with CAP_SYS_PTRACE"
    return StepError(
        "join the container's namespaces", "/linux/namespaces", errno=number, hint=hint
    )
