"""root.path, root.readonly, linux.rootfsPropagation."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.lib import kernel
from tests.lib.box import Box, refused, report, run
from tests.lib.bundle import Bundle

pytestmark = pytest.mark.covers("root.path", "root.readonly", "linux.rootfsPropagation")


def test_root_is_the_directory_named(bundle: Bundle) -> None:
    assert report(bundle).root["ino"] == os.stat(bundle.rootfs).st_ino


def test_absolute_root_path(bundle: Bundle) -> None:
    assert (
        report(bundle.set("root.path", str(bundle.rootfs))).root["ino"]
        == os.stat(bundle.rootfs).st_ino
    )


def test_nested_relative_root_path(bundle: Bundle) -> None:
    (bundle.directory / "deep/er").mkdir(parents=True)
    shutil.move(bundle.rootfs, bundle.directory / "deep/er/root")
    report(bundle.set("root.path", "deep/er/root"))


def test_root_that_is_a_mount_point(bundle: Bundle, tmp_path: Path) -> None:
    real = tmp_path / "real"
    shutil.move(bundle.rootfs, real)
    bundle.rootfs.mkdir()
    kernel.mount(str(real), str(bundle.rootfs), flags=kernel.MS_BIND)
    try:
        assert report(bundle).root["ino"] == os.stat(real).st_ino
    finally:
        kernel.umount(str(bundle.rootfs))


@pytest.mark.parametrize(("readonly", "seen"), [(True, "EROFS"), (False, ""), (None, "")])
def test_readonly(bundle: Bundle, readonly: bool | None, seen: str) -> None:
    bundle.unset("root.readonly").inside("create", "/file", "x", "--", "report")
    if readonly is not None:
        bundle.set("root.readonly", readonly)
    outcome = run(bundle)
    assert outcome.lines[0]["errno"] == seen
    assert ("ro" in outcome.facts.mount("/").options) == bool(readonly)


def test_a_readonly_root_leaves_other_mounts_writable(bundle: Bundle) -> None:
    bundle.set("root.readonly", True).mount("/tmp", "tmpfs", "tmpfs").inside("trywrite")
    tried = run(bundle).lines[0]["mounts"]
    assert tried["/"] == "EROFS"
    assert tried["/tmp"] == "" and tried["/dev"] == ""


def test_the_old_root_is_out_of_reach(bundle: Bundle) -> None:
    """`/..` is `/`, and no mount of the host is in the container's table (R-11)."""
    outcome = run(bundle.inside("stat", "/..", "--", "report"))
    assert outcome.lines[0]["ino"] == os.stat(bundle.rootfs).st_ino
    points = {mount.point for mount in outcome.facts.mounts}
    assert points == {"/", "/proc", "/dev", "/dev/pts"}


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        ("private", set()),
        ("rprivate", set()),
        ("shared", {"shared"}),
        ("rshared", {"shared"}),
        ("unbindable", {"unbindable"}),
        ("slave", set()),
        ("rslave", set()),
    ],
)
def test_rootfs_propagation(bundle: Bundle, value: str, tags: set[str]) -> None:
    facts = report(bundle.set("linux.rootfsPropagation", value))
    assert facts.mount("/").propagation == tags


def test_rootfs_propagation_reaches_a_shared_volume(bundle: Bundle, tmp_path: Path) -> None:
    """With rslave what the host mounts later below a shared volume appears in the container."""
    volume = tmp_path / "volume"
    volume.mkdir()
    kernel.mount("none", str(volume), "tmpfs")
    kernel.mount("", str(volume), flags=kernel.MS_SHARED)
    (volume / "sub").mkdir()
    reader, writer = os.pipe()
    bundle.bind(volume, "/volume", "rslave").set("linux.rootfsPropagation", "rslave")
    bundle.inside("echo", '{"cmd": "up"}', "--", "read", "--", "report")
    try:
        with os.fdopen(reader, "rb") as stdin, Box(bundle, stdin=stdin) as box:
            box.create()
            box.start()
            box.expect("up")
            kernel.mount("none", str(volume / "sub"), "tmpfs")
            os.write(writer, b"go")
            assert box.facts.mount("/volume/sub").kind == "tmpfs"
            box.wait()
    finally:
        os.close(writer)
        kernel.umount(str(volume))


def test_unknown_propagation_is_refused(bundle: Bundle) -> None:
    refused(bundle.set("linux.rootfsPropagation", "sideways"))


def test_a_missing_root_is_refused(bundle: Bundle) -> None:
    assert "no such file or directory" in refused(bundle.set("root.path", "nowhere"))


def test_a_root_that_is_a_file_is_refused(bundle: Bundle) -> None:
    (bundle.directory / "file").write_text("")
    refused(bundle.set("root.path", "file"))


def test_a_root_that_is_a_link_is_refused(bundle: Bundle) -> None:
    """R-45: the link could be turned around between look and use."""
    (bundle.directory / "alias").symlink_to("rootfs")
    refused(bundle.set("root.path", "alias"))


def test_no_root_is_refused(bundle: Bundle) -> None:
    refused(bundle.unset("root"))
