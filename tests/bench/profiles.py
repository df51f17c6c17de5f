"""The seccomp profiles of the measured bundles.

`docker` has the documented shape of Docker's default: an allow-list of some 350 names (allowed.txt, our own) and a few
calls that depend on an argument. `podman` is the profile of the containers-common package where that is installed,
translated as Podman does it; else the same list with Podman's default of ENOSYS.
"""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
INSTALLED = Path("/usr/share/containers/seccomp.json")
ARCHITECTURES = {
    "x86_64": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    "aarch64": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
}
# The words the installed profile uses for this machine in its conditions.
ARCH_WORDS = {"x86_64": {"amd64", "x86", "x32"}, "aarch64": {"arm64", "arm"}}
NEW_NAMESPACES = 0x7E020000
AF_VSOCK = 40
ENOSYS = 38
EPERM = 1

Profile = dict[str, Any]


def allowed_names() -> list[str]:
    return (HERE / "allowed.txt").read_text().split()


def _argument(value: int, operator: str) -> list[dict[str, Any]]:
    """A condition on the first argument; for MASKED_EQ `value` is the mask, and nothing in it may be set."""
    return [{"index": 0, "value": value, "valueTwo": 0, "op": f"SCMP_CMP_{operator}"}]


def docker() -> Profile:
    allow = "SCMP_ACT_ALLOW"
    rules: list[dict[str, Any]] = [{"names": allowed_names(), "action": allow}]
    for persona in (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF):
        rules.append({"names": ["personality"], "action": allow, "args": _argument(persona, "EQ")})
    no_namespaces = _argument(NEW_NAMESPACES, "MASKED_EQ")
    rules += [
        {"names": ["socket"], "action": allow, "args": _argument(AF_VSOCK, "NE")},
        {"names": ["clone"], "action": allow, "args": no_namespaces},
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS},
        {"names": ["chroot"], "action": allow},
    ]
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": EPERM,
        "architectures": ARCHITECTURES[platform.machine()],
        "syscalls": rules,
    }


def _applies(rule: dict[str, Any], capabilities: set[str]) -> bool:
    include, exclude = rule.get("includes") or {}, rule.get("excludes") or {}
    here = ARCH_WORDS[platform.machine()]
    if include.get("arches") and not here & set(include["arches"]):
        return False
    if here & set(exclude.get("arches") or ()):
        return False
    if not set(include.get("caps") or ()) <= capabilities:
        return False
    return not set(exclude.get("caps") or ()) & capabilities


def podman(capabilities: set[str]) -> Profile:
    if not INSTALLED.exists():
        return {**docker(), "defaultErrnoRet": ENOSYS}
    source = json.loads(INSTALLED.read_text())
    rules = []
    for rule in source["syscalls"]:
        if not _applies(rule, capabilities):
            continue
        kept = {"names": rule["names"], "action": rule["action"]}
        if rule.get("args"):
            kept["args"] = rule["args"]
        if rule.get("errnoRet") is not None:
            kept["errnoRet"] = rule["errnoRet"]
        rules.append(kept)
    return {
        "defaultAction": source["defaultAction"],
        "defaultErrnoRet": source.get("defaultErrnoRet", ENOSYS),
        "architectures": ARCHITECTURES[platform.machine()],
        "syscalls": rules,
    }
