"""linux.seccomp (config-linux.md, Seccomp): the program is made here, checked by the kernel, loaded by the init.

It is the last thing before the wait for `start`, when the process has its ids, directory and program: of our own calls
it sees read, write, close and execve. Without no_new_privs loading it takes CAP_SYS_ADMIN, which credentials.py then
keeps until one more capset(2) takes it away. Every profile written for runc or crun allows these.
"""

from __future__ import annotations

import posix
from errno import EBUSY, EINVAL

from pyruntime.errors import SpecError, StepError
from pyruntime.features.program import is_filtered
from pyruntime.kernel.native import lib
from pyruntime.plan import messages, moments
from pyruntime.plan.step import SYNC, At, Buffer, Pointers, Reg, Step, builtin, store, sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.spec.types import Config, LinuxSeccomp

PROPERTIES = ("linux.seccomp",)

INSTRUCTION = 8  # bytes of a struct sock_filter
CAP_SYS_PTRACE = lib.CAP_SYS_PTRACE
NOTIFY = "SCMP_ACT_NOTIFY"


def rules(spec: Config) -> Iterator[tuple[str, str]]:
    profile = spec["linux"]["seccomp"]
    path = profile.get("listenerPath") or ""
    if _notifies(profile) and not path:
        yield "/linux/seccomp/listenerPath", f"{NOTIFY} needs a listenerPath"
    if "\0" in path:
        yield "/linux/seccomp/listenerPath", "holds a NUL byte"
    if profile.get("listenerMetadata") and not profile.get("listenerPath"):
        yield "/linux/seccomp/listenerMetadata", "needs a listenerPath"


def rules_of_profile(spec: Config) -> Iterator[tuple[str, str]]:
    """What reading the whole profile finds. `plan` reads it too, so that a right config is not read twice."""
    from pyruntime.seccomp.profile import Profile, ProfileError, read_flags
    from pyruntime.seccomp.words import MACHINES

    profile, machine = spec["linux"]["seccomp"], posix.uname().machine
    if machine not in MACHINES:
        return
    for judge in (lambda: Profile(profile, MACHINES[machine]), lambda: read_flags(profile)):
        try:
            judge()
        except ProfileError as error:
            yield from error.findings


def _notifies(profile: LinuxSeccomp) -> bool:
    return profile.get("defaultAction") == NOTIFY or any(
        rule.get("action") == NOTIFY for rule in profile.get("syscalls") or ()
    )


def plan(spec: Config, site: Site) -> Iterator[Step]:
    if not is_filtered(spec):
        return
    from pyruntime.seccomp.compile import compile_filter
    from pyruntime.seccomp.profile import ProfileError, read_flags

    profile = spec["linux"]["seccomp"]
    try:
        program, notices = compile_filter(profile, site.machine)
        flags = read_flags(profile)
    except ProfileError as error:
        raise SpecError([(pointer, why, "") for pointer, why in error.findings]) from error
    # Profiles often name calls that this build does not know; runc also reports them at debug level.
    site.notices += [*notices, f"seccomp filter flags: {flags}"]
    count = len(program) // INSTRUCTION
    text = f"load the seccomp filter ({count} instructions)"
    fd = Reg("listener")
    filter_ = Pointers((count, program))
    load = sys(lib.NR_seccomp, lib.SECCOMP_SET_MODE_FILTER, flags, filter_, out=fd)
    if not _notifies(profile):
        yield Step(moments.SECCOMP, "/linux/seccomp", text, [load])
        return
    path, metadata = profile["listenerPath"], profile.get("listenerMetadata")
    yield Step(
        moments.SECCOMP,
        "/linux/seccomp",
        f"{text}, its listener for `{path}`",
        [load, *_pass_on(profile, fd, site), builtin(SYNC, site.socket_fd, messages.SYNC, fd)],
        run=lambda host: host.hand_over_listener(path, metadata),
        failure=lambda number, _: _not_loaded(text, flags, number),
    )
    # As long as we have it too, nobody learns that the agent is gone.
    text = "keep nothing of the listener"
    yield Step(moments.SECCOMP, "/linux/seccomp/listenerPath", text, [sys(lib.NR_close, fd)])


def _pass_on(profile: LinuxSeccomp, fd: Reg, site: Site) -> list[Any]:
    """The filter is in force: whoever may trace us is told the number alone and takes the descriptor itself, so that
    write(2) is enough. Nobody else may look into us, and then sendmsg(2) must get through, unseen by the agent."""
    if site.capabilities >> CAP_SYS_PTRACE & 1:
        return []
    for index, rule in enumerate(profile.get("syscalls") or ()):
        if rule.get("action") == NOTIFY and "sendmsg" in rule["names"]:
            why = f"{NOTIFY} cannot be used for sendmsg without CAP_SYS_PTRACE: it hands the listener over"
            raise SpecError([(f"/linux/seccomp/syscalls/{index}/names", why, "")])
    message = Buffer(bytes((messages.LISTENER, 0, 0, 0)) + bytes(8))
    control = Buffer(
        (20).to_bytes(8, "little")
        + lib.SOL_SOCKET.to_bytes(4, "little")
        + lib.SCM_RIGHTS.to_bytes(4, "little")
        + bytes(8)
    )
    envelope = Pointers((0, 0, Pointers((message, len(message.data))), 1, control, 24, 0))
    return [
        store(At(control, 16), fd, 4),
        sys(lib.NR_sendmsg, site.socket_fd, envelope),
    ]


def _not_loaded(text: str, flags: int, number: int) -> StepError:
    from pyruntime.seccomp import words

    hint = None
    if number == EBUSY:
        hint = "a filter with a listener is in force already where pyruntime runs; there can be one"
    elif number == EINVAL and flags & words.FLAGS["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]:
        hint = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs Linux 5.19"
    return StepError(text, "/linux/seccomp", errno=number, hint=hint)


def report() -> dict[str, Any]:
    from pyruntime.kernel import calls
    from pyruntime.seccomp import words

    known = sorted(words.FLAGS)
    # What is about notifications is only known together with them.
    supported = [
        name
        for name in known
        if calls.seccomp_knows(words.FLAGS[name])
        or calls.seccomp_knows(words.FLAGS[name] | words.NEW_LISTENER)
    ]
    return {
        "linux": {
            "seccomp": {
                "enabled": True,
                "actions": sorted(words.ACTIONS),
                "operators": sorted(words.OPERATORS),
                "archs": sorted(words.ARCHITECTURES),
                "knownFlags": known,
                "supportedFlags": supported,
            }
        }
    }
