"""What systemd does to the device rules of v1 when any property of a unit changes: it denies everything and allows again
what DeviceAllow says. In between programs would be refused, and what hooks had changed, or what systemd has no word for,
would be lost. So the container stands still meanwhile, and the list is made what it was.
"""

from __future__ import annotations

import posix

from pyruntime import errors
from pyruntime.cgroup import knob, members, pause
from pyruntime.cgroup.v1 import devices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pyruntime.cgroup.group import Cgroup


class Undone:
    """A block in which systemd may write the rules; `resources` is what they were made of."""

    def __init__(self, cgroup: Cgroup, resources: Mapping[str, Any]) -> None:
        self.cgroup = cgroup
        self.resources = resources
        self.fd = -1
        self.before: list[str] = []
        self.held = False

    def __enter__(self) -> None:
        group = None if self.cgroup.mode == "v2" else self.cgroup.group("devices")
        fd = None if group is None else group.open()
        if fd is None:
            return
        self.fd = fd
        try:
            self.before = _listed(fd)
            if not pause.is_frozen(self.cgroup) and posix.getpid() not in members.listed(fd):
                pause.freeze(self.cgroup)
                self.held = True
        except BaseException:
            posix.close(fd)
            raise

    def __exit__(self, *_: object) -> None:
        if self.fd < 0:
            return
        try:
            _make(self.fd, self.before, self.resources)
        except OSError as error:
            number = error.errno or 0
            raise errors.StepError(
                "put back the device rules", "/linux/resources/devices", errno=number
            ) from error
        finally:
            posix.close(self.fd)
            if self.held:
                pause.thaw(self.cgroup)


def _listed(dir_fd: int) -> list[str]:
    return [line for line in knob.read(dir_fd, "devices.list").split("\n") if line]


def _make(dir_fd: int, before: list[str], resources: Mapping[str, Any]) -> None:
    """Row by row, for a group with others below takes no new default. What is denied where everything else is allowed
    stands in no list: there the config's rules are what is known."""
    now = _listed(dir_fd)
    rows = [("devices.deny", line) for line in now if line not in before]
    rows += [("devices.allow", line) for line in before if line not in now]
    _, *asked = devices.device_rules(resources)  # the first denies everything
    if devices.EVERYTHING in before and asked[0] == ("devices.allow", devices.EVERYTHING):
        rows += asked[1:]
    for name, line in rows:
        knob.write_plain(dir_fd, name, line)
