"""A container without a mount namespace: its mounts are made in the caller's, beneath a bind of the root (mounts)."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lib import facts, kernel
from tests.lib.box import Box, refused
from tests.lib.bundle import Bundle

pytestmark = pytest.mark.covers("root.readonly", "mounts.destination", "linux.devices.path")


def mounts_at(bundle: Bundle) -> dict[str, facts.Mount]:
    """What the tests see mounted at the root and beneath it, by path in the container."""
    top = str(bundle.rootfs)
    return {
        mount.point.removeprefix(top) or "/": mount
        for mount in facts.own_mounts()
        if (mount.point + "/").startswith(top + "/")
    }


@pytest.fixture
def shared(bundle: Bundle) -> Iterator[Bundle]:
    """Without a mount namespace and what must have one. Whatever a test leaves mounted is taken away."""
    bundle.without_namespace("mount")
    if bundle.get("root").get("readonly"):
        bundle.unset("root.readonly")
    yield bundle
    while mounts_at(bundle):
        kernel.umount(str(bundle.rootfs))


def test_mounts_are_the_callers_too(shared: Bundle, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("from the host\n")
    shared.bind(source, "/data", "ro").mount("/fresh", "tmpfs", "tmpfs", "nosuid", "size=64k")
    shared.inside("cat", "/data/file", "--", "report", "--", "wait")
    with Box(shared) as box:
        box.create()
        box.start()
        box.expect("report")
        assert "from the host" in box.output
        found = mounts_at(shared)
        assert {"/", "/data", "/fresh", "/proc"} <= set(found)
        assert "ro" in found["/data"].options and "nosuid" in found["/fresh"].options
        assert box.facts.namespaces["mnt"] == os.readlink("/proc/self/ns/mnt")
        box.kill(signal.SIGKILL)
        box.wait()
        box.delete()
    assert {"/", "/data", "/fresh"} <= set(mounts_at(shared)), "as runc, delete leaves them"


def test_a_second_process_finds_the_same_root(shared: Bundle) -> None:
    shared.mount("/fresh", "tmpfs", "tmpfs").inside("wait")
    with Box(shared) as box:
        box.create()
        box.start()
        outcome = box.call("exec", box.id, "/inside", "stat", "/fresh", check=True)
        assert outcome.lines[0]["dev"] == (shared.rootfs / "fresh").stat().st_dev


def test_a_read_only_root(shared: Bundle) -> None:
    shared.set("root.readonly", True).inside("create", "/new", "x")
    with Box(shared) as box:
        assert box.run(check=True).lines[0]["errno"] == "EROFS"
        assert "ro" in mounts_at(shared)["/"].options
    kernel.umount(str(shared.rootfs))
    (shared.rootfs / "new").write_text("the directory itself stays writable")


def test_devices_and_the_working_directory_are_made(shared: Bundle) -> None:
    shared.set("process.cwd", "/made/on/the/way")
    shared.set("linux.devices", [{"path": "/dev/more", "type": "c", "major": 1, "minor": 3}])
    with Box(shared.inside("report")) as box:
        assert box.run(check=True).facts.cwd == "/made/on/the/way"
    for name in ("more", "null"):
        assert (shared.rootfs / "dev" / name).stat().st_rdev == os.makedev(1, 3)
    assert (shared.rootfs / "made/on/the/way").is_dir()


def test_nothing_asked_for_nothing_mounted(shared: Bundle) -> None:
    shared.set("mounts", []).inside("exit", "3")
    with Box(shared) as box:
        assert box.run().code == 3
    assert not mounts_at(shared)


def test_a_failed_create_unmounts(shared: Bundle) -> None:
    shared.hook("createRuntime", "/bin/sh", "-c", "exit 7")
    refused(shared)
    assert not mounts_at(shared)


def test_a_killed_create_is_unmounted_by_delete(shared: Bundle) -> None:
    shared.hook("createRuntime", "/bin/sh", "-c", "kill -KILL $PPID; read -r x")
    with Box(shared) as box:
        assert box.create(check=False).code == -signal.SIGKILL
        box.delete("--force")
        assert not mounts_at(shared)


def test_the_hosts_propagation_stays(shared: Bundle) -> None:
    """The root lies on a shared mount, which stays one; what is mounted beneath the root reaches no peer."""
    top = shared.directory.parent
    peer = top.parent / (top.name + "-peer")
    peer.mkdir()
    kernel.mount(str(top), str(top), flags=kernel.MS_BIND)
    try:
        kernel.mount("", str(top), flags=kernel.MS_SHARED)
        kernel.mount(str(top), str(peer), flags=kernel.MS_BIND)
        try:
            with Box(shared.mount("/fresh", "tmpfs", "tmpfs").inside("exit", "0")) as box:
                box.run(check=True)
            seen = facts.own_mounts()
            assert all("shared" in mount.propagation for mount in seen if mount.point == str(top))
            assert f"{shared.rootfs}/fresh" in {mount.point for mount in seen}
            reached = [mount.point for mount in seen if mount.point.startswith(f"{peer}/")]
            assert not [point for point in reached if point.endswith("/fresh")]
        finally:
            while mounts_at(shared):
                kernel.umount(str(shared.rootfs))
            kernel.umount(str(peer))
    finally:
        kernel.umount(str(top))
        peer.rmdir()


@pytest.mark.parametrize("name", ["maskedPaths", "readonlyPaths"])
def test_paths_are_not_restricted_on_the_host(shared: Bundle, name: str) -> None:
    message = refused(shared.set(f"linux.{name}", ["/proc/kcore"]))
    assert "namespace" in message
    assert not mounts_at(shared)
