"""The control groups a program leaves. Only what this run made is touched: the few fixed names of the suite, and those
only where they were not there before.

(Processes end with the reaper, containers by the runtime's own `delete --force` on a state directory of ours, mounts
with the namespace they were made in.)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

# Below the top of every hierarchy, and below the group we are in; the innermost first.
NAMES = ("cgrouptest", "testdir/cgrouptest/container", "testdir/cgrouptest", "testdir")


def _tops() -> Iterator[Path]:
    own = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        own[controllers.removeprefix("name=")] = path.lstrip("/")
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        words = line.split()
        kind, _, options = words[words.index("-") + 1 :][:3]
        known = {word.removeprefix("name=") for word in options.split(",")}
        if kind not in ("cgroup", "cgroup2"):
            continue
        yield Path(words[4])
        for controllers, path in own.items():
            mine = not controllers if kind == "cgroup2" else set(controllers.split(",")) <= known
            if path and mine:
                yield Path(words[4], path)


def present(names: tuple[str, ...] = NAMES) -> list[Path]:
    """Those directories that are there now."""
    places = [top / name for top in _tops() for name in names]
    return [place for place in dict.fromkeys(places) if place.is_dir()]


def remove(before: list[Path], names: tuple[str, ...] = NAMES) -> list[Path]:
    """Removes what was not there before; what there was to remove. A group that is not empty stays."""
    removed = []
    for place in present(names):
        if place in before:
            continue
        try:
            place.rmdir()
        except OSError:
            continue
        removed.append(place)
    return removed
