"""linux.netDevices (config-linux.md, Network devices): devices of the host, moved into the container's namespace.

The kernel takes a device down, and its addresses away, when it changes namespaces: what lasts of them is read before
and set again after. The init waits meanwhile and lends a netlink socket of its own namespace; moving and renaming is
one request, so a device is never half-way. While the creation is under way the socket keeps the namespace alive, and
a failure brings everything back. Later nothing is: a device shares the fate of the namespace it is in
(network_namespaces(7): a physical one returns to the initial namespace, a virtual one is destroyed).
"""

from __future__ import annotations

from errno import EPERM

from pyruntime.errors import StepError, UnsupportedError
from pyruntime.features.idioms import send_descriptors
from pyruntime.kernel.native import lib
from pyruntime.lib import handover
from pyruntime.plan import messages, moments
from pyruntime.plan.step import SYNC, Reg, Step, builtin, sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.plan.host import HostSide
    from pyruntime.spec.types import Config, NetDevice

PROPERTIES = ("linux.netDevices",)

CAP_NET_ADMIN = lib.CAP_NET_ADMIN
NAME_LIMIT = 15  # bytes; IFNAMSIZ without its NUL
TEMPLATE = "%d"
LETTERS = frozenset(map(chr, range(0x21, 0x7F))) - set("/:%")
NO_NAME = "not the name of a network device: 1 to 15 letters of printable ASCII, no blank, `/`, `:` or `%`"
"""Where the kernel finishes the name, `%d` may stand at its end (security: R-25)."""


def rules(spec: Config) -> Iterator[tuple[str, str]]:
    linux = spec.get("linux", {})
    if not any(entry["type"] == "network" for entry in linux.get("namespaces") or ()):
        yield (
            "/linux/netDevices",
            "unable to move network devices without a private network namespace",
        )
    seen: set[str] = set()
    for device, entry in linux.get("netDevices", {}).items():
        name = entry.get("name") or device
        if not _is_name(device):
            yield _pointer(device), f"`{_printable(device)}`: {NO_NAME}"
        elif not _is_name(name.removesuffix(TEMPLATE)) or len(name) > NAME_LIMIT:
            yield _pointer(device) + "/name", f"`{_printable(name)}`: {NO_NAME} but `%d` at the end"
        elif name in seen and not name.endswith(TEMPLATE):
            yield _pointer(device), f"a second device would be called `{name}` in the container"
        seen.add(name)


def _is_name(text: str) -> bool:
    return 0 < len(text) <= NAME_LIMIT and LETTERS.issuperset(text) and text not in (".", "..")


def _pointer(device: str) -> str:
    return "/linux/netDevices/" + device.replace("~", "~0").replace("/", "~1")


def _printable(text: str) -> str:
    return "".join([letter if letter.isprintable() else "?" for letter in text])


def reach() -> None:
    """Netlink is spoken with pyroute2, which the launcher is too small for."""
    import sys

    handover.full_interpreter(sys.argv[1:])
    try:
        from pyruntime.features import device_moves  # noqa: F401
    except ModuleNotFoundError as error:
        raise UnsupportedError(
            "moving network devices needs pyroute2",
            "/linux/netDevices",
            why=f"no module named `{error.name}`",
            hint="`make install` brings it along; with pip it is pyruntime[network]",
        ) from None


def plan(spec: Config, site: Site) -> Iterator[Step]:
    devices = spec["linux"]["netDevices"]
    if not site.capabilities >> CAP_NET_ADMIN & 1:
        raise StepError(
            "moving network devices needs CAP_NET_ADMIN", "/linux/netDevices", errno=EPERM
        )
    fd = Reg("netlink")
    kind = lib.SOCK_RAW | lib.SOCK_CLOEXEC
    yield Step(
        moments.NET_DEVICES,
        "/linux/netDevices",
        f"move the network devices {', '.join(devices)} into the container",
        [
            sys(lib.NR_socket, lib.AF_NETLINK, kind, lib.NETLINK_ROUTE, out=fd),
            *send_descriptors(site.socket_fd, messages.LENT, fd),
            sys(lib.NR_close, fd),
            builtin(SYNC, site.socket_fd, messages.SYNC),
        ],
        run=lambda host: _move(devices, host),
    )


def _move(devices: dict[str, NetDevice], host: HostSide) -> None:
    from pyruntime.features.device_moves import move_all

    names = {
        _pointer(device): (device, entry.get("name") or "") for device, entry in devices.items()
    }
    move_all(names, host)


def report() -> dict[str, Any]:
    return {"linux": {"netDevices": {"enabled": True}}}
