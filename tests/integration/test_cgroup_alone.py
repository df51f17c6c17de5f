"""Containers on a host that shows cgroup v2 alone: for the runtime's process the v1 mounts are covered by a bind of the
unified hierarchy. The controllers that v1 holds are missing there; groups, device programs, ends and views are not.

On a host with v2 alone nothing has to be covered.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.lib import facts, kernel, leaks
from tests.lib.box import Box, Stream
from tests.lib.bundle import Bundle
from tests.lib.groups import V2, hierarchies
from tests.lib.namespaces import Map, map_users

UNIFIED = hierarchies().get("")
TOP = Path("/sys/fs/cgroup")
pytestmark = [
    pytest.mark.covers("linux.resources.devices", "linux.cgroupsPath"),
    pytest.mark.skipif(UNIFIED is None, reason="no unified hierarchy on this host"),
]


def cover() -> None:
    """For preexec_fn: a mount namespace in which /sys/fs/cgroup is the unified hierarchy."""
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount(str(UNIFIED), "/mnt", flags=kernel.MS_BIND)
    kernel.umount(str(TOP))
    kernel.mount("/mnt", str(TOP), flags=kernel.MS_BIND)
    kernel.umount("/mnt")


class UnifiedBox(Box):
    """Every call of the runtime sees the unified hierarchy alone."""

    def spawn(self, *words: str) -> tuple[subprocess.Popen[bytes], Stream, Stream]:
        if not V2:
            self.prepare = cover
        return super().spawn(*words)

    @property
    def group(self) -> Path:
        assert UNIFIED is not None
        return UNIFIED / self.id


def unified_place(text: str) -> str:
    return facts.parse_cgroups(text)[""]


def test_from_create_to_delete(bundle: Bundle) -> None:
    with UnifiedBox(bundle.namespace("cgroup").inside("report", "--", "pause")) as box:
        box.create()
        assert (box.group / "cgroup.procs").read_text().split() == [str(box.pid)]
        assert unified_place(Path(f"/proc/{box.pid}/cgroup").read_text()) == f"/{box.id}"
        box.start()
        assert box.facts.cgroups[""] == "/"
        assert box.status == "running"
        (box.group / "cgroup.freeze").write_text("1")
        assert box.status == "paused"
        (box.group / "cgroup.freeze").write_text("0")
        (box.group / "payload/deep").mkdir(parents=True)
        box.kill("KILL")
        assert box.wait() == 137
        box.delete()
        assert not [path for path in leaks.marked_cgroups() if box.id in path]


def test_a_failed_create_leaves_no_group(bundle: Bundle) -> None:
    with UnifiedBox(bundle.args("/missing")) as box:
        assert box.create(check=False).code == 1
        assert not box.group.exists()


def test_the_group_dies_as_a_whole(bundle: Bundle) -> None:
    """Without a pid namespace `kill KILL` reaches what the first process left behind, by cgroup.kill."""
    bundle.without_namespace("pid").shell('sleep 1000 & echo \'{"cmd": "up"}\'; wait')
    with UnifiedBox(bundle) as box:
        box.create()
        box.start()
        box.expect("up")
        assert len((box.group / "cgroup.procs").read_text().split()) == 2
        box.kill("KILL")
        assert box.wait() == 137
        box.delete()
        assert not box.group.exists()


def tried(bundle: Bundle, rules: Any, words: str) -> list[str]:
    """What opening each node says, in a container with every capability."""
    bundle.set("linux.resources.devices", rules).privileged().mount("/tmp", "tmpfs", "tmpfs")
    with UnifiedBox(bundle.inside(*words.split())) as box:
        lines = box.run().lines
    assert [line["stage"] for line in lines] == ["open"] * len(lines)
    return [line["errno"] for line in lines]


DENY = {"allow": False, "access": "rwm"}
# No driver has this number (devices.txt: for local use): what the rules let through finds nothing there.
NODE = {"type": "c", "major": 240, "minor": 11}
WORDS = (
    "device /tmp/a c 240 11 r -- device /tmp/b c 240 11 w -- device /tmp/c c 1 3 w -- device /tmp/d b 254 0 r"
    " -- device /tmp/e c 240 12 r -- device /tmp/f c 241 11 r -- device /tmp/g b 240 11 r"
)
REFUSED = ["EPERM"] * 3


@pytest.mark.parametrize(
    ("rules", "answers"),
    [
        ([], ["EPERM", "EPERM", "", "EPERM", *REFUSED]),
        ([DENY], ["EPERM", "EPERM", "", "EPERM", *REFUSED]),
        ([DENY, {"allow": True, "access": "r", **NODE}], ["ENXIO", "EPERM", "", "EPERM", *REFUSED]),
        # A hole in a wildcard, which v1 cannot have.
        (
            [
                {"allow": True, "type": "c", "major": 240, "access": "rwm"},
                {"allow": False, "access": "w", **NODE},
            ],
            ["ENXIO", "EPERM", "", "EPERM", "ENXIO", "EPERM", "EPERM"],
        ),
    ],
)
def test_device_rules(bundle: Bundle, rules: Any, answers: list[str]) -> None:
    assert tried(bundle, rules, WORDS) == answers


def test_device_rules_in_a_group_of_an_earlier_container(bundle: Bundle) -> None:
    """The group stays, as it was there before; the rules of the container before do not."""
    words = "device /tmp/a c 240 11 r"
    with UnifiedBox(bundle) as keeper:
        path = f"/{keeper.id}"
        keeper.group.mkdir()
        try:
            bundle.set("linux.cgroupsPath", path)
            assert tried(bundle, [DENY], words) == ["EPERM"]
            assert tried(bundle, [{"allow": True, "access": "rwm"}], words) == ["ENXIO"]
            assert keeper.group.is_dir()
        finally:
            os.rmdir(keeper.group)


@pytest.mark.parametrize("namespace", [True, False])
def test_the_view(bundle: Bundle, namespace: bool) -> None:
    bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro", "nosuid", "nodev", "noexec")
    if namespace:
        bundle.namespace("cgroup")
    with UnifiedBox(bundle.inside("report", "--", "cat", "/sys/fs/cgroup/cgroup.procs")) as box:
        outcome = box.run(check=True)
    mount = outcome.facts.mount("/sys/fs/cgroup")
    assert mount.kind == "cgroup2" and {"ro", "nosuid", "nodev", "noexec"} <= mount.options
    members = outcome.lines[1]["data"].split()
    assert (members == ["1"]) is namespace


def test_the_view_where_it_cannot_be_mounted(bundle: Bundle) -> None:
    """A user namespace may not mount what a cgroup namespace of the host's shows: its own group is bound instead."""
    map_users(bundle, (Map(0, 0, 65536),)).namespace("cgroup", f"/proc/{os.getpid()}/ns/cgroup")
    bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "nodev", "noexec")
    words = [
        "report",
        "--",
        "cat",
        "/sys/fs/cgroup/cgroup.procs",
        "--",
        "mkdir",
        "/sys/fs/cgroup/x",
    ]
    with UnifiedBox(bundle.inside(*words)) as box:
        outcome = box.run(check=True)
    mount = outcome.facts.mount("/sys/fs/cgroup")
    assert (mount.kind, mount.root) == ("cgroup2", f"/{box.id}")
    assert outcome.lines[1]["data"] == "1\n"
    assert outcome.lines[2]["errno"] == ""


