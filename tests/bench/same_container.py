"""Whether two runtimes made the same container: figures of different containers are not compared.

The reporter of the integration tests says what it sees from inside, and the limits are read from the container's
cgroups on the host. known.toml lists the differences that are understood, with reasons.
"""

from __future__ import annotations

import json
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tests.bench import lifecycle
from tests.bench.runtimes import Runtime
from tests.bench.stopwatch import BenchError

HERE = Path(__file__).resolve().parent
CGROUPS = Path("/sys/fs/cgroup")
# Files of a v1 group that hold a limit; those that count are different each time.
LIMITS = (
    "memory.limit_in_bytes",
    "memory.memsw.limit_in_bytes",
    "memory.soft_limit_in_bytes",
    "memory.oom_control",
    "cpu.shares",
    "cpu.cfs_quota_us",
    "cpu.cfs_period_us",
    "cpuset.cpus",
    "cpuset.mems",
    "pids.max",
    "devices.list",
    "memory.max",
    "cpu.max",
)

Sight = dict[str, str]


def _mounts(text: str) -> Sight:
    """Every mount by its target (the n-th on the same target counts separately): what it is and how it is mounted."""
    seen: Sight = {}
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        _, _, _, root, target, options, *tags = before.split(" ")
        kind, source, superblock = after.split(" ", 2)
        propagation = " ".join(sorted(tag.partition(":")[0] for tag in tags)) or "private"
        # A root that is named by the host's directory or the superblock's device says nothing of the container.
        where = root if kind in ("proc", "sysfs", "cgroup", "tmpfs") else ""
        value = f"{kind} {source if kind != 'ext4' else ''} {where} {options} {propagation} ({superblock})"
        key, n = f"mount {target}", 2
        while key in seen:
            key, n = f"mount {target} #{n}", n + 1
        seen[key] = value
    return seen


def _limits(group: str) -> Sight:
    found = {}
    for hierarchy in sorted(CGROUPS.iterdir()):
        directory = hierarchy / group
        if hierarchy.is_symlink() or not directory.is_dir():
            continue
        found[f"cgroup {hierarchy.name}"] = "exists"
        for name in LIMITS:
            if (directory / name).exists():
                text = (directory / name).read_text()
                # The order of device rules is no part of their meaning once the kernel has merged them.
                lines = sorted(text.splitlines()) if name == "devices.list" else text.split("\n")
                found[f"cgroup {hierarchy.name} {name}"] = " | ".join(lines).strip()
    return found


def _inside(report: dict[str, Any]) -> Sight:
    seen = _mounts(report["files"]["/proc/self/mountinfo"])
    for name, value in report["caps"].items():
        seen[f"capabilities {name}"] = value
    for name in (
        "seccomp",
        "no_new_privs",
        "umask",
        "uid",
        "gid",
        "groups",
        "hostname",
        "blocked",
        "ignored",
    ):
        seen[name] = json.dumps(report[name])
    for name in ("oom_score_adj", "cgroup"):
        seen[name] = report["files"][f"/proc/self/{name}"].strip()
    for name, value in report["rlimits"].items():
        seen[f"rlimit {name}"] = str(value)
    for entry in report["fds"]:
        link = entry["link"] if entry["type"] != "file" else "a file"
        seen[f"fd {entry['fd']}"] = f"{entry['type']} {link}"
    for name, entry in report["dev"].items():
        parts = [entry["type"], oct(entry["mode"]), entry["major"], entry["minor"], entry["link"]]
        seen[f"/dev/{name}"] = " ".join(str(part) for part in parts)
    return seen


def look(runtime: Runtime, bundle: Path, group: str) -> Sight:
    output = runtime.directory / f"sight-{bundle.name}"
    usual, runtime.watch = runtime.watch, runtime.stopwatch("sight", output)
    try:
        _, pid = lifecycle.create(runtime, bundle, "sight")
        limits = _limits(group)
        runtime.watch.run(runtime.words("start", "sight"))
        runtime.watch.wait(pid)
        text = output.read_text()
        runtime.watch.run(runtime.words("delete", "sight"))
    finally:
        runtime.watch.close()
        runtime.watch = usual
    try:
        report = json.loads(text)
    except ValueError as problem:
        raise BenchError(
            f"{runtime.name}, {bundle.name}: the reporter said {text[:200]!r}"
        ) from problem
    return {**_inside(report), **limits}


def compare(
    kind: str, name: str, reference: str, mine: Sight, theirs: Sight
) -> tuple[list[str], int]:
    """The differences nobody explained, and how many are explained."""
    known = tomllib.loads((HERE / "known.toml").read_text())["difference"]
    unexplained, explained = [], 0
    for key in sorted(mine.keys() | theirs.keys()):
        here, there = mine.get(key, "(absent)"), theirs.get(key, "(absent)")
        if here == there:
            continue
        for entry in known:
            if entry["runtime"] in (name, reference) and fnmatchcase(key, entry["sight"]):
                explained += 1
                break
        else:
            unexplained.append(f"{kind}: {key}\n    {name}: {here}\n    {reference}: {there}")
    return unexplained, explained
