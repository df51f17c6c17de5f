"""What the in-container reporter printed, as data: mounts, capability names, cgroup paths, descriptors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CAPABILITY_NAMES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE "
    "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT "
    "SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE "
    "AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ "
    "PERFMON BPF CHECKPOINT_RESTORE"
).split()


@dataclass(frozen=True)
class Mount:
    """One line of mountinfo."""

    id: int
    parent: int
    device: str
    root: str
    point: str
    options: frozenset[str]
    propagation: frozenset[str]
    kind: str
    source: str
    super_options: frozenset[str]


def unescape(text: str) -> str:
    r"""mountinfo writes blanks and backslashes in octal (\040)."""
    return text.encode("latin-1", "surrogateescape").decode("unicode_escape")


def parse_mounts(text: str) -> list[Mount]:
    rows = []
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        number, parent, device, root, point, options, *tags = left.split(" ")
        kind, source, super_options = right.split(" ", 2)
        rows.append(
            Mount(
                id=int(number),
                parent=int(parent),
                device=device,
                root=unescape(root),
                point=unescape(point),
                options=frozenset(options.split(",")),
                propagation=frozenset(tag.split(":")[0] for tag in tags if tag),
                kind=kind,
                source=unescape(source),
                super_options=frozenset(super_options.split(",")),
            )
        )
    return rows


def own_mounts() -> list[Mount]:
    return parse_mounts(Path("/proc/self/mountinfo").read_text())


def parse_cgroups(text: str) -> dict[str, str]:
    """`{"memory": "/x", "name=systemd": "/y", "": "/z"}`: a line with two controllers makes two entries."""
    paths = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for name in controllers.split(","):
            paths[name] = path
    return paths


def parse_status(text: str) -> dict[str, str]:
    return {
        key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())
    }


def bytes_as_text(value: Any) -> Any:
    """The reporter writes bytes as Latin-1; this makes UTF-8 text of them again."""
    if isinstance(value, str):
        return value.encode("latin-1").decode("utf-8", "surrogateescape")
    if isinstance(value, list):
        return [bytes_as_text(item) for item in value]
    if isinstance(value, dict):
        return {bytes_as_text(key): bytes_as_text(item) for key, item in value.items()}
    return value


def parse_lines(text: str) -> list[dict[str, Any]]:
    """All JSON objects of an output, in order; other lines (echo, hooks) are passed over."""
    found = []
    for line in text.splitlines():
        if line.startswith("{"):
            found.append(bytes_as_text(json.loads(line)))
    return found


class Facts:
    """The object of `inside report`; keys are read as attributes: `facts.hostname`, `facts.umask`."""

    def __init__(self, report: dict[str, Any]) -> None:
        self.report = report

    def __getattr__(self, name: str) -> Any:
        try:
            return self.report[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def mounts(self) -> list[Mount]:
        return parse_mounts(self.report["files"]["/proc/self/mountinfo"])

    def mount(self, point: str) -> Mount:
        """The uppermost mount at that point: none of the others there stands on it. (The table is not in the
        order of mounting: it goes by mount ids, which a detached mount gets when it is made.)"""
        here = [mount for mount in self.mounts if mount.point == point]
        assert here, f"nothing is mounted on {point}: {[mount.point for mount in self.mounts]}"
        covered = {mount.parent for mount in here}
        return next(mount for mount in here if mount.id not in covered)

    @property
    def status(self) -> dict[str, str]:
        return parse_status(self.report["files"]["/proc/self/status"])

    @property
    def cgroups(self) -> dict[str, str]:
        return parse_cgroups(self.report["files"]["/proc/self/cgroup"])

    @property
    def environment(self) -> dict[str, str]:
        return dict(entry.split("=", 1) for entry in self.report["env"])

    def capabilities(self, kind: str) -> set[str]:
        bits = int(self.report["caps"][kind], 16)
        return {f"CAP_{name}" for number, name in enumerate(CAPABILITY_NAMES) if bits >> number & 1}

    def fd(self, number: int) -> dict[str, Any] | None:
        return next((entry for entry in self.report["fds"] if entry["fd"] == number), None)
