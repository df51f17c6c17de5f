"""Limits of processes, at their edge: whoever fits runs, `exec` gets in, and who does not is told which limit it was."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lib.box import Box, run, unique_id
from tests.lib.bundle import Bundle
from tests.lib.groups import V2, hierarchies, read_value

pytestmark = pytest.mark.covers("linux.resources.pids.limit")


def limited(bundle: Bundle, limit: int) -> Bundle:
    return bundle.set("linux.resources.pids", {"limit": limit})


def test_a_limit_of_one(bundle: Bundle) -> None:
    assert run(limited(bundle, 1).inside("exit", "3")).code == 3


def test_a_limit_of_one_with_a_user_namespace(mapped: Bundle) -> None:
    """The set-up takes a second process, which is none of the container's."""
    with Box(limited(mapped, 1).inside("forks", "1", "--", "exit", "3")) as box:
        box.create()
        assert read_value(box, "pids.max") == "1"
        box.start()
        assert box.wait() == 3
        assert box.expect("forks")["errno"] == "EAGAIN"


@pytest.mark.parametrize("spaces", ["own", "host's", "mapped"])
def test_exec_in_a_container_that_is_full(
    bundle: Bundle, mapped: Bundle, request: pytest.FixtureRequest, spaces: str
) -> None:
    """Birth is limited and joining is not; what it forks itself does not fit."""
    if spaces == "mapped":
        bundle = mapped
    elif spaces == "host's":
        bundle.without_namespace("pid")
    with Box(limited(bundle, 2).inside("spawn", "--", "pause")) as box:
        box.create()
        box.start()
        box.expect("pause")
        assert read_value(box, "pids.current") == "2"
        outcome = box.call("exec", box.id, "/inside", "forks", "1", "--", "exit", "3")
        assert outcome.code == 3, str(outcome)
        assert outcome.lines[0]["errno"] == "EAGAIN"
        pid_file = box.scratch / "exec.pid"
        words = ["--detach", "--pid-file", str(pid_file), box.id, "/inside", "pause"]
        box.call("exec", *words, check=True)
        joined = int(pid_file.read_text())
        try:
            groups = [Path(f"/proc/{pid}/cgroup").read_text() for pid in (joined, box.pid)]
        finally:
            os.kill(joined, signal.SIGKILL)
            os.waitpid(joined, 0)
        assert groups[0] == groups[1]


@pytest.fixture
def crowded() -> Iterator[str]:
    """The path of a group that lets no second process be born."""
    name = unique_id()
    top = hierarchies()["" if V2 else "pids"] / name
    top.mkdir()
    if V2:
        (top / "cgroup.subtree_control").write_text("+pids")
    (top / "pids.max").write_text("1")
    yield name
    for group in hierarchies().values():
        if (group / name).is_dir():
            os.rmdir(group / name)


def test_the_limit_is_named(mapped: Bundle, crowded: str) -> None:
    """One of a group above, which the container has no word in."""
    mapped.set("linux.cgroupsPath", f"/{crowded}/one")
    with Box(mapped.inside("pause")) as box:
        outcome = box.create(check=False)
        if outcome.code:
            assert "resource temporarily unavailable: the limit of processes is 1" in outcome.err
            assert f"/{crowded}/pids.max)" in outcome.err
            assert os.listdir(box.root) == []
