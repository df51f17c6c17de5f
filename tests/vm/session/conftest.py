"""An ordinary user's place: a service with a cgroup of its own, ids to give away, nothing left behind."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lib import kernel, leaks, programs
from tests.lib.bundle import Bundle
from tests.lib.namespaces import Map

CGROUPS = Path("/sys/fs/cgroup")


@pytest.fixture(scope="session")
def delegated() -> str:
    """Our own cgroup, empty of processes, as what is written in `cgroupsPath`: the test run moves into a group
    below it, for only a group without processes hands controllers on."""
    own = Path("/proc/self/cgroup").read_text().strip().removeprefix("0::")
    group = CGROUPS / own.lstrip("/")
    (group / "tests").mkdir()
    for pid in (group / "cgroup.procs").read_text().split():
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            (group / "tests/cgroup.procs").write_text(pid)
    return own


@pytest.fixture(scope="session", autouse=True)
def session(delegated: str) -> None:
    if os.geteuid() == 0:
        pytest.exit("these tests are an ordinary user's: `make vm` runs them", 1)
    programs.inside()
    kernel.become_subreaper()


@pytest.fixture(autouse=True)
def nothing_leaks(session: None) -> Iterator[None]:
    before = leaks.Host.now()
    yield
    differences = leaks.settled(before)
    leaks.sweep(before)
    assert not differences, "the host is not as it was:\n" + "\n".join(differences)


@pytest.fixture
def maps() -> tuple[Map, ...]:
    """Root is the user, everybody else one of the user's subordinate ids."""
    name = pwd.getpwuid(os.geteuid()).pw_name
    lines = (line.split(":") for line in Path("/etc/subuid").read_text().split())
    first, count = next((int(start), int(size)) for who, start, size in lines if who == name)
    return (Map(0, os.geteuid(), 1), Map(1, first, count))


@pytest.fixture
def bundle(tmp_path: Path, maps: tuple[Map, ...]) -> Iterator[Bundle]:
    """Reports and ends, in a user namespace with all of the user's ids and in no cgroup of its own."""
    made = Bundle(tmp_path / "bundle").namespace("user").set("linux.cgroupsPath", None)
    lines = [one.document for one in maps]
    yield made.set("linux.uidMappings", lines).set("linux.gidMappings", lines)
    shutil.rmtree(made.directory, ignore_errors=True)
