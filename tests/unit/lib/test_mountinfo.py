"""What lies on our root, told from the kernel's list."""

from __future__ import annotations

from pyruntime.lib.mountinfo import parse, read_root
from tests.lib import facts

INITRAMFS = rb"""1 1 0:2 / / rw - rootfs rootfs rw
20 1 0:19 / /proc rw - proc proc rw
21 1 0:20 / /with\040blank\134 rw shared:3 - tmpfs tmpfs rw
22 21 0:21 / /with\040blank\134/below rw - tmpfs tmpfs rw
23 22 0:19 / /with\040blank\134/below/proc rw - proc proc rw
"""
ORDINARY = b"""27 1 254:0 / / rw - ext4 /dev/root rw
22 27 0:21 / /proc rw - proc proc rw
40 22 0:30 / /proc/sys/fs/binfmt_misc rw - autofs autofs rw
"""
OVER_THE_ROOT = b"1 1 0:2 / / rw - rootfs rootfs rw\n30 1 254:0 / / rw - ext4 /dev/root rw\n"
CHROOTED = b"40 22 0:30 / /data rw - tmpfs tmpfs rw\n"


def test_an_initramfs_has_no_parent() -> None:
    root = parse(INITRAMFS)
    assert root.alone
    assert root.places == ["/with blank\\/below/proc", "/with blank\\", "/proc"]


def test_an_ordinary_root() -> None:
    root = parse(ORDINARY)
    assert not root.alone and root.places == ["/proc"]


def test_the_root_is_beneath_what_was_mounted_over_it() -> None:
    assert parse(OVER_THE_ROOT).alone


def test_a_root_that_is_no_mount() -> None:
    root = parse(CHROOTED)
    assert not root.alone and root.places == []


def test_a_carriage_return_in_a_name() -> None:
    root = parse(INITRAMFS + b"24 1 0:22 / /a\rb rw - fuse.x /sys/fs/cgroup rw\n")
    assert root.places[0] == "/a\rb"


def test_the_machine_itself() -> None:
    root, points = read_root(), {mount.point for mount in facts.own_mounts()}
    assert set(root.places) <= points and "/" not in root.places
