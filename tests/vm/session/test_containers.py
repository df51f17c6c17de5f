"""Containers of an ordinary user whom systemd gave a session: ids by newuidmap, limits by a delegated cgroup."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lib.box import Box, refused, report, run, unique_id
from tests.lib.bundle import Bundle
from tests.lib.namespaces import Map, parse_map
from tests.vm.session.conftest import CGROUPS

MIB = 1 << 20
# What 512 shares become: by the line of older runtimes, by the curve of newer ones.
WEIGHTS = ("20", "59")


@pytest.fixture
def group(bundle: Bundle, delegated: str) -> Iterator[Path]:
    """The bundle's container gets a group below ours."""
    path = f"{delegated}/{unique_id()}"
    bundle.set("linux.cgroupsPath", path)
    yield CGROUPS / path.lstrip("/")


def test_root_inside_is_the_user(bundle: Bundle, maps: tuple[Map, ...]) -> None:
    outcome = run(bundle.inside("report", "--", "cat", "/proc/self/uid_map"))
    assert (outcome.code, outcome.err) == (0, ""), str(outcome)
    assert outcome.facts.status["Uid"].split() == ["0"] * 4
    assert parse_map(outcome.lines[1]["data"]) == list(maps)


def test_a_single_id_needs_no_program(bundle: Bundle) -> None:
    only = [Map(0, os.geteuid(), 1).document]
    facts = report(bundle.set("linux.uidMappings", only).set("linux.gidMappings", only))
    assert facts.status["Uid"].split() == ["0"] * 4


def test_files_of_another_user_inside(bundle: Bundle, maps: tuple[Map, ...]) -> None:
    """They belong to a subordinate id outside, and the user's namespace can remove them again."""
    bundle.dir("/home", 0o777).set("process.user", {"uid": 1000, "gid": 1000})
    outcome = run(bundle.inside("create", "/home/file", "x"))
    assert outcome.code == 0, str(outcome)
    made = (bundle.rootfs / "home/file").stat()
    assert made.st_uid == maps[1].host + 999


def test_life(bundle: Bundle) -> None:
    with Box(bundle.inside("pause")) as box:
        box.create()
        assert box.status == "created"
        box.start()
        assert box.status == "running"
        box.kill("KILL")
        assert box.wait() == 137
        assert box.status == "stopped"
        box.delete()


def test_the_usual_state_directory(bundle: Bundle) -> None:
    """Without --root the state is in the session's own directory, for nobody else to see."""
    with Box(bundle) as box:
        bundle.write(box.id)
        outcome = box.bare("run", "--bundle", str(bundle.directory), box.id)
        assert outcome.code == 0, str(outcome)
        name = box.bare("--version").out.split()[0]
    place = Path(os.environ["XDG_RUNTIME_DIR"], name)
    assert place.stat().st_uid == os.geteuid()
    assert place.stat().st_mode & 0o077 in (0, 0o011)


def test_limits_in_a_delegated_group(bundle: Bundle, group: Path) -> None:
    resources = {"memory": {"limit": 64 * MIB}, "pids": {"limit": 20}, "cpu": {"shares": 512}}
    bundle.set("linux.resources", resources).namespace("cgroup")
    with Box(bundle.inside("report", "--", "pause")) as box:
        box.create()
        assert (group / "memory.max").read_text() == f"{64 * MIB}\n"
        assert (group / "pids.max").read_text() == "20\n"
        assert (group / "cpu.weight").read_text().strip() in WEIGHTS
        assert str(box.pid) in (group / "cgroup.procs").read_text().split()
        box.start()
        assert box.facts.cgroups == {"": "/"}
    assert not group.exists()


def test_the_pids_limit_holds(bundle: Bundle, group: Path) -> None:
    bundle.set("linux.resources", {"pids": {"limit": 3}})
    line = run(bundle.inside("forks", "20")).lines[0]
    assert (line["made"], line["errno"]) == (2, "EAGAIN")


def test_a_group_that_is_not_ours_is_refused(bundle: Bundle) -> None:
    bundle.set("linux.cgroupsPath", f"/{unique_id()}")
    message = refused(bundle.set("linux.resources", {"memory": {"limit": 64 * MIB}}))
    assert "permission denied" in message


def test_devices_are_the_hosts(bundle: Bundle) -> None:
    """Nobody but root makes nodes, so they are bound; they still are devices."""
    outcome = run(bundle.inside("stat", "/dev/null", "--", "write", "/dev/null", "x"))
    assert [line["errno"] for line in outcome.lines] == ["", ""], str(outcome)
