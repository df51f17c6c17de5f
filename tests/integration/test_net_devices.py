"""linux.netDevices: devices of the host in the container's network namespace (config-linux.md, Network devices)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lib.box import Box, refused
from tests.lib.bundle import Bundle
from tests.lib.devices import Device, ip, names, seen
from tests.lib.killing import Victim
from tests.lib.namespaces import SUBORDINATE, Keeper, map_users
from tests.lib.ordinary_user import Person, PersonBox, own, place

pytestmark = pytest.mark.covers("linux.netDevices")

V4, V6 = "10.1.2.3/24", "fd00::5/64 nodad"
RICH = (
    V4,
    "10.1.2.4/24 label d0:web",
    "10.9.9.9 peer 10.9.9.8",
    "10.3.0.1/16 broadcast 10.3.255.255 metric 77",
    V6,
    "fd00::6/64 nodad noprefixroute",
    "fd00::7/64 nodad preferred_lft 0",
)


def moving(bundle: Bundle, *devices: str, **renamed: str) -> Bundle:
    """`moving(bundle, "d0", d1="net1")`."""
    entries: dict[str, Any] = {name: {} for name in devices}
    entries |= {name: {"name": new} for name, new in renamed.items()}
    return bundle.set("linux.netDevices", entries)


@pytest.mark.parametrize("up", [False, True])
def test_a_device_moves_with_its_addresses_and_is_up(bundle: Bundle, up: bool) -> None:
    with Device("d0", *RICH, up=up) as device, Box(moving(bundle, "d0")) as box:
        ip("link", "set", "d0", "mtu", "1400")
        before = device.seen()
        assert before is not None and len(before["addresses"]) == len(RICH)
        box.create()
        assert device.seen() is None
        assert seen("d0", box.pid) == {**before, "up": True}


def test_only_what_lasts_and_is_of_global_scope_moves(bundle: Bundle) -> None:
    passing = ("10.5.0.1/24 valid_lft 1000 preferred_lft 1000", "169.254.7.7/16 scope link")
    with Device("d0", *passing, V4), Box(moving(bundle, "d0")) as box:
        box.create()
        text = ip("-json", "-4", "address", "show", "dev", "d0", inside=box.pid)
        assert [one["local"] for one in json.loads(text)[0]["addr_info"]] == ["10.1.2.3"]


def test_the_other_end_of_a_pair_stays_and_is_connected(bundle: Bundle) -> None:
    with Device("v0", V4, peer="v1"), Box(moving(bundle, "v0")) as box:
        ip("link", "set", "v1", "up")
        box.create()
        assert json.loads(ip("-json", "link", "show", "v1"))[0]["operstate"] == "UP"


def test_by_run(bundle: Bundle) -> None:
    with Device("v0", V4, peer="v1"), Box(moving(bundle, v0="net0").inside("pause")) as box:
        box.run("--detach")
        assert names(box.pid) == ["lo", "net0"]


def test_under_another_name(bundle: Bundle) -> None:
    with Device("d0", V4, "10.1.2.4/24 label d0:web"), Box(moving(bundle, d0="net0")) as box:
        box.create()
        found = seen("net0", box.pid)
        assert found is not None and found["up"]
        assert [one["label"] for one in found["addresses"]] == ["net0", "net0:web"]


def test_by_one_of_its_other_names(bundle: Bundle) -> None:
    with Device("d0", V4), Box(moving(bundle, "alternative0")) as box:
        ip("link", "property", "add", "dev", "d0", "altname", "alternative0")
        box.create()
        assert names(box.pid) == ["lo", "d0"] and seen("alternative0", box.pid)


def test_the_kernel_finishes_a_template(bundle: Bundle) -> None:
    """Each finds a name of its own, and its own addresses."""
    with Device("d0", "10.1.0.1/24"), Device("d1", "10.2.0.1/24"), Box(bundle) as box:
        moving(bundle, d0="net%d", d1="net%d")
        box.create()
        assert names(box.pid) == ["lo", "net0", "net1"]
        for name, address in (("net0", "10.1.0.1"), ("net1", "10.2.0.1")):
            found = seen(name, box.pid)
            assert found is not None and found["up"]
            assert [one["local"] for one in found["addresses"]] == [address]


def test_a_template_where_the_own_name_is_taken(bundle: Bundle) -> None:
    with Keeper("network") as keeper, Device("d0", V4), Box(moving(bundle, d0="d%d")) as box:
        ip("link", "add", "d0", "type", "bridge", inside=keeper.pid)
        bundle.namespace("network", keeper.path("network"))
        box.create()
        new = [name for name in names(box.pid) if name not in ("lo", "d0")]
        assert len(new) == 1
        found = seen(new[0], box.pid)
        assert found is not None and found["addresses"][0]["local"] == "10.1.2.3"


def test_in_a_joined_namespace_it_stays_after_the_end(bundle: Bundle) -> None:
    """Its owner decides what becomes of it."""
    with Keeper("network") as keeper, Device("d0", V4) as device:
        bundle.namespace("network", keeper.path("network"))
        with Box(moving(bundle, "d0")) as box:
            box.create()
            box.delete("--force")
        assert device.seen() is None
        found = seen("d0", keeper.pid)
        assert found is not None and found["up"] and len(found["addresses"]) == 1


def test_in_a_namespace_of_its_own_it_shares_its_end(bundle: Bundle) -> None:
    with Device("v0", peer="v1") as device, Box(moving(bundle, "v0")) as box:
        box.create()
        box.delete("--force")
        assert device.seen() is None


@pytest.fixture
def mapped_bundle() -> Iterator[Bundle]:
    with place() as top:
        bundle = map_users(Bundle(top / "bundle"), SUBORDINATE)
        own(bundle.rootfs, SUBORDINATE[0].host)
        yield bundle


def test_in_a_user_namespace(mapped_bundle: Bundle) -> None:
    with Device("d0", *RICH, up=True) as device, Box(moving(mapped_bundle, "d0")) as box:
        before = device.seen()
        box.create()
        assert before is not None and seen("d0", box.pid) == {**before, "up": True}


@pytest.mark.parametrize("kinds", [("network",), ("user", "network")])
def test_in_a_user_namespace_and_a_joined_network(
    mapped_bundle: Bundle, kinds: tuple[str, ...]
) -> None:
    """The host's, over which the container has no rights, or that of the joined user namespace."""
    with Keeper(*kinds) as keeper, Device("d0", *RICH, up=True) as device:
        mapped_bundle.namespace("network", keeper.path("network"))
        if "user" in kinds:
            map_users(mapped_bundle, SUBORDINATE, keeper.path("user"))
        with Box(moving(mapped_bundle, "d0")) as box:
            before = device.seen()
            box.create()
            assert before is not None and seen("d0", box.pid) == {**before, "up": True}


