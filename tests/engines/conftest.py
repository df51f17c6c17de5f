"""The engines of a test run: one of each, shared, and nothing left when it ends."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.engines.docker import Docker
from tests.engines.engine import Containerd, Podman, remove_groups
from tests.lib import kernel


@pytest.fixture(scope="session", autouse=True)
def orphans() -> Iterator[None]:
    """conmon and shims leave their parents; here they come to us, and are reaped at the end."""
    if os.geteuid() != 0 and "GUEST" not in os.environ:
        pytest.fail("the engines run as root here; as an ordinary user in a session, by `make vm`")
    kernel.become_subreaper()
    yield
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return


@pytest.fixture(scope="session")
def podman_engine(orphans: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    parent = f"pyruntime-podman-{os.getpid()}"
    engine = Podman(tmp_path_factory.mktemp("podman"), parent)
    yield engine
    engine.close()
    if os.geteuid() == 0:
        remove_groups(parent)


@pytest.fixture(params=["by path", "by name"])
def podman(podman_engine: Podman, request: pytest.FixtureRequest) -> Podman:
    if request.param == "by name":
        podman_engine.by_name()
    else:
        podman_engine.by_path()
    return podman_engine


@pytest.fixture(scope="session")
def containerd(orphans: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containerd]:
    parent = f"pyruntime-containerd-{os.getpid()}"
    engine = Containerd(tmp_path_factory.mktemp("containerd"), parent)
    yield engine
    engine.close()
    remove_groups(parent)


@pytest.fixture(scope="session")
def docker(orphans: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    parent = f"pyruntime-docker-{os.getpid()}"
    engine = Docker(tmp_path_factory.mktemp("docker"), parent)
    yield engine
    engine.close()
    remove_groups(parent)
