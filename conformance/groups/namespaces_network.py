"""linux.netDevices: moved, renamed, with their addresses, up; and what cannot be."""

from __future__ import annotations

from conformance import links
from conformance.catalogue import test
from conformance.claims import equal, excludes, holds, includes, not_created
from conformance.place import Place

GROUP = "namespaces"


def tap(place: Place, name: str = "cfm0") -> links.Tap:
    return place.stack.enter_context(links.Tap(name))


@test(requirements=(50,), leaves=("linux.netDevices",))
def net_devices_are_moved(place: Place) -> None:
    """config-linux.md, Network Devices: a set of network devices that MUST be made available in the container."""
    device = tap(place)
    facts = place.report(place.bundle().set("linux.netDevices", {device.name: {}}))
    includes(facts.interfaces, [device.name], "devices in the container")


@test(requirements=(50,), leaves=("linux.netDevices",))
def net_devices_are_renamed_and_up(place: Place) -> None:
    """config-linux.md, Network Devices: name is the name in the container; the runtime MUST set the network device state
    to up after moving it."""
    device = tap(place)
    facts = place.report(place.bundle().set("linux.netDevices", {device.name: {"name": "inner"}}))
    includes(facts.interfaces, ["inner"], "devices in the container")
    excludes(facts.interfaces, [device.name], "devices in the container")
    holds(facts.interfaces["inner"] & links.IFF_UP, "the device is up", facts.interfaces)


@test(requirements=(50,), leaves=("linux.netDevices",))
def net_devices_keep_what_they_have(place: Place) -> None:
    """config-linux.md, Network Devices: the runtime MUST preserve existing network interface attributes, including all
    permanent IP addresses of any family with global scope."""
    device = tap(place)
    device.give("192.0.2.7", "255.255.255.0", "2001:db8::7", 1400)
    bundle = place.bundle().set("linux.netDevices", {device.name: {"name": "inner"}})
    bundle.mount("/sys", "sysfs", "sysfs")
    four, six, mtu = place.lines(
        bundle,
        *("cat", "/proc/net/fib_trie", "--", "cat", "/proc/net/if_inet6"),
        *("--", "cat", "/sys/class/net/inner/mtu"),
    )
    addresses = {line.split()[-1] for line in four["data"].splitlines() if "|--" in line}
    includes(addresses, ["192.0.2.7"], "IPv4 addresses")
    rows = [line.split() for line in six["data"].splitlines()]
    found = {(row[0], int(row[2], 16)) for row in rows if row[-1] == "inner"}
    includes(found, [("20010db8000000000000000000000007", 64)], "IPv6 addresses and prefixes")
    equal(mtu["data"].strip(), "1400", "MTU")


@test(requirements=(50,), leaves=("linux.netDevices",))
def net_devices_with_a_template(place: Place) -> None:
    """config-linux.md, Network Devices: if the name has %d, the runtime MUST allow the move; the kernel finds a number."""
    device = tap(place)
    facts = place.report(place.bundle().set("linux.netDevices", {device.name: {"name": "in%d"}}))
    includes(facts.interfaces, ["in0"], "devices in the container")


@test(
    requirements=(50, 16), leaves=("linux.netDevices",), each=("taken", "missing", "no namespace")
)
def net_devices_that_cannot_be(place: Place, label: str) -> None:
    """config-linux.md, Network Devices: if a device with the specified name exists in the container namespace, the
    runtime MUST generate an error."""
    device = tap(place)
    bundle = place.bundle()
    if label == "no namespace":
        bundle.without_namespace("network")
    entry = {"taken": {device.name: {"name": "lo"}}, "missing": {"nobody0": {}}}
    bundle.set("linux.netDevices", entry.get(label, {device.name: {"name": "other"}}))
    with place.container(bundle) as box:
        not_created(box, f"a device: {label}")
    includes(links.names(), [device.name], "devices of the runtime's namespace")


@test(requirements=(50,), leaves=("linux.netDevices",))
def net_devices_do_not_come_back(place: Place) -> None:
    """config-linux.md, Network Devices: the runtime MUST NOT attempt to move the interface out of the namespace before
    deleting the network namespace; a virtual device ends with it."""
    device = tap(place)
    with place.container(place.bundle().set("linux.netDevices", {device.name: {}})) as box:
        box.live().wait()
        box.delete()
    excludes(links.names(), [device.name], "devices of the runtime's namespace")
