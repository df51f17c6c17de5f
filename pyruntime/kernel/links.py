"""Network devices and their addresses over rtnetlink(7), with pyroute2's message classes on a plain socket.

Only the classes that write and read messages are taken of pyroute2: its own sockets, threads and namespace code never
run, for they fork. Imported after a hand-over only (lib/handover.py): loading takes longer than a whole container.

A netlink socket acts in the namespace it was opened in, whoever uses it. Every request names the kernel as its
destination, for then our rights count and not those of the process that opened the socket (netlink_ns_capable()).
"""

from __future__ import annotations

import errno
import fcntl
import importlib.machinery
import importlib.util
import socket
import struct
import sys
from typing import Any

from pyruntime.errors import strerror
from pyruntime.kernel.native import lib


def _skip_the_facade() -> None:
    """pyroute2/__init__.py loads everything it has: 371 modules instead of 122, and asyncio among them."""
    if "pyroute2" not in sys.modules:
        spec = importlib.machinery.PathFinder.find_spec("pyroute2")
        if spec is None:
            raise ModuleNotFoundError("No module named 'pyroute2'", name="pyroute2")
        sys.modules["pyroute2"] = importlib.util.module_from_spec(spec)


_skip_the_facade()

from pyroute2 import netlink  # noqa: E402
from pyroute2.netlink import rtnl  # noqa: E402
from pyroute2.netlink.rtnl import ifaddrmsg as addresses  # noqa: E402
from pyroute2.netlink.rtnl.ifinfmsg import IFF_LOOPBACK, IFF_UP, ifinfmsg  # noqa: E402

KERNEL = (0, 0)  # its port id, and no multicast group
HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence number, port id
ROOM = 1 << 16  # bytes; the kernel fills no more than 32 KiB at once
TRIES = 16
SKIP_STATISTICS = 8  # RTEXT_FILTER_SKIP_STATS, which pyroute2 does not know
CHOSEN = (
    addresses.IFA_F_NODAD | addresses.IFA_F_HOMEADDRESS | addresses.IFA_F_MANAGETEMPADDR
    | addresses.IFA_F_NOPREFIXROUTE | addresses.IFA_F_MCAUTOJOIN
)  # fmt: skip
"""Flags of an address that somebody set; the others are the kernel's own."""
KEPT = (
    "IFA_ADDRESS",
    "IFA_LOCAL",
    "IFA_BROADCAST",
    "IFA_ANYCAST",
    "IFA_CACHEINFO",
    "IFA_RT_PRIORITY",
    "IFA_PROTO",
)
SCOPE_UNIVERSE = 0


class Link:
    """A network device as the kernel tells of it; `master` is the index of a bridge or bond it belongs to, or 0."""

    __slots__ = ("index", "name", "up", "loopback", "master")

    def __init__(self, message: Any) -> None:
        self.index = int(message["index"])
        self.name = str(message.get_attr("IFLA_IFNAME"))
        self.up = bool(message["flags"] & IFF_UP)
        self.loopback = bool(message["flags"] & IFF_LOOPBACK)
        self.master = int(message.get_attr("IFLA_MASTER") or 0)


