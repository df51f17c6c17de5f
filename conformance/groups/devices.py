"""linux.devices, the default devices, and the rules of linux.resources.devices."""

from __future__ import annotations

from typing import Any

from conformance.catalogue import test
from conformance.claims import equal, holds, includes, not_created
from conformance.place import Place
from tests.lib import facts
from tests.lib.bundle import Bundle

GROUP = "devices"

DEFAULTS = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
}
FREE = 61
"""A major number for local use (devices.txt): an open that is allowed finds no driver."""


def node(seen: facts.Facts, name: str) -> dict[str, Any]:
    includes(seen.dev, [name], "names in /dev")
    found: dict[str, Any] = seen.dev[name]
    return found


@test(requirements=(48,), each=DEFAULTS)
def default_devices(place: Place, label: str) -> None:
    """config-linux.md, Default Devices: the runtime MUST also supply null, zero, full, random, urandom and tty."""
    found = node(place.report(place.bundle()), label)
    equal((found["type"], found["major"], found["minor"]), ("char", *DEFAULTS[label]), label)
    equal(found["mode"], 0o666, "its mode")


@test(requirements=(48,), each=("null", "zero", "urandom"))
def default_devices_work(place: Place, label: str) -> None:
    """config-linux.md, Default Devices: they can be used, also when the device rules deny everything."""
    bundle = place.bundle().set("linux.resources.devices", [{"allow": False, "access": "rwm"}])
    equal(place.line(bundle, "open", f"/dev/{label}", "rw")["errno"], "", "opening it")


@test(requirements=(48,))
def ptmx(place: Place) -> None:
    """config-linux.md, Default Devices: /dev/ptmx is a bind-mount or symlink of the container's /dev/pts/ptmx."""
    stat, opened = place.lines(place.bundle(), "stat", "/dev/ptmx", "--", "open", "/dev/ptmx", "rw")
    equal(opened["errno"], "", "opening it")
    if stat["type"] == "link":
        holds(stat["link"] in ("pts/ptmx", "/dev/pts/ptmx"), "where it leads", stat)
    else:
        equal((stat["type"], stat["major"], stat["minor"]), ("char", 5, 2), "the device")


def with_device(place: Place, **members: Any) -> Bundle:
    entry = {"path": "/dev/given", "type": "c", "major": FREE, "minor": 7, **members}
    return place.bundle().set("linux.devices", [entry])


TYPES = {"c": "char", "u": "char", "b": "block", "p": "fifo"}


@test(
    requirements=(47,),
    leaves=[f"linux.devices.*.{name}" for name in ("path", "type", "major", "minor")],
    each=TYPES,
)
def devices(place: Place, label: str) -> None:
    """config-linux.md, Devices: lists devices that MUST be available in the container."""
    found = node(place.report(with_device(place, type=label)), "given")
    equal(found["type"], TYPES[label], "its type")
    if label != "p":
        equal((found["major"], found["minor"]), (FREE, 7), "its numbers")


@test(
    requirements=(47,),
    leaves=[f"linux.devices.*.{name}" for name in ("fileMode", "uid", "gid")],
)
def owner_and_mode_of_devices(place: Place) -> None:
    """config-linux.md, Devices: fileMode, uid and gid, whatever the runtime's umask."""
    found = node(place.report(with_device(place, fileMode=0o642, uid=12, gid=34)), "given")
    equal((found["mode"], found["uid"], found["gid"]), (0o642, 12, 34), "mode, owner, group")


@test(requirements=(47,), leaves=("linux.devices.*.path",))
def device_outside_of_dev(place: Place) -> None:
    """config-linux.md, Devices: the path MAY be anywhere in the container filesystem, notably outside of /dev."""
    bundle = with_device(place, path="/opt/deep/given")
    line = place.line(bundle, "stat", "/opt/deep/given")
    equal((line.get("type"), line.get("major"), line.get("minor")), ("char", FREE, 7), "the device")


@test(requirements=(47, 16), leaves=("linux.devices.*.path",), each=("a file", "another device"))
def device_where_something_else_is(place: Place, label: str) -> None:
    """config-linux.md, Devices: if a file already exists at path that does not match the requested device, the runtime
    MUST generate an error."""
    bundle = with_device(place, path="/opt/given")
    if label == "a file":
        bundle.file("/opt/given", "x")
    else:
        bundle.add("linux.devices", {"path": "/opt/given", "type": "c", "major": 1, "minor": 3})
    with place.container(bundle) as box:
        not_created(box, f"{label} where the device is to be")


