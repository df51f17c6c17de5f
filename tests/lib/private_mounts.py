"""Namespaces of its own for the test process, so that nothing the runtime under test does wrong reaches the machine."""

from __future__ import annotations

import functools
import os
import stat
from pathlib import Path

from tests.lib import kernel, programs


@functools.cache
def enter() -> None:
    """Once for the process, whatever asks for it."""
    spaces = kernel.CLONE_NEWNS | kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
    kernel.unshare(spaces)
    kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.become_subreaper()
    for directory in reversed(programs.PROJECT.parents):
        if not directory.stat().st_mode & stat.S_IXOTH:
            open_to_all(directory)


def open_to_all(directory: Path) -> None:
    """Lets ordinary users pass through a directory, such as root's home, in this mount namespace: a tmpfs covers it,
    with all that was there bound to its place."""
    before = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    names = os.listdir(directory)
    kernel.mount("tmpfs", str(directory), "tmpfs", 0, "mode=755")
    for name in names:
        source, target = Path(f"/proc/self/fd/{before}", name), directory / name
        if source.is_symlink():
            target.symlink_to(os.readlink(source))
            continue
        if source.is_dir():
            target.mkdir()
        elif source.exists():
            target.touch()
        kernel.mount(str(source), str(target), flags=kernel.MS_BIND | kernel.MS_REC)
    os.close(before)
