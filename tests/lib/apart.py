"""Namespaces of its own for the test process, so that nothing the runtime under test does wrong reaches the machine."""

from __future__ import annotations

import functools

from tests.lib import kernel


@functools.cache
def enter() -> None:
    """Once for the process, whatever asks for it."""
    spaces = kernel.CLONE_NEWNS | kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
    kernel.unshare(spaces)
    kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.become_subreaper()