class Netlink:
    """The network namespace behind a netlink socket. Refusals are OSError, with the kernel's own words if it has any."""

    def __init__(self, fd: int) -> None:
        self.socket = socket.socket(fileno=fd)
        self.socket.setsockopt(netlink.SOL_NETLINK, netlink.NETLINK_EXT_ACK, 1)
        self._sequence = 0
        self._interrupted = False

    @classmethod
    def of_our_own(cls) -> Netlink:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        return cls(socket.socket(socket.AF_NETLINK, kind, netlink.NETLINK_ROUTE).detach())

    def close(self) -> None:
        self.socket.close()

    def open_namespace(self) -> int:
        """A descriptor of the namespace the socket belongs to, which is the caller's; SIOCGSKNS, since 4.10."""
        return fcntl.ioctl(self.socket, lib.SIOCGSKNS)

    def find(self, *, name: str = "", index: int = 0) -> Link | None:
        """The device of that name or index."""
        message = ifinfmsg()
        message["index"] = index
        message["attrs"] = [("IFLA_EXT_MASK", SKIP_STATISTICS)]
        if name:
            message["attrs"].append(("IFLA_IFNAME", name))
        try:
            (found,) = self._request(message, rtnl.RTM_GETLINK, 0, ifinfmsg)
        except OSError as error:
            if error.errno == errno.ENODEV:
                return None
            raise
        return Link(found)

    def free_index(self, wanted: int) -> int:
        """The first from `wanted` on that no device has."""
        while self.find(index=wanted) is not None:
            wanted += 1
        return wanted

    def lasting_addresses(self, link: Link) -> list[Any]:
        """The permanent ones of global scope, in the order in which adding them gives the same list again."""
        ask = addresses.ifaddrmsg()
        ask["index"] = link.index
        for _ in range(TRIES):
            try:
                every = self._request(
                    ask, rtnl.RTM_GETADDR, netlink.NLM_F_DUMP, addresses.ifaddrmsg
                )
            except InterruptedError:
                continue  # somebody changed an address meanwhile
            own = [one for one in every if one["index"] == link.index and _is_lasting(one)]
            # An IPv4 address goes to the end of the kernel's list, an IPv6 one to its head.
            new = [one for one in own if one["family"] == socket.AF_INET6]
            return [one for one in own if one["family"] != socket.AF_INET6] + new[::-1]
        raise OSError(errno.EAGAIN, strerror(errno.EAGAIN))

    def add_address(self, link: Link, address: Any, old_name: str) -> None:
        """An address as `lasting_addresses` gave it, of a device that was called `old_name` there."""
        message = addresses.ifaddrmsg()
        for field in ("family", "prefixlen", "scope"):
            message[field] = address[field]
        message["index"] = link.index
        kept = [(name, address.get_attr(name)) for name in KEPT]
        message["attrs"] = [(name, value) for name, value in kept if value is not None]
        message["attrs"].append(("IFA_FLAGS", _flags(address) & CHOSEN))
        label = address.get_attr("IFA_LABEL")
        if label and label != old_name:
            message["attrs"].append(("IFA_LABEL", _renamed(label, old_name, link.name)))
        flags = netlink.NLM_F_CREATE | netlink.NLM_F_EXCL
        self._request(message, rtnl.RTM_NEWADDR, flags)

    def move(self, index: int, namespace_fd: int, name: str, new_index: int) -> None:
        """Into another namespace and under another name in one request; the kernel sets the device down for it."""
        message = ifinfmsg()
        message["index"] = index
        message["attrs"] = [
            ("IFLA_NET_NS_FD", namespace_fd),
            ("IFLA_IFNAME", name),
            ("IFLA_NEW_IFINDEX", new_index),
        ]
        self._request(message, rtnl.RTM_SETLINK, 0)

    def set_up(self, index: int) -> None:
        message = ifinfmsg()
        message["index"] = index
        message["flags"] = message["change"] = IFF_UP
        self._request(message, rtnl.RTM_SETLINK, 0)

    def join_master(self, index: int, master: int) -> None:
        message = ifinfmsg()
        message["index"] = index
        message["attrs"] = [("IFLA_MASTER", master)]
        self._request(message, rtnl.RTM_SETLINK, 0)

    def _request(self, message: Any, kind: int, flags: int, answer: Any = None) -> list[Any]:
        """One request and its answers. A reading one is not acknowledged: the answer, or the end of many, is the end."""
        self._sequence += 1
        self._interrupted = False
        message["header"]["type"] = kind
        message["header"]["sequence_number"] = self._sequence
        message["header"]["flags"] = netlink.NLM_F_REQUEST | flags
        if answer is None:
            message["header"]["flags"] |= netlink.NLM_F_ACK
        message.encode()
        request = bytes(message.data)
        self.socket.sendto(request, KERNEL)
        found: list[Any] = []
        while True:
            packet, sender = self.socket.recvfrom(ROOM)
            if sender == KERNEL and self._take(packet, len(request), answer, found):
                return found

    def _take(self, packet: bytes, asked: int, answer: Any, found: list[Any]) -> bool:
        """The messages of one packet; True when the answer is complete. One that is interrupted is read to its end, too:
        until then the kernel takes no other question for a list (EBUSY)."""
        offset = 0
        while offset + HEADER.size <= len(packet):
            length, kind, flags, sequence, _ = HEADER.unpack_from(packet, offset)
            part = packet[offset : offset + length]
            offset += max(length + 3 & ~3, HEADER.size)
            if sequence != self._sequence:
                continue
            self._interrupted |= bool(flags & netlink.NLM_F_DUMP_INTR)
            if kind == netlink.NLMSG_DONE:
                if self._interrupted:
                    raise InterruptedError
                _check(part, 0)  # what ended the list: 0, or why it is not whole
                return True
            if kind == netlink.NLMSG_ERROR:
                _check(part, asked)
                return True
            reply = answer(part)
            reply.decode()
            found.append(reply)
            if not flags & netlink.NLM_F_MULTI:
                return True
        return False


def _check(part: bytes, asked: int) -> None:
    """struct nlmsgerr: the errno, the request as it was sent (`asked` bytes), and perhaps what the kernel has to say of it."""
    number = -int.from_bytes(part[HEADER.size : HEADER.size + 4], sys.byteorder, signed=True)
    if not number:
        return
    words, start = "", HEADER.size + 4
    if HEADER.unpack_from(part)[2] & netlink.NLM_F_ACK_TLVS:
        data = bytearray(part[:start] + part[start + (asked + 3 & ~3) :])
        struct.pack_into("=I", data, 0, len(data))
        message = netlink.nlmsgerr(bytes(data))
        message.decode()
        text = message.get_attr("NLMSGERR_ATTR_MSG") or ""
        words = "".join([letter for letter in text if letter.isprintable()])
    kernel = strerror(number)
    raise OSError(number, f"{words[:1].lower()}{words[1:]}: {kernel}" if words else kernel)


def _flags(address: Any) -> int:
    """The 32 bits of IFA_FLAGS; the header has room for the first eight."""
    wide = address.get_attr("IFA_FLAGS")
    return int(address["flags"] if wide is None else wide)


def _is_lasting(address: Any) -> bool:
    permanent = _flags(address) & addresses.IFA_F_PERMANENT
    return bool(permanent) and address["scope"] == SCOPE_UNIVERSE


def _renamed(label: str, old: str, new: str) -> str:
    """`eth0:web` of eth0 becomes `net1:web` of net1, if there is room for it."""
    if not label.startswith(old):
        return label
    text = new + label[len(old) :]
    return text if len(text) < rtnl.IFNAMSIZ else new
