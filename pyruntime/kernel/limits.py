"""Our own resource limits; getrlimit(2)."""

from __future__ import annotations

from pyruntime.kernel.native import lib


def raise_open_files() -> None:
    """As many descriptors as the hard limit allows. Where that is refused the soft one has to do."""
    lib.pr_raise_open_files()
