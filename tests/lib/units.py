"""Containers whose groups are a systemd unit's, and what systemd says of it.

An engine gives `--systemd-cgroup` to create and run only; so does the box here.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lib import facts, programs
from tests.lib.box import Box, Outcome
from tests.lib.bundle import Bundle

RUNNING = Path("/run/systemd/system").is_dir()
needs_systemd = pytest.mark.skipif(not RUNNING, reason="systemd does not run here")
DRIVERS = ["cgroupfs", pytest.param("systemd", marks=needs_systemd)]
USER = os.geteuid() != 0
# What a runtime calls its units by default.
PREFIX = programs.runtime_name()


class UnitBox(Box):
    """A box in a unit of systemd; `slice:pt:id` unless the bundle says otherwise."""

    def call(self, *words: str, check: bool = False) -> Outcome:
        flag = ["--systemd-cgroup"] if words[0] in ("create", "run") else []
        return super().call(*flag, *words, check=check)

    @property
    def unit(self) -> str:
        return f"pt-{self.id}.scope"

    def show(self, *names: str) -> dict[str, str]:
        return show(self.unit, *names)

    def read(self, name: str) -> str:
        """A file of the group the init is in now."""
        return (group_of(self.pid, name.partition(".")[0]) / name).read_text().strip()


def systemctl(*words: str) -> str:
    """What it prints; a failure shows in that."""
    command = ["systemctl", *(["--user"] if USER else []), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def show(unit: str, *names: str) -> dict[str, str]:
    lines = systemctl("show", unit, *(f"--property={name}" for name in names)).splitlines()
    return dict(line.split("=", 1) for line in lines)


def is_loaded(unit: str) -> bool:
    return show(unit, "LoadState")["LoadState"] != "not-found"


def group_of(pid: int, controller: str) -> Path:
    """The directory of a process's group in the hierarchy of a controller."""
    seen = facts.parse_cgroups(Path(f"/proc/{pid}/cgroup").read_text())
    mounts = {mount.point: mount for mount in facts.own_mounts()}
    v1 = [m.point for m in mounts.values() if m.kind == "cgroup" and controller in m.super_options]
    if v1:
        return Path(v1[0] + seen[controller])
    (unified,) = [mount.point for mount in mounts.values() if mount.kind == "cgroup2"]
    return Path(unified + seen[""])


@contextmanager
def created(bundle: Bundle, slice_: str = "", *words: str, **options: Any) -> Iterator[UnitBox]:
    """In the unit `pt-ID.scope`, which is gone afterwards."""
    with _in_a_unit(bundle.inside(*(words or ("pause",))), slice_, **options) as box:
        yield box


@contextmanager
def _in_a_unit(bundle: Bundle, slice_: str, **options: Any) -> Iterator[UnitBox]:
    box = UnitBox(bundle, **options)
    with box:
        bundle.set("linux.cgroupsPath", f"{slice_}:pt:{box.id}")
        box.create()
        yield box
    assert not is_loaded(box.unit)


@contextmanager
def created_by(driver: str, bundle: Bundle, *words: str, **options: Any) -> Iterator[Box]:
    """By one of DRIVERS: in the unit, or in the group that has the container's id. Without words the bundle's own
    program runs."""
    if words:
        bundle.inside(*words)
    if driver == "systemd":
        with _in_a_unit(bundle, "", **options) as unit:
            yield unit
        return
    with Box(bundle, **options) as box:
        bundle.set("linux.cgroupsPath", f"/{box.id}")
        box.create()
        yield box
