"""Network devices to give away: tap devices with addresses, made in the runner's own network namespace."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from types import TracebackType

from conformance.claims import Failed, skip

TUNSETIFF, TUNSETPERSIST = 0x400454CA, 0x400454CB
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
SIOCSIFADDR, SIOCSIFNETMASK, SIOCSIFFLAGS, SIOCGIFFLAGS = 0x8916, 0x891C, 0x8914, 0x8913
SIOCSIFMTU, SIOCGIFINDEX = 0x8922, 0x8933
IFF_UP = 1


def names() -> set[str]:
    """The devices of this network namespace."""
    return {name for _, name in socket.if_nameindex()}


class Tap:
    """A persistent tap device; removed in the end if it is still, or again, here."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> Tap:
        try:
            self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            skip("this host makes no tap devices")
        request = struct.pack("16sH22x", self.name.encode(), IFF_TAP | IFF_NO_PI)
        fcntl.ioctl(self.fd, TUNSETIFF, request)
        fcntl.ioctl(self.fd, TUNSETPERSIST, 1)
        os.close(self.fd)
        return self

    def ask(self, call: int, payload: bytes, family: int = socket.AF_INET) -> bytes:
        with socket.socket(family, socket.SOCK_DGRAM) as control:
            return fcntl.ioctl(control, call, struct.pack("16s", self.name.encode()) + payload)

    def give(self, four: str, mask: str, six: str, mtu: int) -> None:
        """Permanent global addresses and an MTU; the device stays down but for the sixth version's sake."""
        address = struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(four))
        netmask = struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(mask))
        self.ask(SIOCSIFADDR, address)
        self.ask(SIOCSIFNETMASK, netmask)
        self.ask(SIOCSIFMTU, struct.pack("i12x", mtu))
        index = struct.unpack_from("i", self.ask(SIOCGIFINDEX, bytes(16)), 16)[0]
        request = socket.inet_pton(socket.AF_INET6, six) + struct.pack("Ii", 64, index)
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as control:
            fcntl.ioctl(control, SIOCSIFADDR, request)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.name not in names():
            return
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        try:
            request = struct.pack("16sH22x", self.name.encode(), IFF_TAP | IFF_NO_PI)
            fcntl.ioctl(fd, TUNSETIFF, request)
            fcntl.ioctl(fd, TUNSETPERSIST, 0)
        except OSError as error:
            raise Failed(f"cannot remove the device {self.name}: {error}") from error
        finally:
            os.close(fd)
