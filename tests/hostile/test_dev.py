"""R-09, R-13: /dev of the image leads outside. CVE-2026-41579, CVE-2026-47766, CVE-2026-88264, CVE-2025-52565."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lib import hostile
from tests.lib.box import Box
from tests.lib.bundle import Bundle
from tests.lib.console import ConsoleSocket
from tests.lib.tripwire import Tripwire

NAMES = [
    "null",
    "zero",
    "full",
    "random",
    "urandom",
    "tty",
    "console",
    "ptmx",
    "fd",
    "stdin",
    "core",
    "shm",
    "pts",
    "mqueue",
]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Already holds the names that are made or replaced in a /dev."""
    tree: dict[str, object] = {
        name: f"precious {name}" for name in NAMES if name not in ("shm", "pts", "mqueue")
    }
    return hostile.build(
        tmp_path / "outside", {**tree, "pts": {"ptmx": "p", "0": "0"}, "shm": {}, "mqueue": {}}
    )  # type: ignore[dict-item]


def plain(bundle: Bundle) -> Bundle:
    """Without a tmpfs on /dev: the image's own directory is used."""
    return bundle.set(
        "mounts",
        [mount for mount in bundle.get("mounts") if not mount["destination"].startswith("/dev")],
    )


def attempt(bundle: Bundle, *flags: str) -> None:
    with Box(bundle.inside("pause"), patience=5) as box:
        outcome = box.create(*flags, check=False)
        assert outcome.code in (0, 1) and "Traceback" not in outcome.err, str(outcome)
        if outcome.code == 0:
            box.start()


def check(bundle: Bundle, outside: Path) -> None:
    with Tripwire(outside):
        attempt(bundle)


@pytest.mark.parametrize("mounted", [True, False], ids=["tmpfs", "image"])
@pytest.mark.parametrize("label", hostile.FORMS)
def test_dev_is_a_link(bundle: Bundle, outside: Path, label: str, mounted: bool) -> None:
    hostile.build(bundle.rootfs, hostile.link_form(label, "dev", outside))
    check(bundle if mounted else plain(bundle), outside)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["link", "dangling", "fifo", "file", "dir", "wrong device"])
def test_an_entry_of_the_images_dev(bundle: Bundle, outside: Path, name: str, kind: str) -> None:
    entries: dict[str, object] = {
        "link": hostile.Link(str(outside / name)),
        "dangling": hostile.Link(str(outside / "made")),
        "fifo": hostile.Fifo(),
        "file": "text",
        "dir": {"x": "y"},
        "wrong device": hostile.Node("c", 1, 11),
    }
    hostile.build(bundle.rootfs, {"dev": {name: entries[kind]}})  # type: ignore[dict-item]
    check(plain(bundle), outside)


@pytest.mark.parametrize("name", ["null", "zero", "urandom"])
def test_a_default_node_that_is_something_else(bundle: Bundle, outside: Path, name: str) -> None:
    """Either an error, or the right device in the end; never the wrong one left in place."""
    hostile.build(bundle.rootfs, {"dev": {name: hostile.Node("c", 1, 11)}})
    with Box(plain(bundle).inside("stat", f"/dev/{name}")) as box:
        outcome = box.run()
        if outcome.code == 0:
            assert outcome.lines[0]["minor"] == {"null": 3, "zero": 5, "urandom": 9}[name]


@pytest.mark.parametrize("target", ["/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/console"])
def test_mounts_below_a_linked_entry(bundle: Bundle, outside: Path, target: str) -> None:
    name = target.rpartition("/")[2]
    hostile.build(bundle.rootfs, {"dev": {name: hostile.Link(str(outside / name))}})
    plain(bundle).mount(target, "tmpfs", "t")
    check(bundle, outside)


CONSOLES: dict[str, hostile.Tree] = {
    "console is a link out": {"dev": {"console": hostile.Link("OUTSIDE/console")}},
    "console dangles": {"dev": {"console": hostile.Link("OUTSIDE/made")}},
    "console is a fifo": {"dev": {"console": hostile.Fifo()}},
    "console is a directory": {"dev": {"console": {}}},
    "pts is a link out": {"dev": {"pts": hostile.Link("OUTSIDE/pts")}},
    "ptmx is a file": {"dev": {"pts": {"ptmx": "text"}}},
    "ptmx is a link out": {
        "dev": {
            "pts": {"ptmx": hostile.Link("OUTSIDE/pts/ptmx")},
            "ptmx": hostile.Link("OUTSIDE/ptmx"),
        }
    },
    "ptmx is the null device": {
        "dev": {"pts": {"ptmx": hostile.Node("c", 1, 3)}, "ptmx": hostile.Node("c", 1, 3)}
    },
}


def placed(tree: object, outside: Path) -> object:
    if isinstance(tree, dict):
        return {name: placed(entry, outside) for name, entry in tree.items()}
    if isinstance(tree, hostile.Link):
        return hostile.Link(tree.target.replace("OUTSIDE", str(outside)))
    return tree


@pytest.mark.parametrize("devpts", [True, False], ids=["devpts", "no devpts"])
@pytest.mark.parametrize("name", CONSOLES)
def test_a_terminal(bundle: Bundle, outside: Path, tmp_path: Path, name: str, devpts: bool) -> None:
    """The pty comes from a proved devpts of the container, or create fails; never from the image's files."""
    hostile.build(bundle.rootfs, placed(CONSOLES[name], outside))  # type: ignore[arg-type]
    plain(bundle).set("process.terminal", True)
    if devpts:
        bundle.mount("/dev/pts", "devpts", "devpts", "newinstance", "ptmxmode=0666", "mode=0620")
    with Tripwire(outside), ConsoleSocket(tmp_path / "console") as console:
        attempt(bundle, "--console-socket", str(console.path))
