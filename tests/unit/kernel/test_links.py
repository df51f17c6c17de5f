"""pyruntime/kernel/links.py: what is asked, what is understood, and that only the kernel is listened to."""

from __future__ import annotations

import errno
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from pyruntime.kernel import links
from pyruntime.kernel.links import Netlink

NLMSG_ERROR, NLM_F_CAPPED, NLM_F_ACK_TLVS = 2, 0x100, 0x200


class FakeSocket:
    """Answers the n-th request with the n-th list of (sender, packet); `%` of a packet is the request's number."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Any]] = []
        self.answers: list[tuple[tuple[int, int], bytes]] = []

    def sendto(self, data: bytes, address: Any) -> None:
        self.sent.append((data, address))

    def recvfrom(self, size: int) -> tuple[bytes, tuple[int, int]]:
        sender, packet = self.answers.pop(0)
        return packet, sender


@pytest.fixture
def real() -> Iterator[Netlink]:
    found = Netlink.of_our_own()
    yield found
    found.close()


@pytest.fixture
def fake(real: Netlink) -> Iterator[tuple[Netlink, FakeSocket]]:
    kept, wire = real.socket, FakeSocket()
    real.socket = wire  # type: ignore[assignment]
    yield real, wire
    real.socket = kept


def message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, sequence, 0) + body


def attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def acknowledged(sequence: int, number: int = 0) -> tuple[tuple[int, int], bytes]:
    return (0, 0), message(NLMSG_ERROR, NLM_F_CAPPED, sequence, struct.pack("=i", -number))


def attributes(data: bytes, head: int) -> dict[int, bytes]:
    found, offset = {}, 16 + head
    while offset < len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        found[kind] = data[offset + 4 : offset + length]
        offset += length + 3 & ~3
    return found


# The kernel of this machine


def test_the_loopback_device(real: Netlink) -> None:
    found = real.find(name="lo")
    assert found is not None and (found.name, found.loopback, found.master) == ("lo", True, 0)
    again = real.find(index=found.index)
    assert again is not None and again.name == "lo"


def test_no_such_device(real: Netlink) -> None:
    assert real.find(name="nothing0") is None and real.find(index=1 << 30) is None


def test_a_free_index(real: Netlink) -> None:
    found = real.find(name="lo")
    assert found is not None and real.find(index=real.free_index(found.index)) is None


def test_addresses_of_the_host_are_not_global(real: Netlink) -> None:
    found = real.find(name="lo")
    assert found is not None
    assert not [
        one
        for one in real.lasting_addresses(found)
        if one.get_attr("IFA_ADDRESS") in ("127.0.0.1", "::1")
    ]


def test_a_refusal_has_the_kernels_words(real: Netlink) -> None:
    with pytest.raises(OSError) as caught:
        real.set_up(1 << 30)
    assert caught.value.strerror in ("no such device", "operation not permitted")


# What goes over the wire


def test_moving_and_renaming_is_one_request(fake: tuple[Netlink, FakeSocket]) -> None:
    """To the kernel by name, so that the rights of who opened the socket do not matter."""
    netlink, wire = fake
    wire.answers = [acknowledged(1)]
    netlink.move(7, 9, "net0", 12)
    ((data, address),) = wire.sent
    assert address == (0, 0)
    length, kind, flags, _, _ = struct.unpack_from("=IHHII", data)
    assert (length, kind, flags) == (len(data), 19, 5)  # RTM_SETLINK; request, acknowledge
    assert struct.unpack_from("=i", data, 20) == (7,)
    found = attributes(data, 16)
    assert found[3] == b"net0\0"  # IFLA_IFNAME
    assert found[28] == struct.pack("=I", 9)  # IFLA_NET_NS_FD
    assert found[49] == struct.pack("=I", 12)  # IFLA_NEW_IFINDEX


def test_only_the_answer_to_the_question_counts(fake: tuple[Netlink, FakeSocket]) -> None:
    """Neither what another process sends nor the rest of an earlier answer."""
    netlink, wire = fake
    stranger = (4711, 0), acknowledged(1, errno.EIO)[1]
    wire.answers = [stranger, acknowledged(99, errno.EIO), acknowledged(1)]
    netlink.set_up(3)
    assert not wire.answers


def test_what_the_kernel_has_to_say(fake: tuple[Netlink, FakeSocket]) -> None:
    """The request comes back whole, then the words (NETLINK_EXT_ACK)."""
    netlink, wire = fake
    asked = bytes(32)  # as long as the request itself
    words = attribute(1, b"Device is busy\nnow\0")
    body = struct.pack("=i", -errno.EBUSY) + asked + words
    wire.answers = [((0, 0), message(NLMSG_ERROR, NLM_F_ACK_TLVS, 1, body))]
    with pytest.raises(OSError) as caught:
        netlink.set_up(3)
    assert len(wire.sent[0][0]) == len(asked)
    assert caught.value.errno == errno.EBUSY
    assert caught.value.strerror == "device is busynow: device or resource busy"


def test_a_list_that_changes_meanwhile_is_read_again(fake: tuple[Netlink, FakeSocket]) -> None:
    netlink, wire = fake
    done = [message(3, 0x12, 1, b"\0" * 4), message(3, 2, 2, b"\0" * 4)]  # interrupted; whole
    wire.answers = [((0, 0), packet) for packet in done]
    link = links.Link(links.ifinfmsg())
    assert netlink.lasting_addresses(link) == [] and len(wire.sent) == 2


def test_a_list_that_changed_is_read_to_its_end_first(fake: tuple[Netlink, FakeSocket]) -> None:
    """The kernel refuses the next question as long as it has more to say to the last one (EBUSY)."""
    netlink, wire = fake
    address = struct.pack("=BBBBI", socket.AF_INET, 24, 0, 0, 1)
    part = message(20, 0x12, 1, address)  # RTM_NEWADDR; one of many, interrupted
    rest = message(20, 0x2, 1, address) + message(3, 0x2, 1, b"\0" * 4)
    wire.answers = [((0, 0), part), ((0, 0), rest), ((0, 0), message(3, 0x2, 2, b"\0" * 4))]
    unread = []
    ask = wire.sendto

    def sendto(data: bytes, to: Any) -> None:
        unread.append(len(wire.answers))
        ask(data, to)

    wire.sendto = sendto  # type: ignore[method-assign]
    assert netlink.lasting_addresses(links.Link(links.ifinfmsg())) == []
    assert unread == [3, 1] and not wire.answers


def test_a_list_the_kernel_broke_off_is_no_list(fake: tuple[Netlink, FakeSocket]) -> None:
    """NLMSG_DONE has an errno, too; an address that is not seen would be lost with the move."""
    netlink, wire = fake
    body = struct.pack("=i", -errno.ENOMEM) + attribute(1, b"Out of words\0")
    wire.answers = [((0, 0), message(3, 0x2 | NLM_F_ACK_TLVS, 1, body))]
    with pytest.raises(OSError) as caught:
        netlink.lasting_addresses(links.Link(links.ifinfmsg()))
    assert caught.value.errno == errno.ENOMEM
    assert caught.value.strerror == "out of words: cannot allocate memory"


@pytest.mark.parametrize(
    ("label", "new", "wanted"),
    [
        ("eth0:web", "net1", "net1:web"),
        ("other", "net1", "other"),
        ("eth0:web", "fifteen-letters", "fifteen-letters"),
    ],
)
def test_labels_follow_the_name(label: str, new: str, wanted: str) -> None:
    assert links._renamed(label, "eth0", new) == wanted


def test_pyroute2_itself_is_not_loaded() -> None:
    """Its face would load all of it, asyncio first."""
    code = "import sys; from pyruntime.kernel import links; print('asyncio' in sys.modules, len(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )  # fmt: skip
    loaded, count = done.stdout.split()
    assert loaded == "False" and int(count) < 200


def test_a_closed_socket_is_closed(real: Netlink) -> None:
    other = Netlink(real.socket.dup().detach())
    other.close()
    assert other.socket.fileno() == -1 and real.socket.family == socket.AF_NETLINK
