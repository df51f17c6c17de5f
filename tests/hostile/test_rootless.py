"""R-01, R-05, R-09, R-53: hostile images in an ordinary user's container. The same holes would be open by other ways: bind
sources are opened by path in the container's own mount namespace, and devices are bound, not made.

What is outside belongs to the user, so that no lack of rights hides a hole.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lib import hostile
from tests.lib.bundle import Bundle
from tests.lib.ordinary_user import Person, PersonBox, own, rootless
from tests.lib.tripwire import Tripwire

NODES = ("null", "zero", "full", "random", "urandom", "tty")


@pytest.fixture
def outside(person: Person) -> Path:
    tree: hostile.Tree = {"file": "precious", "sub": {"deep": "too"}, "empty": {}}
    tree.update({name: f"precious {name}" for name in NODES})
    made = hostile.build(person.home / "outside", tree)
    own(made, person.uid)
    return made


@pytest.fixture
def source(person: Person) -> Path:
    made = hostile.build(person.home / "source", {"file": "from the host"})
    own(made, person.uid)
    return made


def check(person: Person, bundle: Bundle, outside: Path) -> None:
    """A refusal or a container, and what is outside is as it was."""
    rootless(bundle.inside("pause"), person, person.maps)
    with Tripwire(outside), PersonBox(bundle, person) as box:
        outcome = box.create(check=False)
        assert outcome.code in (0, 1) and "Traceback" not in outcome.err, str(outcome)
        assert outcome.code == 0 or outcome.err.strip()


def image_dev(bundle: Bundle) -> Bundle:
    """The image's own directory in place of a tmpfs."""
    kept = [row for row in bundle.get("mounts") if not row["destination"].startswith("/dev")]
    return bundle.set("mounts", kept)


KINDS: dict[str, Callable[[Bundle, Path], Bundle]] = {
    "tmpfs": lambda bundle, source: bundle.mount("/v/new/deep", "tmpfs", "t"),
    "file": lambda bundle, source: bundle.bind(source / "file", "/v/file"),
    "directory": lambda bundle, source: bundle.bind(source, "/v/empty"),
    "mask": lambda bundle, source: bundle.set("linux.maskedPaths", ["/v/file", "/v/sub"]),
    "read-only": lambda bundle, source: bundle.set("linux.readonlyPaths", ["/v/file", "/v/sub"]),
    "device": lambda bundle, source: bundle.add(
        "linux.devices", {"path": "/v/x", "type": "c", "major": 1, "minor": 3}
    ),
}


def cells() -> list[object]:
    """Every form for one kind, two forms for every kind; the rest of the product at night."""
    return [
        pytest.param(
            *(kind, label),
            marks=() if kind == "file" or label in ("absolute", "dot-dot") else pytest.mark.nightly,
        )
        for kind in KINDS
        for label in hostile.FORMS
    ]


@pytest.mark.parametrize(("kind", "label"), cells())
def test_a_target_that_leads_out(
    person: Person, outside: Path, source: Path, kind: str, label: str
) -> None:
    bundle = person.bundle()
    hostile.build(bundle.rootfs, hostile.link_form(label, "v", outside))
    check(person, KINDS[kind](bundle, source), outside)


@pytest.mark.parametrize("label", hostile.FORMS)
def test_dev_of_the_image_leads_out(person: Person, outside: Path, label: str) -> None:
    bundle = image_dev(person.bundle())
    hostile.clear(bundle.rootfs / "dev")
    hostile.build(bundle.rootfs, hostile.link_form(label, "dev", outside))
    check(person, bundle, outside)


PLANTED: dict[str, Callable[[Path], object]] = {
    "link": lambda outside: hostile.Link(str(outside / "file")),
    "relative link": lambda outside: hostile.Link("../../../outside/file"),
    "link to nothing": lambda outside: hostile.Link(str(outside / "new")),
    "fifo": lambda outside: hostile.Fifo(),
    "file": lambda outside: "image's",
    "directory": lambda outside: {"x": ""},
}


@pytest.mark.parametrize("what", PLANTED)
def test_a_node_of_the_image_is_something_else(person: Person, outside: Path, what: str) -> None:
    """Whatever the image has there: the host's device or a refusal, never the image's file as a device."""
    bundle = image_dev(person.bundle())
    hostile.build(bundle.rootfs / "dev", {"null": PLANTED[what](outside)})
    bundle.inside("stat", "/dev/null")
    rootless(bundle, person, person.maps)
    with Tripwire(outside), PersonBox(bundle, person, patience=5) as box:
        outcome = box.run()
        assert outcome.code in (0, 1) and "Traceback" not in outcome.err, str(outcome)
        if outcome.code == 0:
            seen = outcome.lines[0]
            assert (seen["type"], seen["major"], seen["minor"]) == ("char", 1, 3)
