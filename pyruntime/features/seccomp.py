"""linux.seccomp (config-linux.md, Seccomp): the program is made here, checked by the kernel, loaded by the init.

Without no_new_privs it must load while CAP_SYS_ADMIN is held, so before the credentials change; with it, as the last
thing before the program (docs/design.md says which calls of ours the filter then sees).
"""

from __future__ import annotations

from pyruntime.errors import SpecError, UnsupportedError
from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.plan.step import Pointers, Step, sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.features.site import Site

PROPERTIES = ("linux.seccomp",)

INSTRUCTION = 8  # bytes of a struct sock_filter


def is_wanted(spec: dict[str, Any]) -> bool:
    """As runc: a profile without default action and without rules is none."""
    profile = spec.get("linux", {}).get("seccomp")
    return bool(
        profile
        and spec.get("process")
        and (profile.get("defaultAction") or profile.get("syscalls"))
    )


def rules(spec: dict[str, Any]) -> Iterator[tuple[str, str]]:
    profile = spec.get("linux", {}).get("seccomp") or {}
    uses_notify = profile.get("defaultAction") == "SCMP_ACT_NOTIFY" or any(
        rule.get("action") == "SCMP_ACT_NOTIFY" for rule in profile.get("syscalls") or ()
    )
    if uses_notify and not profile.get("listenerPath"):
        yield "/linux/seccomp/listenerPath", "SCMP_ACT_NOTIFY needs a listenerPath"
    if profile.get("listenerMetadata") and not profile.get("listenerPath"):
        yield "/linux/seccomp/listenerMetadata", "needs a listenerPath"


def plan(spec: dict[str, Any], site: Site) -> Iterator[Step]:
    if not is_wanted(spec):
        return
    from pyruntime.seccomp.compile import compile_filter
    from pyruntime.seccomp.profile import ProfileError, read_flags

    profile = spec["linux"]["seccomp"]
    if profile.get("listenerPath"):
        raise UnsupportedError(
            "a seccomp listener (/linux/seccomp/listenerPath) is not supported by this version "
            "of pyruntime"
        )
    try:
        program, warnings = compile_filter(profile, site.machine)
        flags = read_flags(profile)
    except ProfileError as error:
        raise SpecError([(pointer, why, "") for pointer, why in error.findings]) from error
    site.warnings += warnings
    late = bool(spec["process"].get("noNewPrivileges"))
    moment = moments.SECCOMP_LATE if late else moments.SECCOMP_EARLY
    count = len(program) // INSTRUCTION
    yield Step(
        moment,
        "/linux/seccomp",
        f"load the seccomp filter ({count} instructions)",
        [sys(lib.NR_seccomp, lib.SECCOMP_SET_MODE_FILTER, flags, Pointers((count, program)))],
    )


def report() -> dict[str, Any]:
    from pyruntime.seccomp import words

    return {
        "linux": {
            "seccomp": {
                "enabled": True,
                # A profile with NOTIFY needs a listener, which is not there yet.
                "actions": sorted(name for name in words.ACTIONS if name != "SCMP_ACT_NOTIFY"),
                "operators": sorted(words.OPERATORS),
                "archs": sorted(words.ARCHITECTURES),
                "knownFlags": sorted(words.FLAGS),
                "supportedFlags": sorted(words.FLAGS),
            }
        }
    }
