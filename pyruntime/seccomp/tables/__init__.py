"""System call numbers, one module for each architecture, loaded when a profile needs it.

The modules are generated and share one form: segments of (first number, names in numerical order), a dash
for a number without a call. That is a tenth of a dictionary's size and as quick to load.
"""

from __future__ import annotations


def read_numbers(table: str) -> dict[str, int]:
    """Name to number for one table of `words.ARCHITECTURES`."""
    module = __import__(f"{__name__}.{table}", None, None, ("SEGMENTS",))
    numbers: dict[str, int] = {}
    for first, names in module.SEGMENTS:
        calls = names.split()
        numbers.update(zip(calls, range(first, first + len(calls)), strict=True))
    numbers.pop("-", None)
    return numbers


def read_every_name() -> frozenset[str]:
    """All names known of any architecture: what is not among them is a typing error or newer than we."""
    from pyruntime.seccomp.tables import every

    return frozenset(every.NAMES.split())
