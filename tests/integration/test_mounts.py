"""mounts: kinds, order, targets, bind mounts. The options have a file of their own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.lib import kernel
from tests.lib.box import Box, refused, report, run
from tests.lib.bundle import Bundle
from tests.lib.ordinary_user import PersonBox, rootless

pytestmark = pytest.mark.covers(
    "mounts.destination", "mounts.source", "mounts.type", "mounts.options"
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source/sub").mkdir(parents=True)
    (tmp_path / "source/file").write_text("from the host")
    return tmp_path / "source"


@pytest.mark.parametrize(
    ("destination", "kind", "where"),
    [
        ("/proc", "proc", "/proc"),
        ("/sys", "sysfs", "/sys"),
        ("/dev/mqueue", "mqueue", "/dev/mqueue"),
    ],
)
def test_pseudo_file_systems(bundle: Bundle, destination: str, kind: str, where: str) -> None:
    if kind != "proc":
        bundle.mount(destination, kind, kind, "nosuid", "noexec", "nodev", "ro")
    mount = report(bundle).mount(where)
    assert mount.kind == kind
    if kind != "proc":
        assert {"nosuid", "noexec", "nodev", "ro"} <= mount.options


def test_tmpfs_data(bundle: Bundle) -> None:
    bundle.mount(
        "/made/here", "tmpfs", "shm", "size=1m", "mode=1770", "nr_inodes=100", "uid=3", "gid=4"
    )
    outcome = run(bundle.inside("report", "--", "stat", "/made/here"))
    mount = outcome.facts.mount("/made/here")
    assert {"size=1024k", "mode=1770", "nr_inodes=100", "uid=3", "gid=4"} <= mount.super_options
    assert mount.source == "shm"
    stat = outcome.lines[1]
    assert (stat["mode"], stat["uid"], stat["gid"]) == (0o1770, 3, 4)


def test_tmpfs_over_an_existing_directory_keeps_its_mode(bundle: Bundle) -> None:
    bundle.dir("data", 0o1750).mount("/data", "tmpfs", "tmpfs")
    assert run(bundle.inside("stat", "/data")).lines[0]["mode"] == 0o1750


def test_devpts_is_a_new_instance(bundle: Bundle) -> None:
    outcome = run(bundle.inside("report", "--", "ls", "/dev/pts"))
    mount = outcome.facts.mount("/dev/pts")
    assert mount.kind == "devpts" and {"nosuid", "noexec"} <= mount.options
    assert "ptmxmode=666" in mount.super_options and "mode=620" in mount.super_options
    assert list(outcome.lines[1]["entries"]) == ["ptmx"]


def test_mounts_come_in_the_order_listed(bundle: Bundle, source: Path) -> None:
    bundle.mount("/a", "tmpfs", "one").mount("/a/b", "tmpfs", "two").bind(source, "/a/b/c")
    bundle.mount("/a", "tmpfs", "three")
    named = {mount.source: mount for mount in report(bundle).mounts if mount.point.startswith("/a")}
    bound = next(mount for mount in named.values() if mount.point == "/a/b/c")
    assert named["two"].parent == named["one"].id and bound.parent == named["two"].id
    assert named["three"].parent == named["one"].id, "the last one covers the first"


@pytest.fixture(params=["root", "user namespace", "person"])
def owner(request: pytest.FixtureRequest) -> Any:
    """(a bundle, how to run it): root's, root's in a user namespace, an ordinary user's."""
    if request.param == "person":
        someone = request.getfixturevalue("person")
        made = rootless(someone.bundle(), someone, someone.maps)
        return made, lambda bundle: PersonBox(bundle, someone)
    made = request.getfixturevalue("mapped" if request.param == "user namespace" else "bundle")
    return made, Box


