"""Where mounts may not go, and what of a mount is refused (config.md, Mounts; security: R-02, R-04, R-43)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.lib import kernel, programs
from tests.lib.box import Box, refused, report, run
from tests.lib.bundle import Bundle
from tests.lib.ordinary_user import Person, PersonBox, rootless

pytestmark = pytest.mark.covers("mounts.destination", "mounts.source", "mounts.type")


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume/file").write_text("from the host")
    return tmp_path / "volume"


def refused_at(place: str, bundle: Bundle) -> str:
    """That it is refused is everybody's to prove, which property it was is ours to say."""
    words = refused(bundle)
    assert place in words or programs.runtime_name() != "pyruntime"
    return words


# Destinations


def test_a_relative_destination_is_warned_of(bundle: Bundle) -> None:
    """And read as from the root (config.md)."""
    with Box(bundle.mount("data/here", "tmpfs", "t").inside("stat", "/data/here")) as box:
        bundle.write(box.id)
        outcome = box.bare("--root", str(box.root), "run", "-b", str(bundle.directory), box.id)
    assert outcome.code == 0 and outcome.lines[0]["errno"] == ""
    assert "is not absolute" in outcome.err and "data/here" in outcome.err


LISTED = [
    "cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo",
    "sys/kernel/ns_last_pid", "sys/crypto/fips_enabled",
]  # fmt: skip


@pytest.mark.parametrize("name", LISTED)
def test_what_lxcfs_covers(bundle: Bundle, volume: Path, name: str) -> None:
    """Where the kernel has such a file."""
    bundle.bind(volume / "file", f"/proc/{name}").inside("cat", f"/proc/{name}")
    if os.path.exists(f"/proc/{name}"):
        assert run(bundle).lines[0]["data"] == "from the host"
    else:
        refused_at("/mounts/3", bundle)


@pytest.mark.parametrize(
    "place",
    ["sys", "sys/kernel", "self/attr", "1/status", "kcore", "sysrq-trigger", "stat/x", "new"],
)
@pytest.mark.parametrize("form", ["/proc/{}", "/proc//./{}", "/dev/../proc/{}", "alias/{}"])
def test_nothing_else_goes_into_proc(bundle: Bundle, volume: Path, place: str, form: str) -> None:
    """Whatever its path says."""
    bundle.link("alias", "/proc").bind(volume, form.format(place))
    refused_at("/mounts/3", bundle)


@pytest.mark.parametrize("destination", ["/proc", "/alias"])
def test_a_volume_on_proc(bundle: Bundle, volume: Path, destination: str) -> None:
    """Before procfs is there, and instead of it."""
    bundle.link("alias", "/proc").get("mounts").pop(0)
    refused_at("/mounts", bundle.bind(volume, destination))


@pytest.mark.parametrize("kind", ["tmpfs", "sysfs", "mqueue"])
def test_another_file_system_on_proc(bundle: Bundle, kind: str) -> None:
    bundle.link("alias", "proc").get("mounts").pop(0)
    refused_at("/mounts", bundle.mount("/alias", kind, kind))
    bundle.get("mounts").pop()
    refused_at("/mounts/2/destination", bundle.mount("/proc", kind, kind))


def test_a_volume_that_procfs_covers_again(bundle: Bundle, volume: Path) -> None:
    """No way to read it, and so no harm."""
    proc = bundle.get("mounts").pop(0)
    bundle.link("alias", "/proc").bind(volume, "/alias").add("mounts", proc)
    assert report(bundle).mount("/proc").kind == "proc"


@pytest.mark.parametrize("source", ["/proc/sys", "/proc/self", "/proc/self/attr", "/proc/uptime"])
def test_a_part_of_procfs_on_proc(bundle: Bundle, source: str) -> None:
    bundle.without_namespace("pid").get("mounts").pop(0)
    words = refused_at("/mounts/2", bundle.bind(source, "/proc"))
    assert "not of type proc" in words


def test_a_part_of_procfs_of_an_ordinary_user(person: Person) -> None:
    bundle = person.bundle().without_namespace("pid")
    bundle.get("mounts").pop(0)
    with PersonBox(rootless(bundle.bind("/proc/sys", "/proc"), person, person.maps), person) as box:
        outcome = box.create(check=False)
    assert outcome.code == 1 and "/mounts/2" in outcome.message, str(outcome)


def test_all_of_procfs_on_proc(bundle: Bundle) -> None:
    bundle.without_namespace("pid").get("mounts").pop(0)
    assert report(bundle.bind("/proc", "/proc")).mount("/proc").kind == "proc"


@pytest.mark.parametrize("target", ["/", "..", "../..", "/dev/..", "/other"])
@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_a_link_to_the_root(bundle: Bundle, volume: Path, kind: str, target: str) -> None:
    bundle.link("other", "/").link("top", target)
    if kind == "bind":
        bundle.bind(volume, "/top")
    else:
        bundle.mount("/top", "tmpfs", "t")
    refused_at("check that no mount covers the root (/mounts): ", bundle)


