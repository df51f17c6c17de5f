"""linux.sysctl (config-linux.md, Sysctl): only what belongs to a namespace the container has.

The key is split once; the same segments are judged and opened, through our own procfs and without links, so that
neither a volume over /proc/sys nor a `..` can send the value elsewhere (CVE-2025-52881, CVE-2022-0811).
"""

from __future__ import annotations

from pyruntime.features.procfs import BENEATH, write_file
from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.plan.step import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyruntime.features.site import Site
    from pyruntime.spec.types import Config

PROPERTIES = ("linux.sysctl",)

IPC = frozenset(
    ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced")
)
RULES = BENEATH | lib.RESOLVE_NO_SYMLINKS


def segments(key: str) -> list[str]:
    """The first separator decides which one it is; the other is part of a name (sysctl.d(5))."""
    dot, slash = key.find("."), key.find("/")
    if slash >= 0 and (dot < 0 or slash < dot):
        return key.split("/")
    return [part.replace("/", ".") for part in key.split(".")]


def _needs(parts: list[str]) -> tuple[str, str]:
    """(namespace the key belongs to, or "", why it is refused without one)."""
    if (parts[0] == "kernel" and len(parts) == 2 and parts[1] in IPC) or parts[:2] == [
        "fs",
        "mqueue",
    ]:
        return "ipc", "is not in a separate kernel namespace: needs an ipc namespace"
    if parts[0] == "net":
        return "network", "is not in a separate kernel namespace: needs a network namespace"
    if parts == ["kernel", "domainname"]:
        return "uts", "is not in a separate kernel namespace: needs a uts namespace"
    if parts[0] == "user":
        return "user", "is not in a separate kernel namespace: needs a user namespace"
    return "", "is not in a separate kernel namespace"


def rules(spec: Config) -> Iterator[tuple[str, str]]:
    linux = spec.get("linux", {})
    have = {entry["type"] for entry in linux.get("namespaces") or ()}
    for key, value in linux.get("sysctl", {}).items():
        pointer = "/linux/sysctl/" + key.replace("~", "~0").replace("/", "~1")
        parts = segments(key)
        if any(part in ("", ".", "..") or not part.isprintable() for part in parts):
            yield pointer, "not the name of a sysctl"
        elif any(
            (ord(letter) < 32 and letter != "\t") or letter == "\x7f"
            for letter in value.rstrip("\n")
        ):
            yield pointer, "a sysctl value may not hold control characters"
        elif parts == ["kernel", "hostname"]:
            yield pointer, f"sysctl {key!r} conflicts with the hostname property: use hostname"
        else:
            namespace, why = _needs(parts)
            if namespace not in have:
                yield pointer, f"sysctl {key!r} {why}"


def plan(spec: Config, site: Site) -> Iterator[Step]:
    for key, value in spec.get("linux", {}).get("sysctl", {}).items():
        pointer = "/linux/sysctl/" + key.replace("~", "~0").replace("/", "~1")
        yield Step(
            moments.SYSCTL,
            pointer,
            f"write sysctl `{key}` = `{value.rstrip()}`",
            write_file(site, "/".join(["sys", *segments(key)]), value.rstrip("\n"), RULES),
        )