def no_ipv6(pid: int) -> None:
    """New devices in the network namespace of that process have no IPv6."""
    where = "/proc/sys/net/ipv6/conf/default/disable_ipv6"
    command = ["nsenter", f"--net=/proc/{pid}/ns/net", "sh", "-c", f"echo 1 > {where}"]
    subprocess.run(command, check=True)


# What cannot be done: create fails, and the host is as it was.


def test_a_device_that_is_not_there(bundle: Bundle) -> None:
    with Device("d0", *RICH, up=True) as device:
        before = device.seen()
        said = refused(moving(bundle, "d0", "gone0"))
        assert "`gone0`" in said and "/linux/netDevices/gone0" in said and "no such device" in said
        assert device.seen() == before


def test_a_name_the_container_has(bundle: Bundle) -> None:
    with Device("d0", V4) as device:
        before = device.seen()
        assert "file exists" in refused(moving(bundle, d0="lo"))
        assert device.seen() == before


def test_a_name_a_joined_namespace_has(bundle: Bundle) -> None:
    with Keeper("network") as keeper, Device("d0", V4) as device:
        ip("link", "add", "d0", "type", "bridge", inside=keeper.pid)
        before = device.seen()
        bundle.namespace("network", keeper.path("network"))
        assert "file exists" in refused(moving(bundle, "d0"))
        assert device.seen() == before


def test_the_loopback_device(bundle: Bundle) -> None:
    said = refused(moving(bundle, lo="lo1"))
    assert "loopback device" in said and "invalid argument" in said


@pytest.mark.parametrize("name", ["sixteen-letters0", "a/b", "a b", "a:b", "%d0", "..", "a\nb"])
def test_what_is_no_name(bundle: Bundle, name: str) -> None:
    with Device("d0") as device:
        before = device.seen()
        assert "/linux/netDevices/" in refused(moving(bundle, d0=name))
        assert device.seen() == before


