"""Whether systemd runs here, and the way into the full interpreter, where it can be talked to."""

from __future__ import annotations

import posix

from pyruntime import errors
from pyruntime.lib import handover
from pyruntime.lib.files import S_IFDIR, S_IFMT

# sd_booted(3)
RUNNING = "/run/systemd/system"


def is_running() -> bool:
    try:
        return posix.lstat(RUNNING).st_mode & S_IFMT == S_IFDIR
    except OSError:
        return False


def reach() -> None:
    """Before anything has an effect: D-Bus is spoken with jeepney, which the launcher is too small for."""
    if not is_running():
        # runc's words.
        raise errors.UnsupportedError(
            "systemd not running on this host, cannot use systemd cgroups manager",
            hint="leave --systemd-cgroup out, or give --cgroup-manager cgroupfs",
        )
    _hand_over()


def reach_if_running() -> None:
    """For `delete`: a systemd that is not there keeps no unit."""
    if is_running():
        _hand_over()


def _hand_over() -> None:
    import sys

    handover.full_interpreter(sys.argv[1:])
    try:
        from pyruntime.cgroup.systemd import bus  # noqa: F401
    except ModuleNotFoundError as error:
        raise errors.UnsupportedError(
            f"the systemd cgroup manager needs jeepney: no module named `{error.name}`",
            hint="`make install` brings it along",
        ) from None
