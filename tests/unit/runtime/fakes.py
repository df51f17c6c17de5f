"""Containers without containers: a state directory, and an ordinary process in the place of the init."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyruntime.lib import proc
from pyruntime.runtime.store import Entry, Store

SLEEP = ("/bin/sleep", "60")
# Plays a scripted init: waits for the byte of `start`, reports what it was told to, then goes on as told.
INIT = """
import os, sys, time
start, report = int(sys.argv[1]), int(sys.argv[2])
assert os.read(start, 1) == b"s"
os.write(report, bytes.fromhex(sys.argv[3]))
if sys.argv[4] == "exec":
    os.set_inheritable(start, False)
    os.set_inheritable(report, False)
    os.execv("/bin/sleep", ["sleep", "60"])
if sys.argv[4] == "hold":
    time.sleep(60)
"""


class FakeContainer:
    """`process` stands for the init; `kill()` ends it."""

    def __init__(self, root: Path, container_id: str = "web") -> None:
        self.root = root
        self.id = container_id
        self.store = Store(str(root), create=True)
        self.entry: Entry = self.store.create(container_id)
        self.entry.unlock()
        self.process: subprocess.Popen[bytes] | None = None
        self.record: dict[str, Any] = {
            "format": 1,
            "ociVersion": "1.3.0",
            "id": container_id,
            "bundle": "/bundle",
            "rootfs": "/bundle/rootfs",
            "status": "creating",
            "pid": 0,
            "startTime": 0,
            "bootId": proc.boot_id(),
            "initExe": [0, 0],
            "created": "2026-01-02T03:04:05.000000006Z",
            "uid": os.getuid(),
            "annotations": {},
            "cgroup": None,
            "pidNamespace": True,
        }

    def write(self, **fields: Any) -> FakeContainer:
        self.record.update(fields)
        self.entry.write_record(self.record)
        return self

    def spawn(
        self, status: str = "created", command: Sequence[str] = SLEEP, **fields: Any
    ) -> FakeContainer:
        """Gives it a process, whose program counts as the init's image."""
        self.process = subprocess.Popen(command, pass_fds=fields.pop("pass_fds", ()))
        found = proc.stat_of(self.process.pid)
        assert found is not None
        exe = proc.exe_of(self.process.pid)
        return self.write(
            status=status, pid=self.process.pid, startTime=found[1], initExe=exe, **fields
        )

    def scripted(self, reports: bytes, then: str) -> FakeContainer:
        """A created container whose init reports this and then does `exec`, `exit` or `hold`."""
        start, report = self.entry.make_fifos()
        words = [
            sys.executable,
            "-I",
            "-S",
            "-c",
            INIT,
            str(start),
            str(report),
            reports.hex(),
            then,
        ]
        self.spawn("created", words, pass_fds=(start, report))
        os.close(start)
        os.close(report)
        return self

    def reap(self) -> int:
        assert self.process is not None
        return self.process.wait(10)

    def end_process(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.reap()

    def end(self) -> None:
        """What a test must not leave behind."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.entry.close()
        os.close(self.store.fd)
