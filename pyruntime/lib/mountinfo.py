"""What is mounted, from /proc/self/mountinfo (proc_pid_mountinfo(5)).

Read only where it must be: to leave the root in another way than by pivot_root, or to find a file system that has no
place of its own. The list can be thousands of lines.
"""

from __future__ import annotations

import posix

from pyruntime.lib.files import read_file

LIMIT = 64 << 20


class RootMount:
    """`alone`: the mount of our root has no parent, so nothing can be pivoted into its place. `places` are those of
    what is mounted on it, and of every proc and sysfs, the newest first."""

    __slots__ = ("alone", "places")

    def __init__(self, alone: bool, places: list[str]) -> None:
        self.alone = alone
        self.places = places


def read_root() -> RootMount:
    return parse(read_file("/proc/self/mountinfo", LIMIT))


def find(kind: bytes) -> list[tuple[str, int]]:
    """(place, device number) of every mount of a whole file system of that type, the newest first: one may be hidden
    beneath another, so whoever opens the place compares its st_dev."""
    found = []
    for line in _lines(read_file("/proc/self/mountinfo", LIMIT)):
        left, _, right = line.partition(b" - ")
        if right.partition(b" ")[0] == kind:
            _, _, device, root, place, _ = left.split(b" ", 5)
            major, _, minor = device.partition(b":")
            if root == b"/":
                found.append((_decode(place), posix.makedev(int(major), int(minor))))
    return found[::-1]


def parse(text: bytes) -> RootMount:
    rows = []
    for line in _lines(text):
        left, _, right = line.partition(b" - ")
        mount, parent, _, _, place, _ = left.split(b" ", 5)
        rows.append((mount, parent, place, right.partition(b" ")[0]))
    tops = {row[0] for row in rows if row[2] == b"/"}
    # What was mounted over the root without entering it is there too; the root is the one beneath.
    own = next((row for row in rows if row[2] == b"/" and row[1] not in tops - {row[0]}), None)
    if own is None:  # our root is no mount, but a directory that was chrooted into
        return RootMount(False, [])
    places = [
        _decode(place)
        for _, parent, place, kind in rows
        if place != b"/" and (parent == own[0] or kind in (b"proc", b"sysfs"))
    ]
    return RootMount(own[0] == own[1], places[::-1])


def _lines(text: bytes) -> list[bytes]:
    """The kernel writes a line break in a name in octal, a carriage return as it is: splitlines() would end there."""
    return text.removesuffix(b"\n").split(b"\n")


def _decode(name: bytes) -> str:
    r"""Blanks, tabs, newlines and backslashes are written in octal (\040)."""
    first, *rest = name.split(b"\\")
    plain = first + b"".join([bytes((int(part[:3], 8),)) + part[3:] for part in rest])
    return plain.decode("utf-8", "surrogateescape")
