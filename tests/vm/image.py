"""The guest's disk and the memory of a booted guest, made once and found again by what they were made from.

CACHE/image-KEY/          root.img, vmlinuz, initrd, packages
CACHE/image-KEY/LAYOUT-KEY.qcow2   changes since root.img and the state of a machine that has booted

Making an image needs root, apt's sources of a Debian and about three minutes; whoever may read it can run it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.lib import debian
from tests.vm import machine
from tests.vm.machine import Machine, MachineError

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
SUITE = "bookworm"
PACKAGES = """systemd systemd-sysv udev dbus dbus-user-session libpam-systemd login passwd kmod procps iproute2
python3 gcc libc6-dev busybox-static strace runc crun podman containerd conmon golang-github-containers-common
uidmap slirp4netns fuse-overlayfs catatonit netavark nftables iptables apparmor
secilc""".split()
# What a booted machine has run once starts faster: its pages are in memory.
WARM_UP = (
    "python3 -c 'import json, subprocess, ctypes'; runc --version; podman --version; gcc --version"
)


def say(text: str) -> None:
    print(f"vm: {text}", file=sys.stderr, flush=True)


def cache() -> Path:
    """$VM_CACHE, or build/vm of this tree."""
    return Path(os.environ.get("VM_CACHE") or PROJECT / "build/vm").resolve()


def digest(*things: object) -> str:
    return hashlib.sha256(repr(things).encode()).hexdigest()[:12]


def directory() -> Path:
    made_from = [path.read_bytes() for path in sorted((HERE / "guest").iterdir()) if path.is_file()]
    return cache() / f"image-{digest(SUITE, PACKAGES, made_from)}"


@contextmanager
def alone() -> Iterator[None]:
    """One maker at a time; the second finds what the first made."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make(target: Path) -> None:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="making-", dir=target.parent) as scratch:
        work, root = Path(scratch), Path(scratch, "root")
        say(f"making the guest from Debian packages; the log is {target.parent}/log")
        furnish = f"--customize-hook={HERE}/guest/furnish"
        try:
            debian.make_root(SUITE, root, PACKAGES, target.parent / "log", furnish)
        except debian.DebianError as error:
            raise MachineError(str(error)) from None
        (work / "made").mkdir()
        for name in ("vmlinuz", "initrd"):
            shutil.move(root / "boot" / name, work / "made" / name)
        disk = str(work / "made/root.img")
        words = [
            "/sbin/mke2fs",
            "-q",
            "-t",
            "ext4",
            "-O",
            "^has_journal",
            "-m",
            "0",
            "-d",
            str(root),
        ]
        subprocess.run([*words, disk, "6G"], check=True, stdout=subprocess.DEVNULL)
        (work / "made").rename(target)
    say(f"made in {time.monotonic() - started:.0f} s")


def make_disk(home: Path, disk: Path) -> None:
    """What is written goes there, and root.img stays as it is; found from there, for a cache may be moved."""
    root = os.path.relpath(home / "root.img", disk.parent)
    words = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", root, str(disk)]
    subprocess.run(words, check=True)


def boot_once(home: Path, layout: str, target: Path) -> None:
    """Boots, waits until systemd is done, and keeps disk and memory as they are then."""
    started = time.monotonic()
    say(f"booting it once with cgroups {layout}")
    fresh = target.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    make_disk(home, fresh)
    said: list[bytes] = []
    with Machine(home, fresh, layout) as guest:
        script = f"systemctl is-system-running --wait && {WARM_UP} && sync"
        status = guest.run(["sh", "-c", script], user="root", output=said.append)
        if status:
            raise MachineError(f"the guest did not come up well: {b''.join(said).decode()}")
        guest.save()
    fresh.rename(target)
    say(f"booted in {time.monotonic() - started:.0f} s")


def made() -> Path:
    """The directory of the image, made if need be."""
    if platform.machine() != "x86_64":
        raise MachineError(f"the guest is x86-64, and what was built here is {platform.machine()}")
    home = directory()
    if not home.exists():
        with alone():
            if not home.exists():
                if os.geteuid() != 0:
                    raise MachineError("there is no guest yet, and making one needs root")
                make(home)
    return home


def prepare(layout: str) -> tuple[Path, Path]:
    """(directory of the image, disk with a booted machine of that layout), made if need be."""
    home = made()
    hardware = (machine.HARDWARE, machine.KERNEL_WORDS, machine.LAYOUTS[layout])
    target = home / f"{layout}-{digest(machine.executable(), hardware)}.qcow2"
    if not target.exists():
        with alone():
            if not target.exists():
                boot_once(home, layout, target)
    return home, target


@contextmanager
def booted(layout: str, kernel_words: Sequence[str] = ()) -> Iterator[Machine]:
    """A machine that goes on from the saved one, or boots with these words; nothing it does is kept."""
    home, saved = prepare(layout)
    if kernel_words:
        with tempfile.TemporaryDirectory(dir=home, prefix="running-") as scratch:
            fresh = Path(scratch, "disk")
            make_disk(home, fresh)
            with Machine(home, fresh, layout, kernel_words=kernel_words) as guest:
                yield guest
        return
    # The state is inside the file, which a machine writes to: so each has a copy, beside it for the backing file.
    with tempfile.NamedTemporaryFile(dir=home, prefix="running-") as disk:
        subprocess.run(
            ["cp", "--sparse=always", "--reflink=auto", str(saved), disk.name], check=True
        )
        with Machine(home, Path(disk.name), layout, resume=True) as guest:
            yield guest
