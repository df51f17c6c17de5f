"""The fixtures of every test that makes containers: private namespaces, a subreaper, the leak check.

The test process leaves the host's mount, network, ipc and uts namespaces before the first test. The runtime
under test then has a host of its own to litter, nothing it does wrong reaches the machine, and what other
people mount meanwhile does not look like a leak.

A directory of such tests has a conftest.py that imports the fixtures.
"""

from __future__ import annotations

import os
import shutil
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.lib import leaks, programs
from tests.lib.bundle import Bundle
from tests.lib.hierarchies import cgroup_layout
from tests.lib.private_mounts import enter

__all__ = ["bundle", "cgroup_layout", "enter", "excuse", "keyrings", "nothing_leaks", "stage"]


def excuse(items: Iterable[pytest.Item], table: Path) -> None:
    """Marks the tests a runtime is known to fail; one that passes after all is an error, unless its reason
    begins with "sometimes", a race the runtime does not lose every time, or "not run", where it would hang. What
    holds on one cgroup layout alone stands in a section of its own, `[runc-v2]`, where an empty reason takes back
    what `[runc]` says."""
    try:
        runtime = programs.runtime_name()
    except programs.MissingProgram as problem:
        raise pytest.UsageError(str(problem)) from None
    tables = tomllib.loads(table.read_text())
    special = tables.get(f"{runtime}-{cgroup_layout()}", {})
    known: dict[str, str] = {**tables.get(runtime, {}), **special}
    here = str(table.parent)
    unused = {name for name in known if not (table.parent / name.partition("::")[0]).is_file()}
    collected = set()
    for item in items:
        if str(item.path.parent) != here:
            continue
        short = f"{item.path.name}::{item.name}"
        collected.add(short.partition("[")[0])
        reason = known.get(short) or known.get(short.partition("[")[0])
        if reason:
            strict, runs = not reason.startswith("sometimes"), not reason.startswith("not run")
            item.add_marker(pytest.mark.xfail(reason=reason, strict=strict, run=runs))
    files = {name.partition("::")[0] for name in collected}
    unused |= {
        name
        for name in known
        if name.partition("::")[0] in files and name.partition("[")[0] not in collected
    }
    if unused:
        raise pytest.UsageError(
            f"{table.name} lists tests that do not exist: {', '.join(sorted(unused))}"
        )


@pytest.fixture(scope="session")
def stage() -> None:
    """The right to make containers, the programs, namespaces of our own: without them nothing runs."""
    if os.geteuid() != 0:
        pytest.exit("these tests need root: run them as root, they are never skipped", 1)
    try:
        programs.runtime_command()
        programs.inside()
    except programs.MissingProgram as problem:
        pytest.exit(str(problem), 1)
    enter()


@pytest.fixture(scope="session")
def keyrings(stage: None) -> Iterator[leaks.Keyrings]:
    """No keyring is left when all tests have ended."""
    found = leaks.Keyrings()
    yield found
    left = found.left()
    assert not left, "keyrings are left:\n" + "\n".join(left)


@pytest.fixture(autouse=True)
def nothing_leaks(keyrings: leaks.Keyrings, request: pytest.FixtureRequest) -> Iterator[None]:
    """Host before = host after, or the test fails, whatever it tested; only an excused test is just tidied up."""
    before = leaks.Host.now()
    yield
    keyrings.note(request.node.nodeid)
    excused = request.node.get_closest_marker("xfail") is not None
    differences = leaks.settled(before, patience=0.5 if excused else 5.0)
    leaks.sweep(before)
    assert excused or not differences, "the host is not as it was:\n" + "\n".join(differences)


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[Bundle]:
    """A bundle whose container reports what it sees and ends. Its root is a megabyte, so it does not stay."""
    made = Bundle(tmp_path / "bundle")
    yield made
    shutil.rmtree(made.directory, ignore_errors=True)
