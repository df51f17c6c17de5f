"""The moves of linux.netDevices, on the host while the init waits; imported after a hand-over only.

Two netlink sockets: our own, and the one the init opened in the container's network namespace. For every device an
undo stands before it moves. It finds out where the device is, and brings it back with its addresses, its state and
its bridge; routes over it that others had made are lost.
"""

from __future__ import annotations

import errno
import posix
from functools import partial

from pyruntime.errors import StepError, strerror
from pyruntime.kernel.links import Link, Netlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyruntime.plan.host import HostSide

TEMPLATE = "%d"


def move_all(devices: dict[str, tuple[str, str]], host: HostSide) -> None:
    """{pointer: (name here, name there or "")}. First it is seen whether all can be moved, then they are."""
    here, there = Netlink.of_our_own(), Netlink(posix.dup(host.lent))
    host.at_end(here.close)
    host.at_end(there.close)
    moves = []
    for pointer, (device, name) in devices.items():
        try:
            link = _find(device, name, here, there)
            moves.append((pointer, Move(link, name or link.name, here, there)))
        except OSError as error:
            raise _failed(device, pointer, error) from error
    for pointer, move in moves:
        try:
            move.prepare()
            host.push(partial(move.undo, host.complaints))
            move.go()
        except OSError as error:
            raise _failed(move.link.name, pointer, error) from error


def _find(device: str, name: str, here: Netlink, there: Netlink) -> Link:
    """The device, which may be known by another name as well, if nothing speaks against moving it; OSError."""
    link = here.find(name=device)
    if link is None:
        raise _refusal(errno.ENODEV)
    if link.loopback:
        raise _refusal(errno.EINVAL, "every network namespace has a loopback device of its own")
    wanted = name or link.name
    if not wanted.endswith(TEMPLATE) and there.find(name=wanted) is not None:
        raise _refusal(errno.EEXIST, f"`{wanted}` is in the container already")
    return link


def _refusal(number: int, why: str = "") -> OSError:
    return OSError(number, f"{why}: {strerror(number)}" if why else strerror(number))


def _failed(device: str, pointer: str, error: OSError) -> StepError:
    what = f"move network device `{device}` into the container"
    kernel = strerror(error.errno or 0)
    why = str(error.strerror).removesuffix(kernel).removesuffix(": ")
    return StepError(what, pointer, errno=error.errno or 0, why=why)


class Move:
    """One device between our own network namespace and the container's."""

    def __init__(self, link: Link, name: str, here: Netlink, there: Netlink) -> None:
        self.link = link
        self.name = name
        self.here = here
        self.there = there
        self.addresses: list[Any] = []
        self.index = 0  # in the container

    def prepare(self) -> None:
        """What is lost by moving, and an index by which the device is known there, whatever its name will be."""
        self.addresses = self.here.lasting_addresses(self.link)
        self.index = self.there.free_index(self.link.index)

    def go(self) -> None:
        _change(self.here, self.link.index, self.there, self.index, self.name)
        self._settle(self.there, self.index)
        self.there.set_up(self.index)

    def undo(self, complaints: list[str]) -> None:
        try:
            self._bring_back()
        except OSError as error:
            complaints.append(
                f"network device `{self.link.name}` is not as it was: {error.strerror}"
            )

    def _bring_back(self) -> None:
        left = self.here.find(index=self.link.index)
        if left is not None and left.name == self.link.name:
            return  # it never went
        if self.there.find(index=self.index) is None:
            return  # somebody removed it
        index = self.here.free_index(self.link.index)
        _change(self.there, self.index, self.here, index, self.link.name)
        if self.link.master:
            self.here.join_master(index, self.link.master)
        self._settle(self.here, index)
        if self.link.up:
            self.here.set_up(index)

    def _settle(self, where: Netlink, index: int) -> None:
        link = where.find(index=index)
        if link is None:
            raise _refusal(errno.ENODEV)
        for address in self.addresses:
            where.add_address(link, address, self.link.name)


def _change(source: Netlink, index: int, target: Netlink, new_index: int, name: str) -> None:
    namespace = target.open_namespace()
    try:
        source.move(index, namespace, name, new_index)
    finally:
        posix.close(namespace)