def test_without_a_network_namespace(bundle: Bundle) -> None:
    bundle.without_namespace("network")
    assert "/linux/netDevices" in refused(moving(bundle, "lo"))


def test_in_the_namespace_of_the_host(bundle: Bundle) -> None:
    """A path may lead to our own: there is nothing to move, only a device of the host's to rename."""
    with Device("d0", V4) as device:
        before = device.seen()
        bundle.namespace("network", "/proc/self/ns/net")
        said = refused(moving(bundle, d0="net0"))
        assert "/linux/netDevices" in said and "operation not permitted" in said
        assert device.seen() == before


def test_an_ordinary_user(person: Person) -> None:
    bundle = map_users(moving(person.bundle(), "lo"), person.maps).set("linux.cgroupsPath", None)
    with PersonBox(person.give(bundle), person) as box:
        outcome = box.run()
    assert outcome.code == 1
    assert "needs CAP_NET_ADMIN (/linux/netDevices): operation not permitted" in outcome.err


def test_a_later_failure_brings_all_back(bundle: Bundle) -> None:
    """With addresses, state, and the bridge it was in."""
    with Device("d0", *RICH, up=True) as up, Device("v0", V4, V6, peer="v1") as down:
        ip("link", "add", "b0", "type", "bridge")
        try:
            ip("link", "set", "v0", "master", "b0")
            before = up.seen(), down.seen()
            bundle.args("/nothing")
            assert "no such file or directory" in refused(moving(bundle, d0="net0", v0="net1"))
            assert (up.seen(), down.seen()) == before
            assert json.loads(ip("-json", "link", "show", "v0"))[0]["master"] == "b0"
        finally:
            ip("link", "del", "b0")


def test_a_second_one_that_fails_brings_the_first_back(bundle: Bundle) -> None:
    """Half-way, too: it is in the container already when its address is refused there."""
    pair = Device("d0", V4, up=True), Device("d1", V6, up=True)
    with Keeper("network") as keeper, pair[0] as first, pair[1] as second:
        no_ipv6(keeper.pid)
        before = first.seen(), second.seen()
        bundle.namespace("network", keeper.path("network"))
        assert "/linux/netDevices/d1" in refused(moving(bundle, d0="net0", d1="net1"))
        assert (first.seen(), second.seen()) == before
        assert names(keeper.pid) == ["lo"]


class Mover(Victim):
    """Each attack finds the device as new, and takes down what became of it."""

    def __init__(self, bundle: Bundle, verb: str, device: Device) -> None:
        super().__init__(bundle, verb)
        self.device = device
        self.whole = self.look()
        self.found: list[dict[str, Any] | None] = []

    def look(self) -> dict[str, Any] | None:
        """Without its hardware address, which a new device finds anew."""
        found = self.device.seen()
        return found and {**found, "link": None}

    def _attack(self, side: str, number: int) -> tuple[str, int, int]:
        outcome = super()._attack(side, number)
        self.found.append(self.look())
        if self.found[-1] is None:
            self.device.make()
        return outcome


@pytest.mark.slow
@pytest.mark.parametrize("side", ["host", "init"])
def test_killed_anywhere(bundle: Bundle, side: str) -> None:
    """On the host it is as it was; or it was in the container, and shared its end. There is nothing in between."""
    moving(bundle.shell("exit 0"), "d0")
    with Device("d0", V4, V6, up=True) as device, Mover(bundle, "create", device) as victim:
        total = victim.calls(side)
        numbers = range(max(1, total - 400) if side == "host" else 1, total + 1, 13)
        left = victim.survivors(side, list(numbers))
        assert not left, "\n".join(left)
        assert victim.found.count(None) > 2 and victim.found.count(victim.whole) > 2
        assert all(found in (None, victim.whole) for found in victim.found)


@pytest.mark.slow
def test_the_init_killed_anywhere(bundle: Bundle) -> None:
    """The runtime lives: it brings the device back out of a namespace nobody is in any more."""
    moving(bundle.shell("exit 0"), "d0")
    with Device("d0", V4, V6, up=True) as device, Mover(bundle, "create", device) as victim:
        total = victim.calls("init-dies")
        victim.found.clear()
        for number in range(1, total + 1, 11):
            left = victim.left_after("init-dies", number)
            assert not left, left
        assert victim.found == [victim.whole] * len(victim.found)