def test_the_record(bundle: Bundle) -> None:
    with UnifiedBox(bundle) as box:
        box.create()
        kept = json.loads((box.root / box.id / "state.json").read_text())["cgroup"]
    assert kept == {"mode": "v2", "groups": {"": ["/sys/fs/cgroup", f"/{box.id}", 1]}}


def test_exec_where_the_init_has_gone(bundle: Bundle) -> None:
    """A group that hands controllers down takes no processes (systemd in a container makes it so)."""
    assert UNIFIED is not None
    available = (UNIFIED / "cgroup.controllers").read_text().split()
    domain = [name for name in ("memory", "hugetlb", "io") if name in available]
    if not domain:
        pytest.skip("v1 holds every controller of this host that makes a group refuse processes")
    with UnifiedBox(bundle.inside("pause")) as box:
        box.create()
        box.start()
        box.expect("pause")
        (box.group / "init.scope").mkdir()
        (box.group / "init.scope/cgroup.procs").write_text(str(box.pid))
        (box.group / "cgroup.subtree_control").write_text("+" + domain[0])
        outcome = box.call("exec", box.id, "/inside", "report", check=True)
        assert outcome.facts.cgroups[""] == f"/{box.id}/init.scope"
        (box.group / "other").mkdir()
        outcome = box.call("exec", "--cgroup", "other", box.id, "/inside", "report", check=True)
        assert outcome.facts.cgroups[""] == f"/{box.id}/other"
        outcome = box.call("exec", "--cgroup", "../x", box.id, "/inside", "report")
        assert outcome.code == 255 and "is not a sub cgroup path" in outcome.err