@pytest.mark.parametrize("path", ["{rootfs}/vol/sub", "rootfs/vol/sub", "{linked}/rootfs/vol/sub"])
def test_a_source_that_an_earlier_mount_brings(owner: Any, path: str, tmp_path: Path) -> None:
    """The order listed holds for sources, too (config.md): what the image has there is covered by then."""
    bundle, box_of = owner
    bundle.dir("vol/sub")
    bundle.file("vol/sub/whose", "image")
    linked = bundle.directory.parent / "linked"
    linked.symlink_to(bundle.directory)
    volume = bundle.directory / "volume/sub"
    volume.mkdir(parents=True)
    (volume / "whose").write_text("volume")
    bundle.bind(volume.parent, "/vol").bind(path.format(rootfs=bundle.rootfs, linked=linked), "/m")
    bundle.mount("/vol/sub", "tmpfs", "tmpfs")  # and what comes later does not count
    with box_of(bundle.inside("cat", "/m/whose")) as box:
        outcome = box.run(check=True)
    assert outcome.lines[0]["data"] == "volume"


def test_a_destination_beneath_the_roots_own_path(bundle: Bundle) -> None:
    """As old configs have it: it is meant from the root on."""
    report(bundle.mount(f"{bundle.rootfs}/data/here", "tmpfs", "tmpfs")).mount("/data/here")


def test_a_relative_destination_is_read_from_the_root(bundle: Bundle) -> None:
    assert report(bundle.mount("data/here", "tmpfs", "tmpfs")).mount("/data/here").kind == "tmpfs"


def test_dots_in_a_destination_stay_in_the_root(bundle: Bundle) -> None:
    assert (
        report(bundle.mount("/../../up/./x/../data", "tmpfs", "t")).mount("/up/data").kind
        == "tmpfs"
    )


def test_blanks_and_odd_letters_in_a_destination(bundle: Bundle, source: Path) -> None:
    assert report(bundle.bind(source, "/with blank/grün")).mount("/with blank/grün")


def test_bind_a_directory(bundle: Bundle, source: Path) -> None:
    bundle.bind(source, "/data").inside("cat", "/data/file", "--", "create", "/data/new", "back")
    outcome = run(bundle)
    assert outcome.lines[0]["data"] == "from the host"
    assert (source / "new").read_text() == "back"


@pytest.mark.parametrize("existing", [True, False])
def test_bind_a_file(bundle: Bundle, source: Path, existing: bool) -> None:
    if existing:
        bundle.file("etc/conf", "old")
    outcome = run(bundle.bind(source / "file", "/etc/conf").inside("cat", "/etc/conf"))
    assert outcome.lines[0]["data"] == "from the host"
    assert (bundle.rootfs / "etc/conf").read_text() == ("old" if existing else "")


def test_the_type_of_a_bind_does_not_matter(bundle: Bundle, source: Path) -> None:
    bundle.mount("/a", "ext4", source, "bind").mount("/b", None, source, "rbind").mount(
        "/c", "none", source, "bind"
    )
    facts = report(bundle)
    assert facts.mount("/a").root == facts.mount("/b").root == facts.mount("/c").root


def test_bind_type_without_a_bind_option(bundle: Bundle, source: Path) -> None:
    """`"type": "bind"` alone: runc asks for the option as well, crun does not; engines always give it."""
    outcome = run(bundle.mount("/a", "bind", source).inside("cat", "/a/file"))
    assert outcome.code in (0, 1)
    if outcome.code == 0:
        assert outcome.lines[0]["data"] == "from the host"


def test_a_relative_source_is_relative_to_the_bundle(bundle: Bundle) -> None:
    (bundle.directory / "data").mkdir()
    (bundle.directory / "data/file").write_text("beside")
    assert (
        run(bundle.bind("data", "/data").inside("cat", "/data/file")).lines[0]["data"] == "beside"
    )


def test_a_source_that_is_a_link_is_followed_on_the_host(bundle: Bundle, source: Path) -> None:
    (source.parent / "alias").symlink_to("source")
    outcome = run(bundle.bind(source.parent / "alias", "/data").inside("cat", "/data/file"))
    assert outcome.lines[0]["data"] == "from the host"


