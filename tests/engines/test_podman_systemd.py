"""`podman --cgroup-manager=systemd`, its default where systemd runs: only `create` is told of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engines import image
from tests.engines.engine import Podman
from tests.lib.fixtures import cgroup_layout
from tests.lib.units import needs_systemd, show, systemctl

pytestmark = needs_systemd
TINY = image.NAME
LIMITS = {
    False: "memory/memory.limit_in_bytes pids/pids.max",
    True: "memory.max pids.max",
}


@pytest.fixture
def engine(podman_engine: Podman) -> Iterator[Podman]:
    """With the units' own slice: no parent is named."""
    usual, command = podman_engine.usual, podman_engine.command
    words = [word for word in podman_engine.base if not word.startswith("--cgroup-manager")]
    podman_engine.command = [*words, "--cgroup-manager=systemd", f"--runtime={podman_engine.runtime}"]  # fmt: skip
    podman_engine.usual = ["--network=none"]
    yield podman_engine
    podman_engine.usual, podman_engine.command = usual, command


def scopes() -> list[str]:
    words = ["list-units", "--all", "--plain", "--no-legend", "libpod-*.scope"]
    lines = systemctl(*words).splitlines()
    return [line.split()[0] for line in lines if not line.startswith("libpod-conmon-")]


def test_limits(engine: Podman) -> None:
    files = LIMITS[cgroup_layout() == "v2"]
    options = ("--memory=64m", "--pids-limit=50")
    done = engine.container(*options, TINY, "sh", "-c", f"cd /sys/fs/cgroup; cat {files}")
    assert done.stdout.split() == ["67108864", "50"], done.stderr
    assert scopes() == []


def test_life_of_a_service(engine: Podman) -> None:
    words = ["run", "--detach", "--name=unit", "--memory=64m", *engine.usual, TINY]
    name = engine.ok(*words, "sleep", "1000").strip()
    try:
        assert scopes() == [f"libpod-{name}.scope"]
        seen = show(f"libpod-{name}.scope", "ActiveState", "TasksMax", "Delegate")
        assert (seen["ActiveState"], seen["Delegate"]) == ("active", "yes")
        assert engine.ok("exec", "unit", "echo", "inside") == "inside\n"
        engine.ok("pause", "unit")
        engine.ok("unpause", "unit")
        engine.ok("restart", "--time=0", "unit")
        assert scopes() == [f"libpod-{name}.scope"]
    finally:
        engine.ok("rm", "--force", "--time=0", "unit")
    assert scopes() == []


def test_a_program_that_is_not_there(engine: Podman) -> None:
    done = engine.container(TINY, "nosuch")
    assert done.returncode == 127, done.stderr
    assert scopes() == []
