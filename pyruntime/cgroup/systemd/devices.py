"""linux.resources.devices as DevicePolicy and DeviceAllow.

On v2 systemd is given no list: our own program decides. A list would be one program more in the group, which systemd attaches
anew whenever a property changes, however hooks had arranged the programs, and it has no word for some rules: a minor
number of every major, a hole in a wildcard, a driver that is not there. On v1 systemd writes the very file of ours anew when
it reloads: there a rule without a word is left out, for what is missing can be noticed.
"""

from __future__ import annotations

from pyruntime.cgroup.v1.devices import ANY
from pyruntime.cgroup.v2 import devices as program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pyruntime.cgroup.systemd.properties import Property

    Node = tuple[int, int, int]

BLOCK, CHARACTER = 1, 2
KINDS = {BLOCK: "block", CHARACTER: "char"}


def properties(resources: Mapping[str, Any], drivers: bytes, *, unified: bool) -> list[Property]:
    """`drivers`: /proc/devices. The empty list first takes back what an earlier one said."""
    allowed = None if unified else _allowed(resources)
    if allowed is None:
        return [("DevicePolicy", ("s", "auto")), ("DeviceAllow", ("a(ss)", []))]
    return [
        ("DevicePolicy", ("s", "strict")),
        ("DeviceAllow", ("a(ss)", [])),
        ("DeviceAllow", ("a(ss)", _rows(allowed, drivers))),
    ]


def _allowed(resources: Mapping[str, Any]) -> dict[Node, int] | None:
    """Access by node, as far as wildcards go; None where everything is allowed."""
    everything = False
    found: dict[Node, int] = {}
    for allow, kind, major, minor, access in program.rules(resources):
        if not kind and access == program.EVERY_ACCESS:
            everything, found = allow, {}
            continue
        for each in (kind,) if kind else (BLOCK, CHARACTER):
            node = (each, major, minor)
            if allow:
                found[node] = found.get(node, 0) | access
                continue
            for held in found:
                if _covers(node, held):
                    found[held] &= ~access
    return None if everything else {node: access for node, access in found.items() if access}


def _covers(wide: Node, narrow: Node) -> bool:
    pairs = zip(wide[1:], narrow[1:], strict=True)
    return wide[0] == narrow[0] and all(one in (ANY, other) for one, other in pairs)


def _rows(allowed: Mapping[Node, int], drivers: bytes) -> list[tuple[str, str]]:
    names = _drivers(drivers)
    rows = []
    for (kind, major, minor), access in allowed.items():
        word = _word(kind, major, minor, names)
        if word:
            letters = "".join(x for x in "rwm" if access & program.ACCESS[x])
            rows.append((word, letters))
    return rows


def _word(kind: int, major: int, minor: int, names: Mapping[tuple[int, int], str]) -> str:
    word = KINDS[kind]
    if major == ANY:
        return f"{word}-*" if minor == ANY else ""
    if minor == ANY:
        name = names.get((kind, major), "")
        return f"{word}-{name}" if name else ""
    return f"/dev/{word}/{major}:{minor}"


def _drivers(text: bytes) -> dict[tuple[int, int], str]:
    """(kind, major) → the name of its driver, the first where it has several."""
    kind = CHARACTER
    found: dict[tuple[int, int], str] = {}
    for line in text.decode("ascii", "replace").split("\n"):
        number, _, name = line.strip().partition(" ")
        if line.startswith("Block"):
            kind = BLOCK
        elif number.isdigit() and name:
            found.setdefault((kind, int(number)), name)
    return found
