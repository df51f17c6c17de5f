"""`podman pause`, `unpause`, `top` and `update` with the runtime under test."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.engines import image
from tests.engines.engine import Podman

NAME = "controlled"


@pytest.fixture(scope="module")
def service(podman_engine: Podman) -> Iterator[Podman]:
    podman_engine.by_path()
    options = ("--detach", f"--name={NAME}", "--memory=64m", *podman_engine.usual)
    podman_engine.ok("run", *options, image.NAME, "sleep", "1000")
    yield podman_engine
    podman_engine.ok("rm", "--force", "--time=0", NAME)


def status(engine: Podman) -> str:
    told = json.loads(engine.ok("inspect", NAME))[0]["State"]["Status"]
    return str(told)


def test_pause_and_unpause(service: Podman) -> None:
    service.ok("pause", NAME)
    assert status(service) == "paused"
    done = service.run("exec", NAME, "true")
    assert done.returncode != 0
    service.ok("unpause", NAME)
    assert status(service) == "running"
    assert service.ok("exec", NAME, "echo", "on again") == "on again\n"


def test_removed_while_it_is_paused(podman_engine: Podman) -> None:
    podman_engine.by_path()
    options = ("--detach", "--name=frozen", *podman_engine.usual)
    podman_engine.ok("run", *options, image.NAME, "sleep", "1000")
    podman_engine.ok("pause", "frozen")
    podman_engine.ok("rm", "--force", "--time=0", "frozen")


def test_top(service: Podman) -> None:
    lines = service.ok("top", NAME, "pid", "args").splitlines()
    assert lines[0].split() == ["PID", "COMMAND"]
    assert lines[1].split() == ["1", "sleep", "1000"]


def test_update(service: Podman) -> None:
    service.ok("update", "--memory=96m", NAME)
    wanted = str(96 << 20)
    script = (
        "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null;true"
    )
    assert service.ok("exec", NAME, "sh", "-c", script).split() == [wanted]