@test(requirements=(44,), leaves=("linux.devices.*.major",), each=("type", "path", "major"))
def device_that_says_too_little(place: Place, label: str) -> None:
    """config-linux.md, Devices: type and path are REQUIRED, major and minor unless type is p."""
    bundle = with_device(place).unset(f"linux.devices.0.{label}")
    with place.container(bundle) as box:
        not_created(box, f"a device without {label}")


# The rules: an open that they let through finds no driver (ENXIO), one that they do not is EPERM.

DENIED, ALLOWED = "EPERM", "ENXIO"
ALL_DENIED = {"allow": False, "access": "rwm"}


def allow(
    access: str = "rwm",
    *,
    major: int | None = FREE,
    minor: int | None = 7,
    kind: str = "c",
    yes: bool = True,
) -> dict[str, Any]:
    rule: dict[str, Any] = {"allow": yes, "access": access, "type": kind}
    rule.update({} if major is None else {"major": major})
    rule.update({} if minor is None else {"minor": minor})
    return rule


def opened(place: Place, name: str, *rules: dict[str, Any]) -> dict[str, str]:
    """How opening the device 61:7 for reading, for writing and for both ends under these rules."""
    bundle = (
        place.bundle(name).capabilities("CAP_MKNOD").set("linux.resources.devices", list(rules))
    )
    bundle.set("linux.devices", [{"path": "/dev/given", "type": "c", "major": FREE, "minor": 7}])
    commands = [("open", "/dev/given", how) for how in ("r", "w", "rw")]
    words = [word for command in commands for word in (*command, "--")]
    lines = place.lines(bundle, *words[:-1])
    return dict(zip(("r", "w", "rw"), (line["errno"] for line in lines), strict=True))


def answers(text: str) -> dict[str, str]:
    """`yes no no` for reading, writing and both."""
    words = {"yes": ALLOWED, "no": DENIED}
    return dict(zip(("r", "w", "rw"), (words[word] for word in text.split()), strict=True))


RULES: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "all denied": ("no no no", [ALL_DENIED]),
    "one allowed": ("yes yes yes", [ALL_DENIED, allow()]),
    "reading": ("yes no no", [ALL_DENIED, allow("r")]),
    "writing": ("no yes no", [ALL_DENIED, allow("w")]),
    "making": ("no no no", [ALL_DENIED, allow("m")]),
    "another major": ("no no no", [ALL_DENIED, allow(major=FREE + 1)]),
    "another minor": ("no no no", [ALL_DENIED, allow(minor=8)]),
    "another type": ("no no no", [ALL_DENIED, allow(kind="b")]),
    "any minor": ("yes yes yes", [ALL_DENIED, allow(minor=None)]),
    "any number": ("yes yes yes", [ALL_DENIED, allow(major=None, minor=None)]),
    "all of type a": ("yes yes yes", [ALL_DENIED, allow(major=None, minor=None, kind="a")]),
    "allowed, then denied": ("no no no", [ALL_DENIED, allow(), allow(yes=False)]),
    "denied in part": ("yes no no", [ALL_DENIED, allow(), allow("w", yes=False)]),
    "denied, then allowed": ("yes yes yes", [ALL_DENIED, allow(yes=False), allow()]),
    "denied at the end": ("no no no", [allow(), ALL_DENIED]),
}
LEAVES = [
    f"linux.resources.devices.*.{name}" for name in ("allow", "access", "type", "major", "minor")
]


@test(requirements=(54,), leaves=LEAVES, each=RULES)
def rules(place: Place, label: str) -> None:
    """config-linux.md, Allowed Device list: the runtime MUST apply entries in the listed order."""
    wanted, listed = RULES[label]
    equal(opened(place, "bundle", *listed), answers(wanted), "opening for r, w, rw")


@test(requirements=(54, 44), leaves=("linux.resources.devices.*.access",), each=("x", "rx"))
def rules_that_cannot_be(place: Place, label: str) -> None:
    """config-linux.md, Allowed Device list: access is composed of r, w and m."""
    with place.container(place.bundle().set("linux.resources.devices", [allow(label)])) as box:
        not_created(box, f"the access {label!r}")
