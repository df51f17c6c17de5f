"""What outlives the runtime's process, released backwards: by delete, by a failed create, after a SIGKILL."""

from __future__ import annotations

from pyruntime.errors import PyruntimeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.runtime.store import Entry


def release_all(entry: Entry) -> None:
    """Every holding, newest first; gone already is success."""
    for holding in entry.holdings():
        kind = holding.get("kind")
        if kind == "cgroup":
            from pyruntime.cgroup import driver

            driver.release(holding)
        else:
            raise PyruntimeError(f"holding of unknown kind {kind!r} of container {entry.id}",
                                 "it was made by another version of pyruntime; delete with that one")
