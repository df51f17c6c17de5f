"""The fixed bundles that are measured, laid out in a directory of this run.

configs/*.json hold what each kind of caller writes: `runc spec`'s default made non-interactive, a Docker-like and a
Podman-like one. Only what depends on the machine or on the single container is filled in here.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
from pathlib import Path
from typing import Any

from tests.bench import profiles

HERE = Path(__file__).resolve().parent
KINDS = ("default", "docker", "podman")
DIRECTORIES = ("dev", "etc", "proc", "run", "sys", "tmp")
# Bind sources beside config.json, and their targets: made beforehand, so that no runtime pays for them alone.
FILES = ("hosts", "hostname", "resolv.conf", "containerenv")
TARGETS = ("etc/hosts", "etc/hostname", "etc/resolv.conf", "run/.containerenv")


class Bundles:
    """One root file system for all, one directory with a config.json for each container."""

    def __init__(self, directory: Path, program: Path, reporter: Path) -> None:
        self.directory = directory
        self.rootfs = directory / "rootfs"
        self.program = program
        # Beneath no existing group: the process that measures may sit in one that is not to be touched.
        self.cgroup = f"pyruntime-bench-{os.getpid()}"
        for name in DIRECTORIES:
            (self.rootfs / name).mkdir(parents=True)
        for name in TARGETS:
            (self.rootfs / name).touch()
        shutil.copy(program, self.rootfs / "program")
        shutil.copy(reporter, self.rootfs / "reporter")

    def make(self, kind: str, name: str, args: list[str]) -> Path:
        """The bundle of one container; `name` also names its cgroup."""
        bundle = self.directory / f"{kind}-{name}"
        (bundle / "etc").mkdir(parents=True)
        (bundle / "shm").mkdir()
        for file in FILES:
            (bundle / "etc" / file).write_text(f"# {file}\n")
        document = copy.deepcopy(_document(kind))
        document["process"]["args"] = args
        document["root"]["path"] = str(self.rootfs)
        for hook in document.get("hooks", {}).get("prestart", ()):
            hook["path"] = str(self.program)
        document["linux"]["cgroupsPath"] = f"/{self.cgroup}-{kind}-{name}"
        (bundle / "config.json").write_text(json.dumps(document))
        return bundle


def _document(kind: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((HERE / "configs" / f"{kind}.json").read_text())
    if kind == "docker":
        document["linux"]["seccomp"] = profiles.docker()
    if kind == "podman":
        capabilities = set(document["process"]["capabilities"]["bounding"])
        document["linux"]["seccomp"] = profiles.podman(capabilities)
    return document
