"""The config.json that `spec` writes: what `runc spec` writes, with our host name for it.

No inheritable and no ambient capabilities: a default that filled them was CVE-2022-29162 and its
relatives.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OCI_VERSION = "1.3.0"


def example(
    rootless: bool = False, *, has_unified_cgroups: bool = False, uid: int = 0, gid: int = 0
) -> dict[str, Any]:
    """A fresh document; `uid` and `gid` are mapped to the container's root when rootless."""
    return {
        "ociVersion": OCI_VERSION,
        "process": {
            "terminal": True,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": [
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "TERM=xterm",
            ],
            "cwd": "/",
            "capabilities": {
                kind: ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
                for kind in ("bounding", "effective", "permitted")
            },
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "runc",
        "mounts": _mounts(rootless),
        "linux": _linux(rootless, has_unified_cgroups, uid, gid),
    }


def _mounts(rootless: bool) -> list[dict[str, Any]]:
    # Without a mapped group 5 the kernel refuses gid=5, without a network namespace a new sysfs.
    pts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
    sealed = ["nosuid", "noexec", "nodev"]
    return [
        _mount("/proc", "proc", "proc"),
        _mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _mount("/dev/pts", "devpts", "devpts", pts if rootless else [*pts, "gid=5"]),
        _mount("/dev/shm", "tmpfs", "shm", [*sealed, "mode=1777", "size=65536k"]),
        _mount("/dev/mqueue", "mqueue", "mqueue", sealed),
        _mount("/sys", "none", "/sys", ["rbind", *sealed, "ro"])
        if rootless
        else _mount("/sys", "sysfs", "sysfs", [*sealed, "ro"]),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", [*sealed, "relatime", "ro"]),
    ]


def _mount(
    destination: str, kind: str, source: str, options: list[str] | None = None
) -> dict[str, Any]:
    row: dict[str, Any] = {"destination": destination, "type": kind, "source": source}
    if options:
        row["options"] = list(options)
    return row


def _linux(rootless: bool, has_unified_cgroups: bool, uid: int, gid: int) -> dict[str, Any]:
    names = (
        ["pid", "ipc", "uts", "mount"] if rootless else ["pid", "network", "ipc", "uts", "mount"]
    )
    names += ["cgroup"] if has_unified_cgroups else []
    section: dict[str, Any] = {}
    if rootless:
        section["uidMappings"] = [{"containerID": 0, "hostID": uid, "size": 1}]
        section["gidMappings"] = [{"containerID": 0, "hostID": gid, "size": 1}]
        names.append("user")
    else:
        section["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}
    section["namespaces"] = [{"type": name} for name in names]
    section["maskedPaths"] = [
        "/proc/acpi",
        "/proc/asound",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/proc/sched_debug",
        "/sys/firmware",
        "/proc/scsi",
        "/sys/devices/virtual/tpm",
    ]
    section["readonlyPaths"] = [
        "/proc/bus",
        "/proc/fs",
        "/proc/irq",
        "/proc/sys",
        "/proc/sysrq-trigger",
    ]
    return section
