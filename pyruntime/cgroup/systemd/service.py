"""What the driver asks of systemd: facts about it, and units that are started, changed and stopped.

Imported after a hand-over only, as `bus` is.
"""

from __future__ import annotations

import posix
from typing import TYPE_CHECKING

from pyruntime import errors
from pyruntime.cgroup import detect
from pyruntime.cgroup.systemd import names
from pyruntime.cgroup.systemd.bus import MANAGER, NAME, Bus, Refused

if TYPE_CHECKING:
    from pyruntime.cgroup.systemd.names import Unit
    from pyruntime.cgroup.systemd.properties import Property

SYSTEM = [("/run/dbus/system_bus_socket", True), ("/run/systemd/private", False)]
EXISTS = f"{NAME}.UnitExists"
GONE = f"{NAME}.NoSuchUnit"
REPLACE = "replace"


def connect(*, user: bool) -> Bus:
    """To the system's service manager, or to that of the user we are on the host."""
    if not user:
        return Bus(SYSTEM, "systemd")
    number = _user_on_the_host()
    given = posix.environ.get(b"XDG_RUNTIME_DIR", b"").decode("utf-8", "surrogateescape")
    paths = []
    for directory in dict.fromkeys((given, f"/run/user/{number}")):
        if directory.startswith("/"):
            paths += [(f"{directory}/bus", True), (f"{directory}/systemd/private", False)]
    return Bus(paths, f"systemd of user {number}")


def _user_on_the_host() -> int:
    """In a user namespace of ours (rootless Podman's) the number outside."""
    own = posix.geteuid()
    for line in detect.read_proc("/proc/self/uid_map").splitlines():
        inside, outside, count = map(int, line.split())
        if inside <= own < inside + count:
            return outside + own - inside
    return own


def control_group(bus: Bus) -> str:
    """Where the service manager itself stands: `` for the system's, else the user's subtree."""
    path = bus.get(MANAGER.object_path, "Manager", "ControlGroup", what="ask for its cgroup")
    return str(path).rstrip("/")


def version(bus: Bus) -> int:
    """As a number: `252 (252.39-1~deb12u1)` and `v255.4` are what the property looks like."""
    text = str(bus.get(MANAGER.object_path, "Manager", "Version", what="ask for its version"))
    digits = ""
    for letter in text.removeprefix("v"):
        if not letter.isdecimal():
            break
        digits += letter
    return int(digits or 0)


def start(bus: Bus, unit: Unit, properties: list[Property]) -> None:
    """A unit of that name that has failed and is kept for being looked at is no obstacle."""
    what = f"start unit {unit.name}"
    for last in (False, True):
        try:
            result = bus.run_job(
                "StartTransientUnit",
                "ssa(sv)a(sa(sv))",
                unit.name,
                REPLACE,
                properties,
                [],
                what=what,
            )
            break
        except Refused as error:
            if error.name != EXISTS or last:
                raise
            _reset(bus, unit.name)
    if result != "done":
        _reset(bus, unit.name)
        raise errors.StepError(what, names.POINTER, why=f"systemd: {result}")


def stop(bus: Bus, name: str, description: str) -> None:
    """Gone already is success; a unit of another description is not ours."""
    what = f"stop unit {name}"
    try:
        found = bus.get(names.object_path(name), "Unit", "Description", what=what)
        if found != description:
            return
        bus.run_job("StopUnit", "ss", name, REPLACE, what=what)
    except Refused as error:
        if error.name != GONE:
            raise
    _reset(bus, name)


def change(bus: Bus, name: str, properties: list[Property]) -> None:
    """Returns when systemd has written them to the cgroup's files."""
    what = f"change unit {name}"
    bus.call(MANAGER, "SetUnitProperties", "sba(sv)", name, True, properties, what=what)
    # It writes them after it has answered, and before it looks at the next message.
    version(bus)


def group_of(bus: Bus, unit: Unit) -> str:
    """The path of its cgroup."""
    kind = "Slice" if unit.is_slice else "Scope"
    path = names.object_path(unit.name)
    return str(bus.get(path, kind, "ControlGroup", what=f"find the cgroup of {unit.name}"))


def _reset(bus: Bus, name: str) -> None:
    try:
        bus.call(MANAGER, "ResetFailedUnit", "s", name, what=f"reset unit {name}")
    except Refused:
        pass  # there is nothing that has failed
