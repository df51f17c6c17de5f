"""A trip-wire: host directories that must stay identical, byte by byte and inode by inode, while it is up.

    with Tripwire(outside):
        …run a hostile bundle…

Compared are, for every entry of the trees: inode, type, mode, owner, size, link count, device number, mtime,
ctime, link target and content; and with them the host's mounts, sysctls and cgroups (tests.lib.leaks).
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from types import TracebackType

from tests.lib import leaks

CONTENT_LIMIT = 1 << 20


def describe(path: str) -> tuple[object, ...]:
    st = os.lstat(path)
    content = ""
    if stat.S_ISLNK(st.st_mode):
        content = os.readlink(path)
    elif stat.S_ISREG(st.st_mode) and st.st_size <= CONTENT_LIMIT:
        content = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return (
        st.st_ino,
        oct(st.st_mode),
        st.st_uid,
        st.st_gid,
        st.st_size,
        st.st_nlink,
        st.st_rdev,
        st.st_mtime_ns,
        st.st_ctime_ns,
        content,
    )


def snapshot(top: Path) -> dict[str, tuple[object, ...]]:
    """Every entry below and including `top`; links are not followed."""
    found = {str(top): describe(str(top))}
    for directory, names, files in os.walk(top):
        for name in names + files:
            path = os.path.join(directory, name)
            found[path] = describe(path)
    return found


class Tripwire:
    """Fails the block it guards when anything was touched."""

    def __init__(self, *trees: Path) -> None:
        self.trees = trees

    def __enter__(self) -> Tripwire:
        self.before = [snapshot(tree) for tree in self.trees]
        self.host = leaks.Host.now()
        return self

    def differences(self) -> list[str]:
        found = []
        for tree, before in zip(self.trees, self.before, strict=True):
            after = snapshot(tree)
            found += [f"new: {path}" for path in sorted(after.keys() - before.keys())]
            found += [f"gone: {path}" for path in sorted(before.keys() - after.keys())]
            found += [
                f"changed: {path}: {before[path]} -> {after[path]}"
                for path in sorted(before.keys() & after.keys())
                if before[path] != after[path]
            ]
        lasting = leaks.settled(self.host)
        return found + [line for line in lasting if " fds" not in line and " processes" not in line]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        differences = self.differences()
        assert not differences, "the trip-wire was touched:\n" + "\n".join(differences)
