"""A machine without any disk: it boots into an initramfs, runs one script there and is gone.

with Ramdisk(scratch) as disk:
    disk.bundle("plain").inside("report")
    disk.case("plain", "$RUNTIME run -b /b/plain plain")
    outcomes = disk.boot()        # {"plain": Outcome(0, "…")}

The initramfs is the root of the machine's one mount namespace, as in Kata's guests, installers and small boards:
the mount of all mounts, which has no parent.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.lib import programs
from tests.lib.bundle import Bundle
from tests.vm import image
from tests.vm.machine import HARDWARE, PROGRAM, MachineError

PATIENCE_S = 240.0
WORDS = "console=ttyS0 quiet loglevel=0 panic=-1 mitigations=off nokaslr random.trust_cpu=on cryptomgr.notests"
INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /run /usr/bin /usr/sbin /sbin
/bin/busybox --install -s
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t devtmpfs dev /dev
mkdir /dev/pts && mount -t devpts devpts /dev/pts
ip link set lo up
cd /
"""


class Outcome(NamedTuple):
    code: int
    text: str


def pack(top: Path) -> bytes:
    """The tree as a cpio archive of the `newc` form (initramfs-buffer-format of the kernel's documentation)."""
    parts: list[bytes] = []

    def add(name: str, mode: int, data: bytes = b"") -> None:
        raw = name.encode() + b"\0"
        numbers = (len(parts), mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(raw), 0)
        head = b"070701" + b"".join(b"%08X" % number for number in numbers) + raw
        parts.append(head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4))

    for directory, names, files in os.walk(top):
        for name in sorted(names + files):
            path = Path(directory, name)
            facts = path.lstat()
            inner = str(path.relative_to(top))
            if path.is_symlink():
                add(inner, facts.st_mode, os.readlink(path).encode())
            else:
                add(inner, facts.st_mode, path.read_bytes() if path.is_file() else b"")
    add("TRAILER!!!", 0)
    return b"".join(parts)


def kernel() -> Path:
    """The guest's own kernel, which is all that is taken of it."""
    return image.made() / "vmlinuz"


class Ramdisk:
    def __init__(self, scratch: Path) -> None:
        self.top = scratch / "initramfs"
        self.scratch = scratch
        self.cases: list[str] = []
        self.bundles: list[tuple[str, Bundle]] = []
        words = programs.runtime_command()
        self.runtime = words[0]
        for name in ("bin", "b"):
            (self.top / name).mkdir(parents=True)
        shutil.copy2(programs.busybox(), self.top / "bin/busybox")
        self.carry(Path(self.runtime))
        library = Path(self.runtime).parent.parent / "lib/pyruntime"
        if library.is_dir():
            shutil.copytree(library, self.at(library), symlinks=True)
            for extension in library.rglob("*.so"):
                self.carry(extension)

    def at(self, path: Path) -> Path:
        """The same place in the initramfs."""
        target = self.top / str(path).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def carry(self, program: Path) -> None:
        """With every library its loader names."""
        done = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False)
        for path in {str(program), *re.findall(r"(/\S+) \(0x", done.stdout)}:
            if not self.at(Path(path)).exists():
                shutil.copy2(os.path.realpath(path), self.at(Path(path)))

    def bundle(self, name: str) -> Bundle:
        """Lies in the initramfs itself, at /b/NAME."""
        made = Bundle(self.top / "b" / name)
        self.bundles.append((name, made))
        return made

    def case(self, name: str, script: str) -> None:
        """A shell script; $RUNTIME is the runtime under test."""
        self.cases.append(f"echo; echo '@@ {name}'; (\n{script}\n) 2>&1; echo \"@@ $?\"\n")

    def boot(self) -> dict[str, Outcome]:
        """Runs all cases in their order."""
        for name, bundle in self.bundles:
            bundle.write(name)
        script = INIT + f"export RUNTIME={self.runtime}\n" + "".join(self.cases)
        (self.top / "init").write_text(script + "echo '@@ end'; poweroff -f\n")
        (self.top / "init").chmod(0o755)
        (self.scratch / "initrd").write_bytes(pack(self.top))
        console = self.scratch / "console"
        words = [PROGRAM, *HARDWARE, "-kernel", str(kernel()), "-append", WORDS]
        words += ["-initrd", str(self.scratch / "initrd")]
        words += ["-chardev", f"file,id=console,path={console}", "-serial", "chardev:console"]
        try:
            subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=True,
                timeout=PATIENCE_S,
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as problem:
            said = console.read_text(errors="replace")[-4000:] if console.exists() else ""
            raise MachineError(f"{problem}\n{problem.stderr!r}\n{said}") from problem
        return parse(console.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n"))


def parse(text: str) -> dict[str, Outcome]:
    if "@@ end" not in text:
        raise MachineError(f"the script did not come to its end:\n{text[-4000:]}")
    found = re.findall(r"^@@ ([a-z-]+)\n(.*?)^@@ (\d+)$", text, re.MULTILINE | re.DOTALL)
    return {name: Outcome(int(code), said) for name, said, code in found}
