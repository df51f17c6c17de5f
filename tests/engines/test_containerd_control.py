"""`ctr task pause`, `resume` and `ps`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engines.engine import Containerd


@pytest.fixture(scope="module")
def service(containerd: Containerd) -> Iterator[str]:
    name = "controlled"
    containerd.ok(*containerd.words(name, "sleep", "600", options=("--detach",)))
    yield name
    containerd.run("task", "kill", "--signal=KILL", name)
    containerd.until("STOPPED", "task", "list")
    containerd.run("task", "delete", name)
    containerd.ok("container", "delete", name)


def test_pause_and_resume(containerd: Containerd, service: str) -> None:
    containerd.ok("task", "pause", service)
    assert "PAUSED" in containerd.ok("task", "list")
    containerd.ok("task", "resume", service)
    assert "RUNNING" in containerd.ok("task", "list")


def test_ps(containerd: Containerd, service: str) -> None:
    titles, row = containerd.ok("task", "ps", service).splitlines()
    assert titles.split()[0] == "PID" and row.split()[0].isdigit()