@pytest.mark.parametrize("destination", ["/", "", "//", "/..", "/a/.."])
def test_the_root_itself(bundle: Bundle, volume: Path, destination: str) -> None:
    refused_at("/mounts/3/destination", bundle.bind(volume, destination))


@pytest.mark.parametrize("kind", ["proc", "sysfs"])
@pytest.mark.parametrize("link", ["last", "parent", "dangling"])
def test_real_directories_only(bundle: Bundle, kind: str, link: str) -> None:
    """CVE-2019-19921, CVE-2023-27561, CVE-2025-54867: no link on the way to a kernel's own file system."""
    bundle.get("mounts").pop(0)
    bundle.dir("real/inner").link("made" if link != "parent" else "up", "/real")
    if link == "dangling":
        bundle.link("made", "/nowhere")
    where = "/up/inner" if link == "parent" else "/made"
    refused_at("/mounts/2", bundle.mount(where, kind, kind))


@pytest.mark.parametrize("kind", ["proc", "sysfs", "tmpfs", "mqueue"])
def test_a_file_is_no_place_for_a_file_system(bundle: Bundle, kind: str) -> None:
    words = refused_at("/mounts/3", bundle.file("file", "").mount("/file", kind, kind))
    assert "not a directory" in words


@pytest.mark.parametrize("way", ["directory on file", "file on directory"])
def test_targets_of_another_kind(bundle: Bundle, volume: Path, way: str) -> None:
    bundle.file("file", "").dir("directory")
    if way == "directory on file":
        words = refused(bundle.bind(volume, "/file"))
    else:
        words = refused_at("/mounts/3", bundle.bind(volume / "file", "/directory"))
    assert "not a directory" in words


# Words


@pytest.mark.parametrize("member", ["destination", "source", "type", "options"])
def test_a_null_byte(bundle: Bundle, member: str) -> None:
    mount = {"destination": "/m", "type": "tmpfs", "source": "s", "options": ["ro"]}
    mount[member] = ["a\0b"] if member == "options" else "a\0b"
    refused(bundle.add("mounts", mount))


def test_all_mistakes_at_once(bundle: Bundle) -> None:
    bundle.mount("/", "tmpfs", "t").mount("/m", None, "s").bind("/srv", "/n", "nonsense")
    words = refused(bundle)
    for place in ("/mounts/3/destination", "/mounts/4/type", "/mounts/5/options"):
        assert place in words


# What is made for a mount


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_what_is_made_does_not_depend_on_the_caller(
    bundle: Bundle, volume: Path, umask: int
) -> None:
    bundle.bind(volume / "file", "/a/b/file").bind(volume, "/a/c/dir").mount("/a/d/t", "tmpfs", "t")
    with Box(bundle.inside("exit", "0"), prepare=lambda: (os.umask(umask), None)[1]) as box:
        box.run(check=True)
    modes = {
        str(place.relative_to(bundle.rootfs / "a")): place.stat().st_mode & 0o7777
        for place in (bundle.rootfs / "a").rglob("*")
    }
    assert modes == {
        "b": 0o755, "b/file": 0o644, "c": 0o755, "c/dir": 0o755, "d": 0o755, "d/t": 0o755,
    }  # fmt: skip


@pytest.mark.parametrize("mode", [0o700, 0o1777, 0o2755])
def test_a_tmpfs_takes_the_mode_that_is_there(bundle: Bundle, mode: int) -> None:
    bundle.dir("data", mode)
    (bundle.rootfs / "data").chmod(mode)
    bundle.mount("/data", "tmpfs", "t").mount("/new", "tmpfs", "t").mount(
        "/made", "tmpfs", "t", "mode=711"
    )
    bundle.dir("made", mode)
    words = "stat /data -- stat /new -- stat /made".split()
    lines = run(bundle.inside(*words)).lines
    assert [line["mode"] for line in lines] == [mode, 0o1777, 0o711]


def test_a_read_only_tmpfs_takes_later_mounts(bundle: Bundle, volume: Path) -> None:
    """It turns read-only when all is in its place."""
    bundle.mount("/ro", "tmpfs", "t", "ro").bind(volume, "/ro/volume").mount("/ro/t", "tmpfs", "t")
    outcome = run(bundle.inside("trywrite", "--", "ls", "/ro"))
    tried = outcome.lines[0]["mounts"]
    assert (tried["/ro"], tried["/ro/volume"], tried["/ro/t"]) == ("EROFS", "", "")
    assert set(outcome.lines[1]["entries"]) == {"volume", "t"}


def test_a_source_that_cannot_be_bound(bundle: Bundle, volume: Path) -> None:
    kernel.mount(str(volume), str(volume), flags=kernel.MS_BIND)
    kernel.mount("", str(volume), flags=1 << 17)  # unbindable
    try:
        refused_at("/mounts/3", bundle.bind(volume, "/m"))
    finally:
        kernel.umount(str(volume))
