"""Hierarchies of v1 that the host has a controller for and does not mount: net_cls, net_prio, hugetlb."""

from __future__ import annotations

import errno
import os
import select
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lib import kernel
from tests.lib.groups import V2, hierarchies
from tests.lib.patience import deadline as scaled_deadline


@contextmanager
def mounted(controller: str) -> Iterator[bool]:
    """A hierarchy of v1 with this controller for the time of a block; False where it cannot be had.

    In this test run's mount namespace a directory of our own with the same mounts and one more stands over the host's.
    The hierarchy is gone afterwards, for we wait until its groups are: the kernel keeps one that has dying ones."""
    if controller in hierarchies():
        yield True
        return
    if V2 or controller not in _controllers():
        yield False
        return
    places = set(hierarchies().values())
    over = hierarchies()["memory"].parent
    # Removed by name and only when empty: what is mounted in it is the host's.
    own = tempfile.mkdtemp()
    kernel.mount("cgroups", own, "tmpfs")
    try:
        for name in (*(place.name for place in places), controller):
            Path(own, name).mkdir()
        for place in places:
            kernel.mount(str(place), f"{own}/{place.name}", flags=kernel.MS_BIND)
        there = _mount(controller, f"{own}/{controller}")
        if there:
            kernel.mount(own, str(over), flags=kernel.MS_BIND | kernel.MS_REC)
    finally:
        kernel.umount(own)
        os.rmdir(own)
    if not there:
        yield False
        return
    try:
        yield True
    finally:
        deadline = scaled_deadline(5)
        while _controllers()[controller] > 1 and time.monotonic() < deadline:
            select.select([], [], [], 0.005)
        kernel.umount(str(over))


def _mount(controller: str, place: str) -> bool:
    """A controller is busy while groups of v2 have it: those of another test process go away."""
    deadline = scaled_deadline(30)
    while True:
        try:
            kernel.mount(controller, place, "cgroup", data=controller)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
        else:
            return True
        if time.monotonic() > deadline:
            return False
        select.select([], [], [], 0.005)


def _controllers() -> dict[str, int]:
    """{controller of v1: how many groups its hierarchy has}."""
    rows = [line.split() for line in Path("/proc/cgroups").read_text().splitlines()[1:]]
    return {name: int(groups) for name, _, groups, enabled in rows if enabled == "1"}