def test_bind_a_socket_a_fifo_and_a_device(bundle: Bundle, source: Path) -> None:
    os.mkfifo(source / "pipe")
    bundle.bind(source / "pipe", "/run/pipe").bind("/dev/zero", "/run/zero")
    lines = run(bundle.inside("stat", "/run/pipe", "--", "stat", "/run/zero")).lines
    assert lines[0]["type"] == "fifo"
    assert (lines[1]["type"], lines[1]["major"], lines[1]["minor"]) == ("char", 1, 5)


def test_made_targets(bundle: Bundle, source: Path) -> None:
    """A missing target is an empty file 0644 for a file and a directory 0755 for a directory."""
    run(bundle.bind(source / "file", "/made/file").bind(source, "/made/dir"))
    assert (bundle.rootfs / "made/file").stat().st_size == 0
    assert oct((bundle.rootfs / "made/file").stat().st_mode) == oct(0o100644)
    assert oct((bundle.rootfs / "made/dir").stat().st_mode) == oct(0o40755)


def test_a_link_in_the_root_is_resolved_in_the_root(bundle: Bundle, source: Path) -> None:
    bundle.dir("real").link("alias", "/real").bind(source, "/alias/data")
    assert report(bundle).mount("/real/data")


def test_a_dangling_link_as_a_file_target(bundle: Bundle, source: Path) -> None:
    """/etc/resolv.conf is one in many images: what it points to is made inside the root."""
    bundle.link("etc/resolv.conf", "../run/resolv.conf").dir("run")
    outcome = run(
        bundle.bind(source / "file", "/etc/resolv.conf").inside("cat", "/run/resolv.conf")
    )
    assert outcome.code == 0, str(outcome)
    assert outcome.lines[0]["data"] == "from the host"


def test_recursive_bind_brings_what_is_mounted_below(bundle: Bundle) -> None:
    bundle.mount("/all", "bind", "/sys", "rbind", "ro").mount("/one", "bind", "/sys", "bind", "ro")
    points = {mount.point for mount in report(bundle).mounts}
    assert "/all/fs/cgroup" in points
    assert "/one/fs/cgroup" not in points


def test_the_containers_sysfs_can_be_a_bind(bundle: Bundle) -> None:
    bundle.without_namespace("network").mount(
        "/sys", "bind", "/sys", "rbind", "nosuid", "noexec", "nodev", "ro"
    )
    assert report(bundle).mount("/sys").kind == "sysfs"


def test_overlay(bundle: Bundle, tmp_path: Path) -> None:
    kernel.mount("none", str(tmp_path), "tmpfs")
    try:
        for name in ("lower", "upper", "work"):
            (tmp_path / name).mkdir()
        (tmp_path / "lower/file").write_text("below")
        paths = (
            f"lowerdir={tmp_path}/lower",
            f"upperdir={tmp_path}/upper",
            f"workdir={tmp_path}/work",
        )
        outside = Bundle(Path("/tmp") / f"overlay-{os.getpid()}")
        outside.mount("/data", "overlay", "overlay", *paths)
        outcome = run(outside.inside("cat", "/data/file", "--", "create", "/data/new", "x"))
        assert outcome.lines[0]["data"] == "below", str(outcome)
        assert (tmp_path / "upper/new").read_text() == "x"
    finally:
        shutil.rmtree(f"/tmp/overlay-{os.getpid()}")
        kernel.umount(str(tmp_path))


def test_an_overlay_of_many_layers(bundle: Bundle, tmp_path: Path) -> None:
    """All of them, though their names are longer than the 4095 bytes that mount(2) takes; in one string or in several."""
    kernel.mount("none", str(tmp_path), "tmpfs")
    outside = Bundle(Path("/tmp") / f"overlay-{os.getpid()}")
    try:
        names = [f"{tmp_path}/{number:03}-{'x' * 50}" for number in range(70)]
        for name in (*names, f"{tmp_path}/upper", f"{tmp_path}/work"):
            Path(name).mkdir()
        for name in names:
            (Path(name) / Path(name).name[:3]).touch()
        words = f"lowerdir={':'.join(names)},upperdir={tmp_path}/upper,workdir={tmp_path}/work"
        outside.mount("/data", "overlay", "overlay", words)
        outcome = run(outside.inside("create", "/data/new", "x", "--", "ls", "/data"))
        assert len(outcome.lines[-1]["entries"]) == 71, str(outcome)
        assert (tmp_path / "upper/new").read_text() == "x"
    finally:
        shutil.rmtree(outside.directory)
        kernel.umount(str(tmp_path))


