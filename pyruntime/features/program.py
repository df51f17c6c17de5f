"""What several features ask of the program to be: its environment, and whether a filter will stand over it."""

from __future__ import annotations

from pyruntime.features.container_paths import NOTIFY_DIRECTORY, NOTIFY_SOCKET
from pyruntime.plan.step import Buffer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.spec.types import Config, Process

PATH_LIMIT = 4096


def environment(process: Process) -> dict[str, str]:
    """The last of equal names wins, in the order of the first (as runc)."""
    env: dict[str, str] = {}
    for entry in process.get("env") or ():
        name, _, value = entry.partition("=")
        env[name] = value
    return env


def environment_words(process: Process, site: Site) -> tuple[list[Any], Buffer | None]:
    """What execve is given, for the program and for hooks that inherit its environment; where HOME has to be looked up
    it is a buffer, which stands last."""
    if site.environment is None:
        env, home = environment(process), None
        if site.activated:
            env |= {"LISTEN_FDS": str(site.activated), "LISTEN_PID": "1"}
        if site.notify:
            env["NOTIFY_SOCKET"] = f"{NOTIFY_DIRECTORY}/{NOTIFY_SOCKET}"
        if not env.get("HOME"):
            env.pop("HOME", None)
            home = Buffer(b"HOME=/".ljust(PATH_LIMIT, b"\0"))
        words: list[Any] = [f"{name}={value}" for name, value in env.items()]
        site.environment = ([*words, home] if home else words, home)
    found: tuple[list[Any], Buffer | None] = site.environment
    return found


def is_filtered(spec: Config) -> bool:
    """As runc: a profile without default action and without rules is none."""
    profile: Any = spec.get("linux", {}).get("seccomp") or {}
    return bool(spec.get("process") and (profile.get("defaultAction") or profile.get("syscalls")))


def needs_admin(spec: Config) -> bool:
    """Whether loading the filter takes CAP_SYS_ADMIN: seccomp(2) asks it of a process that may still gain
    privileges."""
    return is_filtered(spec) and not spec["process"].get("noNewPrivileges")
