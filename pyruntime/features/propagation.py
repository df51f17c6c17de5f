"""Mount propagation: the words of linux.rootfsPropagation, and what mounts that come from the host get."""

from __future__ import annotations

from pyruntime.kernel.native import lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.spec.types import Config


PROPAGATIONS = {
    "shared": lib.MS_SHARED,
    "rshared": lib.MS_SHARED | lib.MS_REC,
    "slave": lib.MS_SLAVE,
    "rslave": lib.MS_SLAVE | lib.MS_REC,
    "private": lib.MS_PRIVATE,
    "rprivate": lib.MS_PRIVATE | lib.MS_REC,
    "unbindable": lib.MS_UNBINDABLE,
    "runbindable": lib.MS_UNBINDABLE | lib.MS_REC,
}


def default_propagation(spec: Config) -> int:
    """What mounts that come from the host get: nothing flows back to it unless the config shares."""
    asked = spec.get("linux", {}).get("rootfsPropagation") or ""
    if asked in ("private", "rprivate"):
        return int(lib.MS_PRIVATE)
    return 0 if asked in ("shared", "rshared") else int(lib.MS_SLAVE)
