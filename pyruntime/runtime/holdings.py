"""Holdings: what a container has outside its processes, and how each kind is given back.

A line is on disk before the thing exists (Entry.note), so `delete`, a failed `create` and `delete --force` after
a SIGKILL all take this one way. Releasing what is gone already is success; a line says which things we made, so
nothing else is ever removed.
"""

from __future__ import annotations

from pyruntime import errors
from pyruntime.lib import files, jsondoor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyruntime.runtime.store import Entry


MAX_BYTES = 32 << 20


def reach(entry: Entry) -> None:
    """Re-executes in the full interpreter if a holding needs it (systemd, over D-Bus). Must be called before any side
    effect. The raw bytes are searched, which is cheaper than parsing them."""
    try:
        data = files.read_file("holdings", MAX_BYTES, entry.fd)
    except OSError:
        return  # there are none; or it is said by who reads them in earnest
    if b'"kind":"systemd"' in data:
        from pyruntime.cgroup import driver

        driver.reach_to_release()


def read(entry: Entry) -> list[dict[str, Any]]:
    """The newest first. A torn last line was never acted upon; another container's are never released."""
    try:
        lines = files.read_file("holdings", MAX_BYTES, entry.fd).split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise errors.unreadable(entry.id, f"{entry.path}/holdings", error) from error
    found = []
    for number, line in enumerate(lines, 1):
        try:
            holding = jsondoor.loads(line)
        except jsondoor.JsonError:
            holding = None
        if not isinstance(holding, dict) or holding.get("id") != entry.id:
            raise errors.StateError(entry.id, f"{entry.path}/holdings is damaged: line {number}")
        found.append(holding)
    return found[::-1]


def release_all(entry: Entry, *, created: bool = False) -> set[str]:
    """The newest first; the kinds that were there. All are tried, then the first failure is raised, and what is
    left can be tried again. Mounts on the host stay if their container was `created` (features/host_root.py)."""
    failure: Exception | None = None
    kinds = set()
    for holding in read(entry):
        if created and holding.get("kind") == "root":
            continue
        try:
            _release_of(entry, holding)(holding)
        except Exception as error:
            failure = failure or error
        kinds.add(str(holding.get("kind")))
    if failure is not None:
        raise failure
    return kinds


def _release_of(entry: Entry, holding: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    if holding.get("kind") == "cgroup":
        from pyruntime.cgroup import driver

        return driver.release
    if holding.get("kind") == "systemd":
        from pyruntime.cgroup import driver

        return driver.release_unit
    if holding.get("kind") == "resctrl":
        from pyruntime import resctrl

        return resctrl.release
    if holding.get("kind") == "root":
        from pyruntime.features import host_root

        return host_root.release
    raise errors.StateError(
        entry.id,
        f"{entry.path} holds a `{holding.get('kind')}`, which this version cannot release",
        foreign=True,
    )
