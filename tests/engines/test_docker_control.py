"""`docker pause`, `unpause`, `top` and `update`: the shim asks the runtime for a list of pids and sends zeros for what stays."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engines import image
from tests.engines.docker import Docker


@pytest.fixture(scope="module")
def service(docker: Docker) -> Iterator[str]:
    name = "controlled"
    options = ("--detach", f"--name={name}", "--memory=64m", *docker.usual)
    docker.ok("run", *options, image.NAME, "sleep", "600")
    yield name
    docker.run("rm", "--force", name)


def status(docker: Docker, name: str) -> str:
    return docker.ok("inspect", "--format", "{{.State.Status}}", name).strip()


def test_pause_and_unpause(docker: Docker, service: str) -> None:
    docker.ok("pause", service)
    assert status(docker, service) == "paused"
    docker.ok("unpause", service)
    assert status(docker, service) == "running"
    assert docker.ok("exec", service, "echo", "on again") == "on again\n"


def test_top(docker: Docker, service: str) -> None:
    titles, row = docker.ok("top", service).splitlines()
    assert "PID" in titles.split() and row.split()[-2:] == ["sleep", "600"]


def test_update(docker: Docker, service: str) -> None:
    docker.ok("update", "--cpu-quota=30000", "--cpu-period=100000", service)
    docker.ok("update", "--memory=96m", "--memory-swap=192m", service)
    script = "cd /sys/fs/cgroup; cat memory.max cpu.max memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us"
    told = docker.ok("exec", service, "sh", "-c", f"{script} 2>/dev/null; true").split()
    assert str(96 << 20) in told and "30000" in told


def test_stats(docker: Docker, service: str) -> None:
    """Read by the shim from the groups of the container's process."""
    told = docker.ok("stats", "--no-stream", "--format", "{{.MemUsage}}|{{.PIDs}}", service)
    usage, pids = told.strip().split("|")
    assert "MiB" in usage and pids == "1"
