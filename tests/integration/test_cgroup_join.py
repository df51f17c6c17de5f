"""How a second process joins a container's groups: own groups, sub paths, and a v2 group that is full."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pyruntime import errors
from pyruntime.cgroup import detect, driver
from tests.lib.box import unique_id
from tests.lib.groups import Maker

LAYOUT = detect.layout()
UNIFIED = next((row for row in LAYOUT.hierarchies if row.unified), None)
JOIN = """
import os, sys
for word in sys.argv[1:]: os.write(int(word), b"0")
print(open("/proc/self/cgroup").read(), end="")
"""


def make(directory: str) -> None:
    """A group that takes processes: a v1 cpuset has to be told its processors first."""
    os.mkdir(directory)
    for name in ("cpus", "mems"):
        file = Path(directory, f"cpuset.{name}")
        if LAYOUT.mode != "v2" and file.exists():
            file.write_text(Path(directory).parent.joinpath(f"cpuset.{name}").read_text())


def joined(kept: dict[str, Any], pid: int, words: list[str]) -> dict[str, str]:
    """Where a process that follows driver.join ends up; the unified group is read off its descriptor."""
    unified, tasks = driver.join(kept, pid, driver.sub_paths(words))
    try:
        found = {}
        if tasks:
            text = subprocess.run(
                [sys.executable, "-I", "-S", "-c", JOIN, *map(str, tasks)],
                pass_fds=tasks,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            found = {
                name: path for _, name, path in (row.split(":", 2) for row in text.splitlines())
            }
        if unified is not None:
            assert UNIFIED is not None
            assert not os.get_inheritable(unified)
            found[""] = os.readlink(f"/proc/self/fd/{unified}").removeprefix(UNIFIED.mountpoint)
        return {name: path for name, path in found.items() if name in kept["groups"]}
    finally:
        for fd in (*tasks, *(() if unified is None else (unified,))):
            os.close(fd)


def test_the_containers_own_groups(maker: Maker) -> None:
    kept = driver.record(maker.prepare("/" + unique_id(), {}))
    assert joined(kept, os.getpid(), []) == {name: row[1] for name, row in kept["groups"].items()}


def test_one_sub_path_for_all(maker: Maker) -> None:
    cgroup = maker.prepare("/" + unique_id(), {})
    for directory in cgroup.paths.values():
        make(directory + "/a")
        make(directory + "/a/b")
    kept = driver.record(cgroup)
    wanted = {name: row[1] + "/a/b" for name, row in kept["groups"].items()}
    assert joined(kept, os.getpid(), ["a/./c/../b/"]) == wanted
    assert joined(kept, os.getpid(), ["/a/b"]) == wanted


@pytest.mark.skipif(LAYOUT.mode == "v2", reason="one hierarchy has no controllers to tell apart")
def test_a_sub_path_for_some_controllers(maker: Maker) -> None:
    cgroup = maker.prepare("/" + unique_id(), {})
    for name in ("pids", "memory", "cpu"):
        group = cgroup.group(name)
        assert group is not None
        make(group.directory + "/sub")
    kept = driver.record(cgroup)
    seen = joined(kept, os.getpid(), ["pids,memory:sub", "cpu:sub"])
    for name, row in kept["groups"].items():
        below = not {"pids", "memory", "cpu"}.isdisjoint(name.split(","))
        assert seen[name] == row[1] + ("/sub" if below else "")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["../x"], "is not a sub cgroup path"),
        (["a/../../x"], "is not a sub cgroup path"),
        (["pids:../x"], "is not a sub cgroup path"),
        (["a", "b"], "missing <controller>: prefix"),
        (["pids:a:b"], "invalid --cgroup argument: pids:a:b"),
        ([":a"], "invalid --cgroup argument: :a"),
        (["pids,,memory:a"], "invalid --cgroup argument"),
        (["pids:a", "pids:a"], "controller pids specified multiple times"),
        (["nonsense:a"], "unknown controller nonsense"),
    ],
)
def test_sub_paths_that_cannot_be(maker: Maker, words: list[str], sentence: str) -> None:
    kept = driver.record(maker.prepare("/" + unique_id(), {}))
    if LAYOUT.mode == "v2" and words == ["pids:../x"]:
        sentence = "is not a sub cgroup path"
    with pytest.raises(errors.UsageError, match=sentence):
        driver.join(kept, os.getpid(), driver.sub_paths(words))


def test_a_sub_path_that_is_not_there(maker: Maker) -> None:
    kept = driver.record(maker.prepare("/" + unique_id(), {}))
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(errors.StepError, match="no such file or directory"):
        driver.join(kept, os.getpid(), {"": "missing"})
    assert len(os.listdir("/proc/self/fd")) == before


def test_without_groups_of_its_own() -> None:
    assert driver.join(None, os.getpid(), {}) == (None, [])
    with pytest.raises(errors.UsageError, match="has no cgroup of its own"):
        driver.join(None, os.getpid(), {"": "x"})


def test_a_group_that_hands_controllers_down(maker: Maker) -> None:
    """The payload moved its init into a group below, as systemd does; its own takes no processes any more."""
    if UNIFIED is None:
        pytest.skip("no unified hierarchy on this host")
    available = Path(UNIFIED.mountpoint, "cgroup.controllers").read_text().split()
    domain = [name for name in ("memory", "io", "hugetlb") if name in available]
    if not domain:
        pytest.skip("v1 holds every controller of this host that makes a group refuse processes")
    cgroup = maker.prepare("/" + unique_id(), {})
    own = Path(cgroup.paths[""])
    (own / "init").mkdir()
    child = maker.child_in(str(own / "init"))
    (own / "cgroup.subtree_control").write_text("+" + domain[0])
    kept = driver.record(cgroup)
    assert joined(kept, child.pid, [])[""] == f"{cgroup.relative['']}/init"
    if LAYOUT.mode == "v2":
        assert joined(kept, child.pid, ["init"])[""] == f"{cgroup.relative['']}/init"
