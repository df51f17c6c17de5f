"""One emulated machine and the conversation with the agent in it.

with Machine(kernel, disk, layout) as machine:
    status = machine.run(["pytest", …], user="tester", output=sys.stdout.buffer.write)

The machine has a disk, a serial console and one virtio port; guest/agent.py says what is spoken there. There is no
network. The disk is qcow2 and may hold the saved state of a machine (`save`), which `resume=True` goes on from
in place of booting: everything else about the machine must then be as it was.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

PROGRAM = "qemu-system-x86_64"
BOOT_PATIENCE_S = 300.0
STATE = "booted"
# The cgroup layouts systemd can be told to make.
LAYOUTS = {
    "v2": ["systemd.unified_cgroup_hierarchy=1"],
    "hybrid": [
        "systemd.unified_cgroup_hierarchy=0",
        "systemd.legacy_systemd_cgroup_controller=0",
    ],
    "v1": ["systemd.unified_cgroup_hierarchy=0", "systemd.legacy_systemd_cgroup_controller=1"],
}
# An emulated processor gains nothing from mitigations, self-tests and exact clocks.
KERNEL_WORDS = """console=ttyS0 root=/dev/vda rw quiet loglevel=3 panic=-1 mitigations=off nokaslr audit=0
tsc=reliable no_timer_check random.trust_cpu=on cryptomgr.notests rcupdate.rcu_expedited=1 net.ifnames=0
systemd.show_status=0 systemd.mask=dev-ttyS0.device""".split()
# Page tables of four levels, as most machines have: with five, paths in /proc were seen to break.
HARDWARE = """-nodefaults -no-user-config -display none -no-reboot -accel tcg,thread=multi -cpu max,la57=off
-machine q35,hpet=off -m 2G -smp 2""".split()


class MachineError(Exception):
    """The machine itself failed, not the command in it; says what its console said last."""


class Machine:
    def __init__(
        self,
        boot: Path,
        disk: Path,
        layout: str,
        *,
        resume: bool = False,
        kernel_words: Sequence[str] = (),
    ) -> None:
        self.boot, self.disk, self.layout, self.resume = boot, disk, layout, resume
        self.kernel_words = [*KERNEL_WORDS, *LAYOUTS[layout], *kernel_words]

    def words(self, wire: int, monitor: int, console: str) -> list[str]:
        """The command line of the emulator; the two descriptors are sockets."""
        words = [PROGRAM, *HARDWARE]
        words += ["-kernel", f"{self.boot}/vmlinuz", "-initrd", f"{self.boot}/initrd"]
        words += ["-append", " ".join(self.kernel_words)]
        words += ["-chardev", f"file,id=console,path={console}", "-serial", "chardev:console"]
        words += ["-chardev", f"socket,id=monitor,fd={monitor}"]
        words += ["-mon", "chardev=monitor,mode=control"]
        words += ["-chardev", f"socket,id=wire,fd={wire}", "-device", "virtio-serial-pci"]
        words += ["-device", "virtserialport,chardev=wire,name=pyruntime"]
        drive = f"file={self.disk},format=qcow2,if=none,id=root,cache=unsafe,discard=unmap"
        words += ["-drive", drive, "-device", "virtio-blk-pci,drive=root"]
        words += ["-device", "virtio-rng-pci"]
        return words + (["-loadvm", STATE] if self.resume else [])

    def __enter__(self) -> Machine:
        self.scratch = tempfile.TemporaryDirectory(prefix="vm-")
        self.console = Path(self.scratch.name, "console")
        self.wire, wire = socket.socketpair()
        self.monitor, monitor = socket.socketpair()
        theirs = (wire.fileno(), monitor.fileno())
        # Its own session: an interrupt at the terminal is ours, and ends the machine through __exit__.
        with Path(self.scratch.name, "errors").open("wb") as errors:
            self.process = subprocess.Popen(
                self.words(*theirs, str(self.console)),
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                pass_fds=theirs,
                start_new_session=True,
            )
        wire.close()
        monitor.close()
        self.orders = self.monitor.makefile("rw")
        if not self.resume:
            self.receive(time.monotonic() + BOOT_PATIENCE_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        self.wire.close()
        self.orders.close()
        self.monitor.close()
        self.scratch.cleanup()

    def failed(self, what: str) -> MachineError:
        said = [
            path.read_text(errors="replace")[-2000:]
            for name in ("errors", "console")
            if (path := Path(self.scratch.name, name)).exists()
        ]
        return MachineError("\n".join([what, *filter(str.strip, said)]))

    # The wire

    def send(self, letter: bytes, body: bytes = b"") -> None:
        try:
            self.wire.sendall(letter + len(body).to_bytes(4, "big") + body)
        except OSError as problem:
            raise self.failed("the machine is gone") from problem

    def read(self, size: int, deadline: float) -> bytes:
        found = bytearray()
        while len(found) < size:
            self.wire.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                piece = self.wire.recv(size - len(found))
            except TimeoutError as problem:
                raise self.failed("the machine did not answer in time") from problem
            if not piece:
                raise self.failed("the machine stopped")
            found += piece
        return bytes(found)

    def receive(self, deadline: float) -> tuple[bytes, bytes]:
        letter, size = self.read(1, deadline), self.read(4, deadline)
        return letter, self.read(int.from_bytes(size, "big"), deadline)

    def copy(self, root: Path, excluded: Iterable[str]) -> None:
        """The directory with everything in it, to the same place in the guest."""
        words = ["tar", "-C", "/", *(f"--exclude={pattern}" for pattern in excluded), "-cf", "-"]
        name = str(root).lstrip("/")
        with subprocess.Popen([*words, name], stdout=subprocess.PIPE) as tar:
            assert tar.stdout is not None
            while piece := tar.stdout.read(1 << 16):
                self.send(b"T", piece)
        if tar.returncode:
            raise MachineError(f"{root} could not be packed: tar ended with {tar.returncode}")
        self.send(b"T")

    def run(
        self,
        words: Sequence[str],
        *,
        user: str,
        output: Callable[[bytes], Any],
        directory: str = "/",
        tree: str = "",
        environment: Mapping[str, str] | None = None,
        patience_s: float = BOOT_PATIENCE_S,
    ) -> int:
        """Runs a command as that user, in a service of theirs; the tree is given to them. Returns its status,
        255 when a signal ended it. Patience is for the whole command."""
        deadline = time.monotonic() + patience_s
        request = {
            "words": list(words),
            "user": user,
            "directory": directory,
            "tree": tree,
            "environment": dict(environment or {}),
            "time": time.time(),
        }
        self.send(b"C", json.dumps(request).encode())
        while True:
            letter, body = self.receive(deadline)
            if letter == b"E":
                status: int = json.loads(body)
                return status
            output(body)

    # The monitor

    def order(self, command: str, **arguments: Any) -> Any:
        self.orders.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.orders.flush()
        for line in self.orders:
            answer = json.loads(line)
            if "error" in answer:
                raise self.failed(f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]
        raise self.failed("the machine stopped")

    def save(self) -> None:
        """Puts memory and devices into the disk and ends the machine."""
        self.order("qmp_capabilities")
        said = self.order("human-monitor-command", **{"command-line": f"savevm {STATE}"})
        if said:
            raise self.failed(f"savevm: {said}")
        self.order("quit")
        self.process.wait()


def executable() -> str:
    """The emulator's version; MachineError when it is not there."""
    try:
        done = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True)
    except FileNotFoundError as problem:
        raise MachineError(f"{PROGRAM} is not there (Debian: qemu-system-x86)") from problem
    return done.stdout.partition(os.linesep)[0]
