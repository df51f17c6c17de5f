"""The integration tests' stage: private namespaces, a subreaper, and the leak check around every test.

The test process leaves the host's mount, network, ipc and uts namespaces before the first test. The runtime
under test then has a host of its own to litter, nothing it does wrong reaches the machine, and what other
people mount meanwhile does not look like a leak.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lib import kernel, leaks, programs
from tests.lib.bundle import Bundle

HERE = Path(__file__).resolve().parent
REFERENCE = tomllib.loads((HERE / "reference.toml").read_text())


def excuses() -> dict[str, str]:
    """Tests the reference runtime is known to fail, with the reason; empty for every other runtime."""
    known: dict[str, str] = REFERENCE.get(programs.runtime_name(), {})
    return known


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A listed test must fail: one that passes after all is an error, so that the list stays true."""
    known = excuses()
    for item in items:
        short = item.nodeid.rpartition("integration/")[2]
        reason = known.get(short) or known.get(short.split("[")[0])
        if reason:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


@pytest.fixture(scope="session")
def stage() -> None:
    """Once: the right to make containers, the programs, namespaces of our own."""
    if os.geteuid() != 0:
        pytest.exit("the integration tests need root: run them as root, they are never skipped", 1)
    try:
        programs.runtime_command()
        programs.inside()
    except programs.MissingProgram as problem:
        pytest.exit(str(problem), 1)
    spaces = kernel.CLONE_NEWNS | kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
    kernel.unshare(spaces)
    kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.become_subreaper()


@pytest.fixture(autouse=True)
def nothing_leaks(stage: None) -> Iterator[None]:
    """Host before = host after, or the test fails, whatever it tested."""
    before = leaks.Host.now()
    yield
    differences = leaks.settled(before)
    leaks.sweep(before)
    assert not differences, "the host is not as it was:\n" + "\n".join(differences)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A bundle whose container reports what it sees and ends."""
    return Bundle(tmp_path / "bundle")
