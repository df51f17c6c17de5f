"""The v2 driver on the real kernel: the group, its controllers, the device program asked at open and mknod.

A hybrid host's unified hierarchy does for most of it; only the controllers that v1 holds are missing there.
"""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyruntime import errors
from pyruntime.cgroup import detect, driver, frozen
from pyruntime.cgroup.group import Cgroup
from pyruntime.cgroup.v2 import attachment, devices
from pyruntime.kernel import bpf
from tests.lib.box import unique_id

LAYOUT = detect.layout()
UNIFIED = next((row for row in LAYOUT.hierarchies if row.unified), None)
pytestmark = pytest.mark.skipif(UNIFIED is None, reason="no unified hierarchy on this host")


def attach(directory: str, program: bytes, *, fresh: bool = True) -> None:
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        attachment.attach(fd, program, fresh=fresh)
    finally:
        os.close(fd)


@pytest.fixture
def group() -> Iterator[str]:
    assert UNIFIED is not None
    path = f"{UNIFIED.mountpoint}/{unique_id()}"
    os.mkdir(path)
    yield path
    os.rmdir(path)


PROGRAM = """
import os, sys
open(sys.argv[1] + "/cgroup.procs", "w").write("0")
for word in sys.argv[2:]:
    path, mode = word.rsplit(":", 1)
    try:
        os.close(os.open(path, {"r": os.O_RDONLY, "w": os.O_WRONLY, "rw": os.O_RDWR}[mode]))
        print("yes")
    except PermissionError:
        print("no")
made = sys.argv[2].rsplit(":", 1)[0] + ".made"
os.mknod(made, 0o600 | 0o020000, os.makedev(9, 9))
os.unlink(made)
print("made")
"""


def opened(group: str, *words: str) -> list[str]:
    text = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROGRAM, group, *words],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return text.splitlines()


@pytest.fixture
def node(tmp_path: Path) -> str:
    """kmsg: readable, writable, and in nobody's standard list."""
    path = tmp_path / "kmsg"
    os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 11))
    return str(path)


KMSG = {"type": "c", "major": 1, "minor": 11}
WIDE = {"allow": True, "type": "c", "major": 1, "access": "rwm"}


@pytest.mark.parametrize(
    ("rows", "answers"),
    [
        ([], ["no", "no", "no"]),
        ([{"allow": True, "access": "rwm"}], ["yes", "yes", "yes"]),
        ([{"allow": True, "access": "r", **KMSG}], ["yes", "no", "no"]),
        ([{"allow": True, "access": "w", **KMSG}], ["no", "yes", "no"]),
        ([{"allow": True, "access": "rw", **KMSG}], ["yes", "yes", "yes"]),
        ([WIDE, {"allow": False, "access": "w", **KMSG}], ["yes", "no", "no"]),
        ([{"allow": False, "access": "w", **KMSG}, WIDE], ["yes", "yes", "yes"]),
        ([WIDE, {"allow": False, "access": "rwm"}], ["no", "no", "no"]),
    ],
)
def test_opens(group: str, node: str, rows: list[dict[str, Any]], answers: list[str]) -> None:
    attach(group, devices.program({"devices": rows}))
    got = opened(group, f"{node}:r", f"{node}:w", f"{node}:rw", "/dev/null:rw")
    assert got == [*answers, "yes", "made"]  # mknod of any node is always let through


def test_a_long_list_is_verified(group: str, node: str) -> None:
    rows = [
        {"allow": True, "type": "c", "major": 200 + n, "minor": n, "access": "rw"}
        for n in range(400)
    ]
    attach(group, devices.program({"devices": rows}))
    assert opened(group, f"{node}:r", "/dev/null:r") == ["no", "yes", "made"]


# The group itself


class Made:
    """Groups of the v2 driver on this host's unified hierarchy, and their holdings."""

    def __init__(self) -> None:
        assert UNIFIED is not None
        self.layout = detect.Layout("v2", [UNIFIED])
        self.holdings: list[dict[str, Any]] = []

    def prepare(self, path: str | None, resources: dict[str, Any]) -> Cgroup:
        cgroup = driver.prepare(self.layout, path, unique_id(), resources, self.holdings.append)
        assert cgroup.unified_fd is not None
        assert cgroup.task_fds == []
        cgroup.close()
        return cgroup

    def release(self) -> None:
        while self.holdings:
            driver.release(self.holdings.pop())


@pytest.fixture
def made() -> Iterator[Made]:
    groups = Made()
    try:
        yield groups
    finally:
        groups.release()


def controllers() -> list[str]:
    assert UNIFIED is not None
    return Path(UNIFIED.mountpoint, "cgroup.controllers").read_text().split()


