"""Groups made by the cgroup driver for the time of a test, and processes that live in them.

Where the groups of a container are, whatever runtime made it, is said by tests/lib/hierarchies.py.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyruntime.cgroup import detect, driver
from pyruntime.cgroup.group import Cgroup
from tests.lib.hierarchies import (
    V2,
    below_own,
    chosen,
    group_of,
    hierarchies,
    joined,
    own_path,
    places,
    read_value,
    top,
)

__all__ = [
    "V2",
    "Maker",
    "below_own",
    "chosen",
    "group_of",
    "hierarchies",
    "joined",
    "maker",
    "own_path",
    "places",
    "read",
    "read_value",
    "top",
]


class Maker:
    """Prepares groups and releases all of them in the end, whatever the test did."""

    def __init__(self) -> None:
        self.holdings: list[dict[str, Any]] = []
        self.made: list[Cgroup] = []
        self.processes: list[subprocess.Popen[bytes]] = []

    def prepare(self, path: str | None, resources: dict[str, Any], name: str = "unused") -> Cgroup:
        assert list(driver.rules(resources)) == []
        # Looked at anew: the test run may have been moved to another group since this file was read.
        cgroup = driver.prepare(detect.layout(), path, name, resources, self.holdings.append)
        self.made.append(cgroup)
        return cgroup

    def release(self) -> None:
        while self.holdings:
            driver.release(self.holdings.pop())

    def child_in(
        self, *directories: str, ignore: bool = False, script: str = ""
    ) -> subprocess.Popen[bytes]:
        """A process that waits in these groups; `ignore` makes it deaf to SIGTERM."""
        words = ("trap '' TERM; " if ignore else "") + (script or "echo; read x")
        process = subprocess.Popen(
            [
                "/bin/sh",
                "-c",
                f'for d; do echo 0 > "$d/cgroup.procs"; done; {words}',
                "sh",
                *directories,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.processes.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    def close(self) -> None:
        for cgroup in self.made:
            cgroup.close()
        self.release()
        for process in self.processes:
            process.kill()
            process.communicate()


@pytest.fixture
def maker() -> Iterator[Maker]:
    made = Maker()
    try:
        yield made
    finally:
        made.close()


def read(cgroup: Cgroup, controller: str, name: str) -> str:
    """A file of the group whose hierarchy has this controller."""
    group = cgroup.group(controller)
    assert group is not None
    return Path(group.directory, name).read_text().strip()
