"""The device rules (linux.resources.devices) as the v1 controller is told them.

Everything is denied first, also by an empty list, then come the config's rules in their order, then the nodes
every container has. The list is worked out here as the kernel would and written in its shortest form:
`devices.list` has the lines it has under runc, in the order of the config and not of the numbers. The v1
controller cannot take a hole out of a wildcard and ignores the try without a word: such a rule is an error here.
"""

from __future__ import annotations

import posix

from pyruntime import errors
from pyruntime.cgroup import knob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Node = tuple[int, int, str]

ANY = -1
EVERYTHING = "a *:* rwm"
# mknod of any node is harmless without access to it; the others are /dev's standard nodes, pts, ptmx and
# tun (which VPN containers were promised long ago).
STANDARD: tuple[tuple[str, int, int, str], ...] = (
    ("b", ANY, ANY, "m"),
    ("c", ANY, ANY, "m"),
    ("c", 1, 3, "rwm"),
    ("c", 1, 5, "rwm"),
    ("c", 1, 7, "rwm"),
    ("c", 1, 8, "rwm"),
    ("c", 1, 9, "rwm"),
    ("c", 5, 0, "rwm"),
    ("c", 5, 2, "rwm"),
    ("c", 10, 200, "rwm"),
    ("c", 136, ANY, "rwm"),
)


class _Filter:
    """What the controller holds: a default, and exceptions from it with the access they cover."""

    __slots__ = ("allows", "exceptions")

    def __init__(self) -> None:
        self.allows = False
        self.exceptions: dict[Node, str] = {}

    def reset(self, *, allow: bool) -> None:
        self.allows = allow
        self.exceptions = {}

    def add(self, node: Node, access: str) -> None:
        self.exceptions[node] = _in_order(self.exceptions.get(node, "") + access)

    def take(self, node: Node, access: str) -> str:
        """Removes access from an exception; the wildcard in the way where there is one, else ''."""
        major, minor, kind = node
        for wider in ((ANY, minor, kind), (major, ANY, kind), (ANY, ANY, kind)):
            held = self.exceptions.get(wider, "") if wider != node else ""
            if any(letter in held for letter in access):
                return rule_text(wider, held)
        left = "".join(letter for letter in self.exceptions.get(node, "") if letter not in access)
        if left:
            self.exceptions[node] = left
        else:
            self.exceptions.pop(node, None)
        return ""


def device_rules(resources: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(file, line) of each write, starting with the one that denies everything."""
    held = _Filter()
    for index, row in enumerate(resources.get("devices") or ()):
        _rule(held, row, f"/linux/resources/devices/{index}")
    for kind, major, minor, access in STANDARD:
        _change(held, True, (major, minor, kind), access, "/linux/resources/devices")
    rows = [("devices.deny", EVERYTHING)]
    if held.allows:
        rows.append(("devices.allow", EVERYTHING))
    name = "devices.deny" if held.allows else "devices.allow"
    rows += [(name, rule_text(node, held.exceptions[node])) for node in held.exceptions]
    return rows


def apply(dir_fd: int, resources: Mapping[str, Any], *, fresh: bool) -> None:
    """Writes the rules and reads them back. A group that has them already is left alone: the moment
    between denying everything and allowing again is one in which a program may fail."""
    rows = device_rules(resources)
    # Where everything is allowed, devices.list does not show what was denied again: written anew.
    if not fresh and ("devices.allow", EVERYTHING) not in rows and _as_asked(dir_fd, rows):
        return
    last, fd = "", -1
    try:
        for name, line in rows:
            if name != last:
                if fd >= 0:
                    posix.close(fd)
                fd = posix.open(
                    name, posix.O_WRONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW, dir_fd=dir_fd
                )
                last = name
            posix.write(fd, line.encode())
    except OSError as error:
        raise knob.failed("device rule", line, "/devices", error) from error
    finally:
        if fd >= 0:
            posix.close(fd)
    if not _as_asked(dir_fd, rows):
        raise errors.StepError(
            "set device rules",
            "/linux/resources/devices",
            why="devices.list does not read back as it was written",
        )


def rule_text(node: Node, access: str) -> str:
    major, minor, kind = node
    return f"{kind} {'*' if major == ANY else major}:{'*' if minor == ANY else minor} {access}"


def _as_asked(dir_fd: int, rows: list[tuple[str, str]]) -> bool:
    """What a default of allowing denies is not listed, so there only the default can be compared."""
    listed = knob.read(dir_fd, "devices.list").split("\n")
    allowed = {line for name, line in rows if name == "devices.allow"}
    return {line for line in listed if line} == allowed


def _rule(held: _Filter, row: Mapping[str, Any], pointer: str) -> None:
    kind = row.get("type", "a")
    if kind == "a":
        # The controller knows no finer word: numbers and access of such a rule do not count.
        held.reset(allow=row["allow"])
        return
    node = (_number(row, "major"), _number(row, "minor"), "c" if kind == "u" else kind)
    _change(held, row["allow"], node, _in_order(row.get("access", "")), pointer)


def _number(row: Mapping[str, Any], key: str) -> int:
    value: int | None = row.get(key)
    return ANY if value is None else value


def _change(held: _Filter, allow: bool, node: Node, access: str, pointer: str) -> None:
    if allow != held.allows:
        held.add(node, access)
        return
    if wildcard := held.take(node, access):
        word = "allow" if allow else "deny"
        raise errors.StepError(
            f"{word} device {rule_text(node, access)}",
            pointer,
            why=f"the v1 devices controller cannot punch a hole into the wildcard rule {wildcard}",
        )


def _in_order(access: str) -> str:
    return "".join(letter for letter in "rwm" if letter in access)