def sleeper(directory: str) -> subprocess.Popen[bytes]:
    words = 'echo 0 > "$1/cgroup.procs"; echo; read x'
    process = subprocess.Popen(
        ["/bin/sh", "-c", words, "sh", directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_a_group_with_its_devices(made: Made, node: str) -> None:
    path = f"/{unique_id()}/below"
    cgroup = made.prepare(path, {"devices": [{"allow": True, "access": "r", **KMSG}]})
    assert cgroup.relative == {"": path}
    assert opened(cgroup.paths[""], f"{node}:r", f"{node}:w") == ["yes", "no", "made"]
    made.release()
    assert not Path(cgroup.paths[""]).parent.exists()


def test_controllers_are_handed_down(made: Made) -> None:
    if "hugetlb" not in controllers():
        pytest.skip("v1 holds every controller of this host")
    rows = [{"pageSize": "2MB", "limit": 4 << 20}]
    cgroup = made.prepare(f"/{unique_id()}/a/b", {"hugepageLimits": rows})
    group = Path(cgroup.paths[""])
    assert (group / "hugetlb.2MB.max").read_text().strip() == str(4 << 20)
    assert (group / "hugetlb.2MB.rsvd.max").read_text().strip() == str(4 << 20)
    assert "hugetlb" in (group.parent / "cgroup.subtree_control").read_text().split()


def test_a_controller_that_is_missing_is_named(made: Made) -> None:
    if "pids" in controllers():
        pytest.skip("this host has the controller")
    with pytest.raises(errors.UnsupportedError, match="needs the pids controller"):
        made.prepare("/" + unique_id(), {"pids": {"limit": 5}})


def test_the_rules_of_the_container_before_do_not_stay(made: Made, node: str) -> None:
    """A group that was there before us: no moment without rules, and none of an earlier container's."""
    assert UNIFIED is not None
    path = "/" + unique_id()
    os.mkdir(UNIFIED.mountpoint + path)
    try:
        for access, answers in (("r", ["yes", "no"]), ("w", ["no", "yes"]), ("", ["no", "no"])):
            rows = [{"allow": True, "access": access, **KMSG}] if access else []
            cgroup = made.prepare(path, {"devices": rows})
            assert opened(cgroup.paths[""], f"{node}:r", f"{node}:w") == [*answers, "made"]
            made.release()
        fd = os.open(UNIFIED.mountpoint + path, os.O_PATH)
        assert len(bpf.attached_devices(fd)) == 1
        os.close(fd)
    finally:
        os.rmdir(UNIFIED.mountpoint + path)


def test_the_rules_of_others_stay(made: Made, node: str) -> None:
    assert UNIFIED is not None
    path = "/" + unique_id()
    os.mkdir(UNIFIED.mountpoint + path)
    fd = os.open(UNIFIED.mountpoint + path, os.O_PATH)
    try:
        theirs = bpf.load_devices(devices.program({"devices": []}), "theirs")
        bpf.attach_devices(fd, theirs)
        os.close(theirs)
        for _ in range(2):
            cgroup = made.prepare(path, {"devices": [{"allow": True, "access": "rwm"}]})
            assert opened(cgroup.paths[""], f"{node}:r") == ["no", "made"]
            assert len(bpf.attached_devices(fd)) == 2
            made.release()
    finally:
        os.close(fd)
        os.rmdir(UNIFIED.mountpoint + path)


def test_given_to_its_user(made: Made) -> None:
    """The directory and what the kernel names, and nothing else: not the limits."""
    assert UNIFIED is not None
    cgroup = driver.prepare(
        made.layout, "/" + unique_id(), "x", {}, made.holdings.append, owner=4711
    )
    cgroup.close()
    group = Path(cgroup.paths[""])
    named = set(Path("/sys/kernel/cgroup/delegate").read_text().split())
    assert group.stat().st_uid == 4711
    for file in group.iterdir():
        assert file.stat().st_uid == (4711 if file.name in named else 0), file.name
        assert file.stat().st_gid == 0


def test_threaded_all_the_way_down(made: Made) -> None:
    """Beneath a group with processes of its own a new one is `domain invalid`: threaded is all it can be."""
    top = made.prepare("/" + unique_id(), {})
    group = Path(top.paths[""])
    os.mkdir(group / "thread")
    (group / "thread/cgroup.type").write_text("threaded")
    nested = made.prepare(f"{top.relative['']}/a/b", {})
    assert Path(nested.paths[""], "cgroup.type").read_text().strip() == "threaded"
    rows = [{"pageSize": "2MB", "limit": 0}]
    with pytest.raises(errors.StepError, match=r"with domain controllers .*: it is in"):
        made.prepare(f"{top.relative['']}/c", {"hugepageLimits": rows})
    os.rmdir(group / "thread")


def test_pausing_signals_and_removal(made: Made) -> None:
    cgroup = made.prepare("/" + unique_id(), {})
    kept = driver.record(cgroup)
    one, other = sleeper(cgroup.paths[""]), sleeper(cgroup.paths[""])
    assert sorted(driver.pids(kept)) == sorted((one.pid, other.pid))
    driver.freeze(kept)
    assert frozen.is_frozen(kept)
    driver.thaw(kept)
    assert not frozen.is_frozen(kept)
    with pytest.raises(errors.StepError, match=r"not empty: 2 process\(es\) found"):
        made.prepare(cgroup.relative[""], {})
    one.communicate()
    os.mkdir(cgroup.paths[""] + "/payload")
    made.release()
    assert not os.path.exists(cgroup.paths[""])
    other.communicate()
    assert other.returncode == -signal.SIGKILL
