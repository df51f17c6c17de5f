"""A bundle in a few words: `Bundle(tmp).inside("report").mount("/data", "tmpfs").hostname("web")`.

Every method changes the bundle and returns it. config.json is written by `write()`, which Box calls. The base
document is small on purpose: what a test is about should stand in the test.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.lib import programs

CAPABILITIES = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_KILL",
    "CAP_MKNOD",
]
PRIVILEGES = ["CAP_SYS_ADMIN", "CAP_SYS_CHROOT", "CAP_SETUID", "CAP_SETGID", "CAP_NET_ADMIN"]

BASE: dict[str, Any] = {
    "ociVersion": "1.0.2",
    "process": {
        "user": {"uid": 0, "gid": 0},
        "args": ["/inside", "report"],
        "env": ["PATH=/bin:/usr/bin"],
        "cwd": "/",
        "noNewPrivileges": True,
    },
    "root": {"path": "rootfs", "readonly": False},
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
        },
    ],
    "linux": {"namespaces": [{"type": name} for name in ("pid", "network", "ipc", "uts", "mount")]},
}


class Bundle:
    """A directory with rootfs/ and config.json."""

    def __init__(self, directory: Path, document: Mapping[str, Any] | None = None) -> None:
        self.directory = directory
        self.rootfs = directory / "rootfs"
        self.document: dict[str, Any] = copy.deepcopy(dict(document or BASE))
        self.later: list[Callable[[str], None]] = []
        self.rootfs.mkdir(parents=True, exist_ok=True)
        for name in ("proc", "dev", "sys", "tmp", "etc", "bin"):
            (self.rootfs / name).mkdir(exist_ok=True)
        (self.rootfs / "etc/passwd").write_text(
            "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000::/home/web:\n"
        )
        shutil.copy2(programs.inside(), self.rootfs / "inside")

    # What the container is

    def set(self, path: str, value: Any) -> Bundle:
        """`set("linux.sysctl", {...})`, `set("mounts.0.options", [...])`: parents are made."""
        here: Any = self.document
        *parents, last = path.split(".")
        for word in parents:
            here = here[int(word)] if isinstance(here, list) else here.setdefault(word, {})
        if isinstance(here, list):
            here[int(last)] = value
        else:
            here[last] = value
        return self

    def get(self, path: str) -> Any:
        here: Any = self.document
        for word in path.split("."):
            here = here[int(word)] if isinstance(here, list) else here[word]
        return here

    def unset(self, path: str) -> Bundle:
        parent, _, last = path.rpartition(".")
        here: Any = self.get(parent) if parent else self.document
        del here[int(last) if isinstance(here, list) else last]
        return self

    def add(self, path: str, *values: Any) -> Bundle:
        """Appends to a list, making it if need be."""
        try:
            self.get(path).extend(values)
        except KeyError:
            self.set(path, list(values))
        return self

    def args(self, *words: str) -> Bundle:
        return self.set("process.args", list(words))

    def inside(self, *words: str) -> Bundle:
        """Runs the reporter: commands are divided by "--"."""
        return self.args("/inside", *words)

    def shell(self, script: str) -> Bundle:
        """Runs a busybox shell script."""
        target = self.rootfs / "bin/busybox"
        if not target.exists():
            shutil.copy2(programs.busybox(), target)
            for applet in (
                "sh",
                "cat",
                "echo",
                "ls",
                "id",
                "mount",
                "sleep",
                "true",
                "false",
                "stat",
            ):
                (self.rootfs / "bin" / applet).symlink_to("busybox")
        return self.args("/bin/sh", "-c", script)

    def env(self, **values: str) -> Bundle:
        return self.add("process.env", *[f"{name}={value}" for name, value in values.items()])

    def hostname(self, name: str) -> Bundle:
        return self.set("hostname", name)

    def mount(
        self, destination: str, kind: str | None, source: str | Path, *options: str
    ) -> Bundle:
        entry: dict[str, Any] = {"destination": destination, "source": str(source)}
        if kind is not None:
            entry["type"] = kind
        if options:
            entry["options"] = list(options)
        return self.add("mounts", entry)

    def bind(self, source: str | Path, destination: str, *options: str) -> Bundle:
        return self.mount(destination, "bind", source, "rbind", *options)

    def namespace(self, kind: str, path: str | None = None) -> Bundle:
        """Adds the namespace or changes the one of that type."""
        self.without_namespace(kind)
        return self.add("linux.namespaces", {"type": kind, **({"path": path} if path else {})})

    def without_namespace(self, kind: str) -> Bundle:
        kept = [entry for entry in self.get("linux.namespaces") if entry["type"] != kind]
        return self.set("linux.namespaces", kept)

    def capabilities(self, *names: str, ambient: Sequence[str] = ()) -> Bundle:
        """The same list in bounding, effective and permitted; inheritable holds what ambient needs."""
        sets = {kind: list(names) for kind in ("bounding", "effective", "permitted")}
        return self.set(
            "process.capabilities", {**sets, "inheritable": list(ambient), "ambient": list(ambient)}
        )

    def privileged(self) -> Bundle:
        """Capabilities to try things with, so that a refusal is the sandbox's and not a missing right."""
        return self.capabilities(*CAPABILITIES, *PRIVILEGES)

    def hook(
        self,
        kind: str,
        *args: str,
        path: str | None = None,
        env: Sequence[str] | None = None,
        timeout: int | None = None,
    ) -> Bundle:
        """The words are the hook's argv; `path` is the first of them unless given."""
        entry: dict[str, Any] = {"path": path or args[0], "args": list(args)}
        if env is not None:
            entry["env"] = list(env)
        if timeout is not None:
            entry["timeout"] = timeout
        return self.add(f"hooks.{kind}", entry)

    # What its root holds

    def file(self, path: str, text: str = "", mode: int = 0o644) -> Bundle:
        target = self.rootfs / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)
        return self

    def dir(self, path: str, mode: int = 0o755) -> Bundle:
        target = self.rootfs / path.lstrip("/")
        target.mkdir(parents=True, exist_ok=True)
        target.chmod(mode)
        return self

    def link(self, path: str, target: str) -> Bundle:
        """A symbolic link at `path`, in the place of whatever was there."""
        place = self.rootfs / path.lstrip("/")
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        elif os.path.lexists(place):
            place.unlink()
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)
        return self

    def write(self, container_id: str | None = None) -> Path:
        """Writes config.json. Without a cgroupsPath of its own the container gets `/<id>`."""
        document = self.document
        linux = document.get("linux")
        if container_id and isinstance(linux, dict) and "cgroupsPath" not in linux:
            document = {**document, "linux": {**linux, "cgroupsPath": f"/{container_id}"}}
        elif isinstance(linux, dict) and linux.get("cgroupsPath") is None:
            document = {**document, "linux": {k: v for k, v in linux.items() if k != "cgroupsPath"}}
        path = self.directory / "config.json"
        path.write_text(json.dumps(document, indent=1))
        return path
