"""procfs, sysfs and mqueue show a namespace: which one it is where that is joined and the user namespace is another."""

from __future__ import annotations

import posix
from errno import EPERM

from pyruntime.features.failures import failed_mount, file_systems_words
from pyruntime.features.idioms import configure
from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.plan.step import Reg, Step, sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyruntime.features.mount_options import Options
    from pyruntime.features.site import Site

# Of the namespace they show; a file of another name in /proc/PID/ns.
SHOWN = {"proc": ("pid", "pid"), "sysfs": ("network", "net"), "mqueue": ("ipc", "ipc")}


def shares_ours(kind: str, site: Site) -> bool:
    """Whether the container has the runtime's own namespace of that kind, asked for by its path or not at all."""
    path = site.joined.get(kind)
    if kind in site.created or site.exec or path is None:
        return kind not in site.created
    name = next(name for shown, name in SHOWN.values() if shown == kind)
    try:
        return posix.stat(path).st_ino == posix.stat(f"/proc/self/ns/{name}").st_ino
    except OSError:
        return False  # as opening it will tell


def early(kind: str, options: Options, fd: Reg, pointer: str, site: Site) -> Iterator[Step]:
    """A new user namespace owns nothing of a namespace that is joined: its file system is made before, by the rights of
    root, and is not the host's in its place (security: R-38). A procfs cannot be: it shows where its maker lives."""
    if not site.privileged or "user" not in site.created or kind not in ("sysfs", "mqueue"):
        return
    shown = SHOWN[kind][0]
    if shown not in site.joined or shares_ours(shown, site):
        return
    context = Reg("context")
    ops = [
        sys(lib.NR_fsopen, kind, lib.FSOPEN_CLOEXEC, out=context),
        *configure(context, [f"source={kind}", *options.context, *options.data]),
        sys(lib.NR_fsconfig, context, lib.FSCONFIG_CMD_CREATE, log=context),
        sys(lib.NR_fsmount, context, lib.FSMOUNT_CLOEXEC, options.set, out=fd, log=context),
        sys(lib.NR_close, context),
    ]
    yield Step(
        moments.JOIN, pointer, f"make the {kind} of the {shown} namespace that is joined", ops
    )


def refusal(
    kind: str, text: str, pointer: str, site: Site
) -> Callable[[int, bytes], Exception] | None:
    if kind not in SHOWN or SHOWN[kind][0] not in site.joined or not site.has("user"):
        return None
    shown = SHOWN[kind][0]

    def failure(number: int, said: bytes) -> Exception:
        why = file_systems_words(said)
        hint = (
            f"the {shown} namespace that is joined does not belong to the container's user namespace: join the user"
            f" namespace it belongs to, or leave the {kind} out"
        )
        return failed_mount(text, pointer, number, why, hint if number == EPERM else None)

    return failure
