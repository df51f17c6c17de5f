"""The test tools themselves: a clean run shows no difference, each kind of leak shows one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lib import hostile, kernel, leaks
from tests.lib.box import MARKER, Box, run
from tests.lib.bundle import Bundle
from tests.lib.tripwire import Tripwire

KEYCTL = {"x86_64": 250, "aarch64": 219}[os.uname().machine]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    tree: hostile.Tree = {
        "a": "text",
        "sub": {"link": hostile.Link("../a"), "pipe": hostile.Fifo()},
    }
    return hostile.build(tmp_path / "outside", tree)


def test_a_clean_run_trips_nothing(bundle: Bundle, outside: Path) -> None:
    with Tripwire(outside):
        assert run(bundle).code == 0


def replace_by_a_copy(outside: Path) -> None:
    status = os.stat(outside / "a")
    (outside / "b").write_text("text")
    os.utime(outside / "b", ns=(status.st_atime_ns, status.st_mtime_ns))
    os.rename(outside / "b", outside / "a")


@pytest.mark.parametrize(
    "touch",
    [
        lambda outside: (outside / "a").write_text("texT"),
        lambda outside: os.utime(outside / "a"),
        lambda outside: (outside / "sub/pipe").chmod(0o600),
        lambda outside: (outside / "new").mkdir(),
        lambda outside: (outside / "sub/link").unlink(),
        replace_by_a_copy,
    ],
    ids=["content", "time", "mode", "new", "gone", "inode"],
)
def test_a_touched_tree_trips(outside: Path, touch: Callable[[Path], object]) -> None:
    with pytest.raises(AssertionError, match="touched"), Tripwire(outside):
        touch(outside)


def test_a_leaked_process_is_seen(bundle: Bundle) -> None:
    before = leaks.Host.now()
    child = subprocess.Popen(["sleep", "100"])
    assert any("processes" in line for line in before.differences(leaks.Host.now()))
    child.kill()
    child.wait()
    assert not before.differences(leaks.Host.now())


def test_a_leaked_mount_cgroup_and_descriptor_are_seen(tmp_path: Path) -> None:
    before = leaks.Host.now()
    cgroup = Path(leaks.cgroup_mounts()[0]) / f"{MARKER}leak"
    fd = os.open("/dev/null", os.O_RDONLY)
    cgroup.mkdir()
    kernel.mount("none", str(tmp_path), "tmpfs")
    text = "\n".join(before.differences(leaks.Host.now()))
    kernel.umount(str(tmp_path))
    cgroup.rmdir()
    os.close(fd)
    assert "new in mounts" in text and "new in cgroups" in text and "new in fds" in text


def test_a_leaked_keyring_is_seen_and_its_test_named() -> None:
    keyrings = leaks.Keyrings()
    script = "import ctypes, sys; ctypes.CDLL(None).syscall(%d, 1, sys.argv[1].encode()); print(flush=True); input()"
    words = [sys.executable, "-c", script % KEYCTL, f"{MARKER}leak"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None and holder.stdout is not None
        holder.stdout.readline()
        keyrings.note("that test")
        assert keyrings.left(patience=0) == [f"{MARKER}leak: of that test"]
        holder.stdin.close()
    assert keyrings.left() == []


def test_a_running_container_is_seen(bundle: Bundle) -> None:
    before = leaks.Host.now()
    with Box(bundle) as box:
        box.create()
        text = "\n".join(before.differences(leaks.Host.now()))
        assert "new in processes" in text and "new in cgroups" in text
    assert not leaks.settled(before)


def test_hostile_trees_are_what_they_say(tmp_path: Path) -> None:
    tree: hostile.Tree = {
        "null": hostile.Node("c", 1, 3),
        "big": hostile.File(size=10 << 30),
        "file": hostile.File("x", 0o4755),
    }
    top = hostile.build(tmp_path / "tree", tree)
    assert os.lstat(top / "null").st_rdev == os.makedev(1, 3)
    assert os.lstat(top / "big").st_size == 10 << 30
    assert os.lstat(top / "file").st_mode & 0o7777 == 0o4755
    for label in hostile.FORMS:
        hostile.build(tmp_path / label, hostile.link_form(label, "x", tmp_path))
        assert os.path.islink(tmp_path / label / "x")
