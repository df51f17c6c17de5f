"""What every init does first and last, whatever the config says: session, keyring, parent death, descriptors.

The parent-death signal makes a half-made init die with the runtime; it is cleared only when created is recorded and
the runtime may leave (security: R-26). The keyring keeps the caller's keys out of the container (R-22).
"""

from __future__ import annotations

from errno import EBADF, EINVAL, ENOSYS, EPERM

from pyruntime.kernel.native import lib
from pyruntime.lib.proc import SIGKILL
from pyruntime.plan import messages, moments
from pyruntime.plan.step import SYNC, WAIT, Reg, Step, attempt, builtin, sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.spec.types import Config

PROPERTIES = ()

KEY_PERMISSIONS = 0x3F1B0000  # possessor: all; user: view, read, search, link
ALL_CPUS = b"\xff" * 1024  # no kernel is built for more than 8192
LAST_FD = 0xFFFFFFFF
TIMER_SLACK_NS = 50_000  # the kernel's own default; 0 would mean our caller's


def plan(spec: Config, site: Site) -> Iterator[Step]:
    die_with_parent = sys(lib.NR_prctl, lib.PR_SET_PDEATHSIG, SIGKILL)
    yield Step(moments.BIRTH, "", "die with the runtime, pass nothing on", [
        die_with_parent,
        # Handed descriptors had to survive the init's own execve; nothing else shall.
        sys(lib.NR_close_range, site.first_fd, LAST_FD, lib.CLOSE_RANGE_CLOEXEC),
    ])  # fmt: skip
    yield Step(
        moments.BIRTH,
        "",
        "leave the bundle, clear the umask",
        [sys(lib.NR_chdir, "/"), sys(lib.NR_umask, 0)],
    )
    session = sys(lib.NR_setsid, ok=(EPERM,))
    if site.exec:
        yield Step(moments.LATE_SESSION, "", "new session", [session])
    else:
        yield Step(moments.SESSION, "", "new session", [session])
    if site.new_keyring:
        yield Step(moments.SESSION, "", "new session keyring", _keyring(site))
    slack = [sys(lib.NR_prctl, lib.PR_SET_TIMERSLACK, TIMER_SLACK_NS)]
    yield Step(moments.EXECUTION, "", "reset the timer slack", slack)
    if not site.affinity_chosen:
        # As runc: the caller's affinity is not the container's; the cpuset decides.
        every = sys(lib.NR_sched_setaffinity, 0, len(ALL_CPUS), ALL_CPUS, ok=(EINVAL, EPERM))
        yield Step(moments.EXECUTION, "", "reset the cpu affinity", [every])
    yield Step(moments.SWEEP, "", "close every descriptor of the host", _sweep(site))
    yield Step(moments.PARENT_DEATH, "", "die with the runtime, as the new user", [die_with_parent])
    no_signal = [sys(lib.NR_prctl, lib.PR_SET_PDEATHSIG)]
    yield Step(moments.INDEPENDENCE, "", "no longer die with the runtime", no_signal)
    yield Step(moments.RELEASE, "", "report ready", [
        builtin(SYNC, site.socket_fd, messages.READY),
        *([] if site.inline else [sys(lib.NR_close, site.socket_fd)]),
    ])  # fmt: skip
    if not site.exec:  # who joins a container starts at once
        wait = [builtin(WAIT, site.start_fd, site.report_fd)]
        yield Step(moments.WAIT, "", "wait for start", wait)


def _keyring(site: Site) -> list[Any]:
    ring, name = Reg("keyring"), f"_ses.{site.container_id}"
    join = lib.KEYCTL_JOIN_SESSION_KEYRING
    return attempt(
        [
            sys(lib.NR_keyctl, join, name, out=ring, ok=(ENOSYS,)),
            sys(lib.NR_keyctl, lib.KEYCTL_SETPERM, ring, KEY_PERMISSIONS),
        ]
    )


def _sweep(site: Site) -> list[Any]:
    return [
        sys(lib.NR_close, site.first_fd),  # the tape
        # What the set-up may have opened where the caller has a gap is none of the program's.
        *[sys(lib.NR_close, fd, ok=(EBADF,)) for fd in site.gaps],
        sys(lib.NR_close_range, site.sweep_fd, LAST_FD, 0),
    ]
