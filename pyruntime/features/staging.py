"""Spawn shape B: the init enters the container's namespaces itself, one kind after the other.

The init starts in the runtime's namespaces as a stage. In the user namespace it has all rights over what it makes
after it; the maps are written by the host, which alone may (user_namespaces(7)). Only a child is in a new or joined
pid namespace and in a new time namespace: the rest of the tape is played by a clone, which is a child of the
runtime like its stage was (CLONE_PARENT).

Nobody may look into a process that has joined a namespace somebody else lives in (CVE-2016-9962), so it is
non-dumpable from its first call on. An ordinary user could not write the maps of such a process: for a *new* user
namespace, in which nobody else lives, it is dumpable while the host writes.
"""

from __future__ import annotations

from errno import EINVAL, ENOMEM, ENOSPC, EPERM

from pyruntime.errors import StepError
from pyruntime.kernel.native import lib
from pyruntime.lib.proc import SIGKILL
from pyruntime.plan import messages, moments
from pyruntime.plan.step import CLONE, SYNC, Step, builtin, sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.spec.types import Config, IDMapping, Linux


def plan(spec: Config, site: Site, others: int) -> Iterator[Step]:
    """`others` are the CLONE_NEW* flags of the namespaces without a place of their own in the order."""
    linux = spec.get("linux", {})
    if "user" in site.created:
        yield _new_user_namespace(linux, site)
    elif "user" in site.joined and (linux.get("uidMappings") or linux.get("gidMappings")):
        yield _compare_maps(linux, site)
    if "time" in site.created:
        new_time = [sys(lib.NR_unshare, lib.CLONE_NEWTIME)]
        yield Step(moments.TIME_NAMESPACE, "/linux/namespaces", "new time namespace", new_time)
    if site.has("user"):
        text = "become the root of the user namespace"
        yield Step(moments.NAMESPACE_ROOT, "/linux/namespaces", text, become_root(linux, site))
    if others:
        unshare = [sys(lib.NR_unshare, others)]
        yield Step(moments.NEW_NAMESPACES, "/linux/namespaces", "new namespaces", unshare)
    if site.has("pid") or "time" in site.created:
        yield clone(lib.CLONE_NEWPID if "pid" in site.created else 0, site)


def clone(flags: int, site: Site, moment: int = moments.CLONE) -> Step:
    """The stage ends; its clone dies with the runtime, as it did."""
    ops = [
        builtin(CLONE, site.socket_fd, flags),
        sys(lib.NR_prctl, lib.PR_SET_PDEATHSIG, SIGKILL),
    ]
    text = "clone the container's process"
    failure = _no_clone if "pid" in site.joined else None
    return Step(moment, "/linux/namespaces", text, ops, failure=failure)


def _no_clone(number: int, text: bytes) -> Exception:
    """The kernel has this errno also for a pid namespace that can never again hold a process (clone(2))."""
    hint = "the first process of the pid namespace may have ended" if number == ENOMEM else None
    return StepError("clone the container's process", "/linux/namespaces", errno=number, hint=hint)


def _new_user_namespace(linux: Linux, site: Site) -> Step:
    ops = [sys(lib.NR_unshare, lib.CLONE_NEWUSER)]
    if site.unprivileged_user:
        ops.append(sys(lib.NR_prctl, lib.PR_SET_DUMPABLE, 1))
    ops.append(builtin(SYNC, site.socket_fd, messages.SYNC))
    uids, gids = linux.get("uidMappings") or [], linux.get("gidMappings") or []
    return Step(
        moments.USER_NAMESPACE,
        "/linux/namespaces",
        "new user namespace",
        ops,
        run=lambda host: host.write_id_maps(uids, gids),
        failure=_no_user_namespace,
    )


def _no_user_namespace(number: int, text: bytes) -> Exception:
    hint = None
    if number in (EPERM, ENOSPC):
        hint = (
            "see the sysctls user.max_user_namespaces and kernel.unprivileged_userns_clone; "
            "a process whose root was changed by chroot cannot make one"
        )
    return StepError("new user namespace", "/linux/namespaces", errno=number, hint=hint)


def _compare_maps(linux: Linux, site: Site) -> Step:
    """Engines give a path and the maps its namespace has; other ones cannot be honoured (config-linux.md)."""
    uids, gids = linux.get("uidMappings") or [], linux.get("gidMappings") or []
    return Step(
        moments.USER_NAMESPACE,
        "/linux/uidMappings",
        "compare the maps of the joined user namespace",
        [builtin(SYNC, site.socket_fd, messages.SYNC)],
        run=lambda host: host.compare_id_maps(uids, gids),
    )


def become_root(linux: Linux, site: Site) -> list[Any]:
    """Id 0 of the namespace, or the first there is. The change of credentials cleared the death signal."""
    uid, gid = _root_of(linux.get("uidMappings")), _root_of(linux.get("gidMappings"))
    unmapped = (EINVAL,) if "user" in site.joined else ()
    return [
        sys(lib.NR_prctl, lib.PR_SET_DUMPABLE),
        sys(lib.NR_setgroups, 0, 0, ok=(EPERM,)),  # denied where the map is one's own
        sys(lib.NR_setresgid, gid, gid, gid, ok=unmapped),
        sys(lib.NR_setresuid, uid, uid, uid, ok=unmapped),
        sys(lib.NR_prctl, lib.PR_SET_DUMPABLE),
        sys(lib.NR_prctl, lib.PR_SET_PDEATHSIG, SIGKILL),
    ]


def _root_of(mappings: list[IDMapping] | None) -> int:
    starts = [row["containerID"] for row in mappings or ()]
    return 0 if 0 in starts or not starts else starts[0]
