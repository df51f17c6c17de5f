"""The entry of every interpreter but the launcher's fast one, whose modules are in memory from the start."""

from __future__ import annotations

import posix

FEW_DESCRIPTORS = 64
PACKAGES = ("cgroup", "cgroup/v1", "cgroup/v2", "features", "lib", "plan", "runtime", "cli")
WITH_LIBRARIES = frozenset(("device_moves",))
"""Modules of these packages that import more than the standard library."""


def main(argv: list[str]) -> int:
    """Carries out `pyruntime ARGV…` and returns the exit status."""
    if posix.sysconf("SC_OPEN_MAX") < FEW_DESCRIPTORS:
        _import_everything()
    from pyruntime.cli.main import main as run

    return run(argv)


def _import_everything() -> None:
    """An import takes a descriptor. Where they are few, none may be left by the time a failure has to be handled, which
    takes modules that nothing else has needed: all are imported before the verb begins."""
    package = __file__.rpartition("/")[0].rpartition("/")[0]
    for part in PACKAGES:
        for file in sorted(posix.listdir(f"{package}/{part}")):
            name, _, ending = file.partition(".")
            if ending == "py" and name not in WITH_LIBRARIES:
                __import__(f"pyruntime.{part.replace('/', '.')}.{name}")
