"""Our own limit of open files; getrlimit(2), RLIMIT_NOFILE."""

from __future__ import annotations

from pyruntime.kernel.native import ffi, lib


def open_files() -> tuple[int, int]:
    """(soft, hard)."""
    pair = ffi.new("uint64_t[2]")
    lib.pr_open_files(pair)
    return pair[0], pair[1]


def set_open_files(soft: int, hard: int) -> None:
    """Where that is refused the limit stays as it is."""
    lib.pr_set_open_files(soft, hard)


def raise_open_files() -> None:
    """As many descriptors as the hard limit allows."""
    hard = open_files()[1]
    set_open_files(hard, hard)
