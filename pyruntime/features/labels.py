"""process.apparmorProfile, process.selinuxLabel, linux.mountLabel (config.md, Linux process; config-linux.md, Mount label).

A profile or label is written to our own entry of a procfs nobody can mount over (CVE-2019-16884, CVE-2019-19921,
CVE-2025-52881) and takes effect at execve. Its file is opened and written by one process, as the kernel wants it; a
clone inherits what was written, so the process that enters a container has it before it is among the others.

What was asked for and is not there is an error. Only the profile `unconfined` asks for nothing.
"""

from __future__ import annotations

from errno import ENOENT

from pyruntime.errors import StepError, UnsupportedError
from pyruntime.features.procfs import write_file
from pyruntime.plan import moments
from pyruntime.plan.step import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.spec.types import Config

PROPERTIES = ("process.apparmorProfile", "process.selinuxLabel", "linux.mountLabel")

UNCONFINED = "unconfined"
# Linux 5.8, below our baseline; `attr/exec` may be another security module's.
APPARMOR = "attr/apparmor/exec"


def rules(spec: Config) -> Iterator[tuple[str, str]]:
    sections: Any = spec
    for path in PROPERTIES:
        section, name = path.split(".")
        text: str = sections.get(section, {}).get(name) or ""
        if any(ord(letter) < 32 or letter == "\x7f" for letter in text):
            yield f"/{section}/{name}", f"{name} may not hold control characters"
        elif name == "mountLabel" and '"' in text:  # in quotes where it shares a string
            yield f"/{section}/{name}", f"{name} may not hold quotes"


def plan(spec: Config, site: Site) -> Iterator[Step]:
    process = spec.get("process", {})
    profile, label = process.get("apparmorProfile"), process.get("selinuxLabel")
    if profile and (site.apparmor or profile != UNCONFINED):
        yield _apply_profile(profile, site)
    if label:
        yield from _apply_label(label, site)
    mount_label = spec.get("linux", {}).get("mountLabel")
    if mount_label and not site.exec:
        if not site.selinux:
            raise _no_selinux("/linux/mountLabel")
        site.mount_label = mount_label


def _apply_profile(profile: str, site: Site) -> Step:
    """The words before the pointer are runc's; Podman looks for the file in backquotes."""
    pointer = "/process/apparmorProfile"
    if not site.apparmor:
        raise UnsupportedError(
            "apparmor: config provided but apparmor not supported",
            pointer,
            why="this kernel has it not enabled",
            hint="leave the profile out, or ask for `unconfined`",
        )
    text = (
        "unable to apply apparmor profile: apparmor failed to apply profile "
        f"{profile}: write `/proc/self/{APPARMOR}`"
    )

    def failure(number: int, _: bytes) -> StepError:
        hint = None
        if number == ENOENT:
            hint = f"no profile of the name {profile} is loaded; see apparmor_parser(8)"
        return StepError(text, pointer, errno=number, hint=hint)

    ops = write_file(site, f"self/{APPARMOR}", f"exec {profile}")
    return Step(moments.LABEL, pointer, text, ops, failure=failure)


def _apply_label(label: str, site: Site) -> Iterator[Step]:
    """The keyring is labelled when it is made; execve(2) puts the default for later keys back."""
    pointer = "/process/selinuxLabel"
    if not site.selinux:
        raise _no_selinux(pointer)
    if site.new_keyring:
        text = f"label the session keyring {label}: write `/proc/self/attr/keycreate`"
        ops = write_file(site, "self/attr/keycreate", label)
        yield Step(moments.SESSION, pointer, text, ops)
    text = f"unable to set process label {label}: write `/proc/self/attr/exec`"
    yield Step(moments.LABEL, pointer, text, write_file(site, "self/attr/exec", label))


def _no_selinux(pointer: str) -> UnsupportedError:
    return UnsupportedError(
        "selinux label is specified in config, but selinux is disabled or not supported", pointer
    )


def report() -> dict[str, Any]:
    return {"linux": {"apparmor": {"enabled": True}, "selinux": {"enabled": True}}}
