"""Network devices to move about, in the network namespace the tests have for themselves.

    with Device("d0", "10.1.2.3/24", up=True) as device:
        ...
        assert device.seen() == before

Everything is made and read by iproute2, which speaks netlink with its own words.
"""

from __future__ import annotations

import functools
import json
import subprocess
from types import TracebackType
from typing import Any


def ip(*words: str, inside: int = 0, check: bool = True) -> str:
    """`ip WORDS`, in the network namespace of a process if one is given."""
    enter = ["nsenter", f"--net=/proc/{inside}/ns/net"] if inside else []
    done = subprocess.run([*enter, "ip", *words], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
    return done.stdout if done.returncode == 0 else ""


@functools.cache
def kind() -> str:
    """A device without hardware: dummy, or ifb where the kernel has no dummy."""
    ip("link", "add", "probe0", "type", "dummy", check=False)
    found = bool(ip("link", "show", "probe0", check=False))
    if found:
        ip("link", "del", "probe0")
    return "dummy" if found else "ifb"


def seen(name: str, inside: int = 0) -> dict[str, Any] | None:
    """What matters of a device: its state, MTU, hardware address, and addresses of global scope; None without one."""
    text = ip("-json", "address", "show", "dev", name, inside=inside, check=False)
    if not text:
        return None
    (found,) = [one for one in json.loads(text) if one]
    addresses = [
        {
            key: one[key]
            for key in ("family", "local", "prefixlen", "address", "broadcast", "label", "nodad", "metric", "deprecated")
            if key in one
        }
        for one in found["addr_info"]
        if one["scope"] == "global"
    ]  # fmt: skip
    return {
        "up": "UP" in found["flags"],
        "mtu": found["mtu"],
        "link": found.get("address"),
        "addresses": addresses,
    }


def names(inside: int = 0) -> list[str]:
    return [one["ifname"] for one in json.loads(ip("-json", "link", "show", inside=inside))]


class Device:
    """One device; with `peer` a veth and its other end. What is left of it goes with the block."""

    def __init__(self, name: str, *addresses: str, up: bool = False, peer: str = "") -> None:
        self.name = name
        self.addresses = addresses
        self.up = up
        self.peer = peer

    def __enter__(self) -> Device:
        self.make()
        return self

    def make(self) -> None:
        if self.peer:
            ip("link", "add", self.name, "type", "veth", "peer", "name", self.peer)
        else:
            ip("link", "add", self.name, "type", kind())
        if self.up:
            ip("link", "set", self.name, "up")
        for address in self.addresses:
            ip("address", "add", *address.split(), "dev", self.name)

    def remove(self) -> None:
        ip("link", "del", self.name, check=False)
        if self.peer:
            ip("link", "del", self.peer, check=False)

    def seen(self) -> dict[str, Any] | None:
        return seen(self.name)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()