def test_a_bind_without_a_source(bundle: Bundle) -> None:
    refused(bundle.add("mounts", {"destination": "/m", "type": "bind", "options": ["rbind"]}))


def test_several_options_in_one_string(bundle: Bundle) -> None:
    mount = report(bundle.mount("/m", "tmpfs", "t", "size=1m,mode=0700,nr_inodes=77")).mount("/m")
    assert {"size=1024k", "mode=700", "nr_inodes=77"} <= mount.super_options


def test_a_link_that_is_copied(bundle: Bundle, tmp_path: Path) -> None:
    """crun's copy-symlink, for /etc/localtime and the like; what is no link is bound."""
    (tmp_path / "link").symlink_to("/etc/elsewhere")
    (tmp_path / "file").write_text("bound")
    for name in ("link", "file"):
        bundle.mount(f"/etc/{name}", "bind", tmp_path / name, "bind", "copy-symlink")
    assert run(bundle.inside("cat", "/etc/file")).lines[0]["data"] == "bound"
    assert os.readlink(bundle.rootfs / "etc/link") == "/etc/elsewhere"


@pytest.mark.parametrize("kind", ["bind", "tmpfs"])
def test_a_destination_that_leads_into_proc(bundle: Bundle, kind: str, tmp_path: Path) -> None:
    (bundle.rootfs / "way").symlink_to("/proc/sys")
    source = tmp_path if kind == "bind" else "tmpfs"
    message = refused(bundle.mount("/way", kind, source, *(["rbind"] if kind == "bind" else [])))
    assert "leads into /proc" in message and "operation not permitted" in message


def test_a_tmpfs_shows_the_mode_it_takes_over(bundle: Bundle) -> None:
    mount = report(bundle.dir("there", 0o1751).mount("/there", "tmpfs", "tmpfs")).mount("/there")
    assert "mode=1751" in mount.super_options


def test_a_missing_source_is_refused(bundle: Bundle) -> None:
    assert "no such file or directory" in refused(bundle.bind("/not/there", "/data"))


def test_an_unknown_file_system_is_refused(bundle: Bundle) -> None:
    assert "no such device" in refused(bundle.mount("/data", "nofs", "nofs"))


def test_unknown_data_is_refused_by_the_file_system(bundle: Bundle) -> None:
    assert (
        "invalid argument" in refused(bundle.mount("/data", "tmpfs", "tmpfs", "nonsense=1")).lower()
    )


def test_proc_over_a_link_is_refused(bundle: Bundle) -> None:
    """CVE-2019-19921, CVE-2023-27561, CVE-2025-54867."""
    refused(bundle.dir("tmp/p").link("proc", "/tmp/p"))


def test_sysfs_over_a_link_is_refused(bundle: Bundle) -> None:
    refused(bundle.link("sys", "/tmp").mount("/sys", "sysfs", "sysfs"))


@pytest.mark.parametrize("destination", ["/proc", "/proc/self/attr", "/proc/sys", "/proc/1/fd"])
def test_a_volume_over_proc_is_refused(bundle: Bundle, source: Path, destination: str) -> None:
    refused(bundle.bind(source, destination))


def test_a_file_on_the_short_list_below_proc(bundle: Bundle, source: Path) -> None:
    outcome = run(bundle.bind(source / "file", "/proc/uptime").inside("cat", "/proc/uptime"))
    assert outcome.lines[0]["data"] == "from the host"


def test_the_property_is_named(bundle: Bundle) -> None:
    """A failing mount is reported as the property that asked for it."""
    number = len(bundle.get("mounts"))
    assert f"/mounts/{number}" in refused(bundle.mount("/data", "nofs", "nofs"))
