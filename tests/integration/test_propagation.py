"""linux.rootfsPropagation in all its forms, and propagation of single mounts: what flows where, and that nothing
reaches the host unasked (config-linux.md, Rootfs Mount Propagation; R-11)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lib import facts, kernel
from tests.lib.box import Box, refused, report, run
from tests.lib.bundle import Bundle

pytestmark = pytest.mark.covers("linux.rootfsPropagation", "mounts.options")

FORMS = ["shared", "slave", "private", "unbindable"]
ALL = [*FORMS, *("r" + form for form in FORMS)]
SHARED, BOTH, MASTER = {"shared"}, {"shared", "master"}, {"master"}
CONTAINERS = ("/proc", "/dev", "/dev/pts")
"""Mounts of the container's own, which were never anybody else's."""


@pytest.fixture
def on_shared(bundle: Bundle) -> Iterator[Bundle]:
    """As under systemd: the root lies on a shared mount of the host, with another one below it."""
    top = bundle.directory.parent
    kernel.mount(str(top), str(top), flags=kernel.MS_BIND)
    kernel.mount("", str(top), flags=kernel.MS_SHARED)
    (bundle.rootfs / "below").mkdir()
    kernel.mount("below", str(bundle.rootfs / "below"), "tmpfs")
    yield bundle
    kernel.umount(str(bundle.rootfs / "below"))
    kernel.umount(str(top))


# How `/` itself, what came with it, and what the container got of its own must look.
ROOTS: dict[str | None, tuple[set[str], set[str], set[str]]] = {
    None: (MASTER, MASTER, set()),
    "slave": (MASTER, MASTER, set()),
    "rslave": (MASTER, MASTER, set()),
    "private": (set(), set(), set()),
    "rprivate": (set(), set(), set()),
    "shared": (SHARED, MASTER, set()),
    "rshared": (SHARED, BOTH, SHARED),
    "unbindable": ({"unbindable"}, MASTER, set()),
    "runbindable": ({"unbindable"}, {"unbindable"}, {"unbindable"}),
}


@pytest.mark.parametrize("asked", ROOTS)
def test_on_a_shared_host(on_shared: Bundle, asked: str | None) -> None:
    if asked:
        on_shared.set("linux.rootfsPropagation", asked)
    seen = report(on_shared)
    root, below, own = ROOTS[asked]
    assert seen.mount("/").propagation == root
    assert seen.mount("/below").propagation == below
    assert {place: seen.mount(place).propagation for place in CONTAINERS} == dict.fromkeys(
        CONTAINERS, own
    )


MOUNT = ("syscall", "165", "s:none", "s:/tmp", "s:tmpfs", "0", "0")


@pytest.mark.parametrize("asked", [None, *ALL])
def test_nothing_reaches_the_host(on_shared: Bundle, asked: str | None) -> None:
    """Neither the mounts of the set-up, nor one that the container makes, on `/` or below it."""
    if asked:
        on_shared.set("linux.rootfsPropagation", asked)
    before = facts.own_mounts()
    on_shared.privileged().inside(*MOUNT, "--", "pause")
    with Box(on_shared) as box:
        box.create()
        assert facts.own_mounts() == before
        box.start()
        assert box.expect("syscall")["errno"] == ""
        assert facts.own_mounts() == before


@pytest.mark.parametrize("asked", [None, *ALL])
def test_what_the_host_mounts_later(on_shared: Bundle, asked: str | None) -> None:
    """A slave hears of it. A root with a peer group of its own does not, nor a private one; below it, it depends."""
    if asked:
        on_shared.set("linux.rootfsPropagation", asked)
    reader, writer = os.pipe()
    on_shared.inside("echo", '{"cmd": "up"}', "--", "read", "--", "report")
    place = on_shared.rootfs / "tmp"
    try:
        with os.fdopen(reader, "rb") as stdin, Box(on_shared, stdin=stdin) as box:
            box.create()
            box.start()
            box.expect("up")
            kernel.mount("later", str(place), "tmpfs")
            os.write(writer, b"go")
            arrived = any(mount.source == "later" for mount in box.facts.mounts)
            box.wait()
            kernel.umount(str(place))
    finally:
        os.close(writer)
    assert arrived == (asked in (None, "slave", "rslave"))


def test_a_new_mount_belongs_to_the_peer_group(on_shared: Bundle) -> None:
    """config-linux.md: further mounts belong to the peer group of a shared root."""
    on_shared.set("linux.rootfsPropagation", "shared").privileged().inside(*MOUNT, "--", "report")
    seen = run(on_shared).facts
    assert seen.mount("/tmp").propagation == SHARED


@pytest.mark.parametrize("asked", ["unbindable", "runbindable"])
def test_an_unbindable_root_cannot_be_bound(bundle: Bundle, asked: str) -> None:
    bundle.set("linux.rootfsPropagation", asked).privileged()
    bind = str(kernel.MS_BIND)
    outcome = run(bundle.inside("syscall", "165", "s:/bin", "s:/tmp", "s:", bind, "0"))
    assert outcome.lines[0]["errno"] == "EINVAL"


# Single mounts beside the root's choice


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """A shared mount of the host."""
    top = tmp_path / "volume"
    top.mkdir()
    kernel.mount("volume", str(top), "tmpfs")
    kernel.mount("", str(top), flags=kernel.MS_SHARED)
    (top / "sub").mkdir()
    yield top
    kernel.umount(str(top))


# Without a word a volume follows the root; with one it has what it asked for, whatever the root is.
VOLUMES: dict[tuple[str | None, str], set[str]] = {
    (None, ""): MASTER,
    ("slave", ""): MASTER,
    ("private", ""): set(),
    ("rprivate", ""): set(),
    ("shared", ""): SHARED,
    ("rshared", ""): SHARED,
    ("unbindable", ""): MASTER,
    ("rslave", "private"): set(),
    ("rslave", "rprivate"): set(),
    ("rprivate", "shared"): SHARED,
    ("rprivate", "rshared"): SHARED,
    ("rslave", "rshared"): BOTH,
    ("private", "unbindable"): {"unbindable"},
    ("rslave", "runbindable"): {"unbindable"},
    ("shared", "rprivate"): set(),
    ("shared", "rslave"): MASTER,
    ("rshared", "rslave"): BOTH,
}


@pytest.mark.parametrize(("root", "option"), VOLUMES)
def test_a_volume(bundle: Bundle, volume: Path, root: str | None, option: str) -> None:
    if root:
        bundle.set("linux.rootfsPropagation", root)
    seen = report(bundle.bind(volume, "/m", *[option][: bool(option)]))
    assert seen.mount("/m").propagation == VOLUMES[root, option]


@pytest.mark.parametrize("form", ALL)
def test_a_new_file_system(bundle: Bundle, form: str) -> None:
    wanted = {"shared": SHARED, "unbindable": {"unbindable"}}.get(form.removeprefix("r"), set())
    assert report(bundle.mount("/m", "tmpfs", "t", form)).mount("/m").propagation == wanted


def test_several_words_in_a_row(bundle: Bundle, volume: Path) -> None:
    """As mount(8) --make-slave --make-shared: hears of the host, and is heard by its own peers."""
    seen = report(bundle.bind(volume, "/m", "rslave", "rshared"))
    assert seen.mount("/m").propagation == BOTH


@pytest.fixture
def shared_tree(tmp_path: Path) -> Iterator[Path]:
    top = tmp_path / "shared"
    top.mkdir()
    kernel.mount("shared", str(top), "tmpfs")
    kernel.mount("", str(top), flags=kernel.MS_SHARED)
    (top / "sub").mkdir()
    kernel.mount("sub", str(top / "sub"), "tmpfs")
    yield top
    kernel.umount(str(top))


@pytest.mark.parametrize(
    ("option", "top", "sub"),
    [
        ("private", set(), {"master"}),
        ("rprivate", set(), set()),
        ("slave", {"master"}, {"master"}),
        ("rslave", {"master"}, {"master"}),
        ("unbindable", {"unbindable"}, {"master"}),
        ("runbindable", {"unbindable"}, {"unbindable"}),
        ("shared", {"shared", "master"}, {"master"}),
        ("rshared", {"shared", "master"}, {"shared", "master"}),
    ],
)
def test_a_volume_with_another_below(
    bundle: Bundle, shared_tree: Path, option: str, top: set[str], sub: set[str]
) -> None:
    seen = report(bundle.bind(shared_tree, "/m", option))
    assert seen.mount("/m").propagation == top
    assert seen.mount("/m/sub").propagation == sub


def test_rshared_mounts_reach_the_host(bundle: Bundle, tmp_path: Path) -> None:
    """With a shared root a mount made in the container shows up on the host's side of a shared volume."""
    volume = tmp_path / "volume"
    volume.mkdir()
    kernel.mount("shared", str(volume), "tmpfs")
    kernel.mount("", str(volume), flags=kernel.MS_SHARED)
    (volume / "sub").mkdir()
    bundle.privileged().bind(volume, "/volume", "rshared").set("linux.rootfsPropagation", "shared")
    try:
        outcome = run(
            bundle.inside("syscall", "165", "s:none", "s:/volume/sub", "s:tmpfs", "0", "0")
        )
        assert outcome.lines[0]["errno"] == "", str(outcome)
        assert any(mount.point == str(volume / "sub") for mount in facts.own_mounts())
        kernel.umount(str(volume / "sub"))
    finally:
        kernel.umount(str(volume))


# --no-pivot


@pytest.mark.parametrize("asked", ["private", "rprivate"])
def test_private_needs_a_pivot(bundle: Bundle, asked: str) -> None:
    """Without one the host's mounts stay beneath, where its unmounts would no longer be heard."""
    with Box(bundle.set("linux.rootfsPropagation", asked)) as box:
        outcome = box.create("--no-pivot", check=False)
    assert outcome.code == 1 and "not safe without pivot_root" in outcome.err, str(outcome)


@pytest.mark.parametrize("asked", [None, "slave", "rslave", "shared", "unbindable"])
def test_others_do_not(on_shared: Bundle, asked: str | None) -> None:
    if asked:
        on_shared.set("linux.rootfsPropagation", asked)
    before = facts.own_mounts()
    with Box(on_shared) as box:
        outcome = box.run("--no-pivot", check=True)
    assert outcome.facts.mount("/").propagation == ROOTS[asked][0]
    assert facts.own_mounts() == before


def test_an_unknown_word_is_refused(bundle: Bundle) -> None:
    assert "/linux/rootfsPropagation" in refused(bundle.set("linux.rootfsPropagation", "rsideways"))
