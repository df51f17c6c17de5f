"""linux.cgroupsPath: where the groups stand, who is in them, what a container sees of them, and their removal."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lib import facts, kernel, leaks, programs
from tests.lib.box import Box, refused, run, unique_id
from tests.lib.bundle import Bundle
from tests.lib.groups import V2, below_own, group_of, hierarchies, joined, own_path, places

pytestmark = pytest.mark.covers("linux.cgroupsPath")


@pytest.fixture
def parent() -> Iterator[str]:
    """A name for parents the runtime has to make; whatever is left of them is removed."""
    name = unique_id()
    yield name
    for controller, path in hierarchies().items():
        for place in (path / name, path / below_own(controller, name)[1:]):
            for directory, _, _ in os.walk(place, topdown=False):
                os.rmdir(directory)


def test_an_absolute_path(bundle: Bundle) -> None:
    with Box(bundle.namespace("cgroup")) as box:
        box.create()
        for name, path in joined().items():
            assert str(box.pid) in (path / box.id / "cgroup.procs").read_text().split(), name
        assert set(places(box.pid).values()) == {f"/{box.id}"}


def test_seen_from_inside_without_a_cgroup_namespace(bundle: Bundle) -> None:
    with Box(bundle) as box:
        paths = box.run(check=True).facts.cgroups
        assert {paths[name] for name in joined()} == {f"/{box.id}"}


def test_the_group_is_the_top_of_a_cgroup_namespace(bundle: Bundle) -> None:
    with Box(bundle.namespace("cgroup")) as box:
        paths = box.run(check=True).facts.cgroups
        assert {paths[name] for name in joined()} == {"/"}


def test_a_nested_path_whose_parents_are_missing(bundle: Bundle, parent: str) -> None:
    with Box(bundle.set("linux.cgroupsPath", f"/{parent}/a/b/c")) as box:
        box.create()
        for path in joined().values():
            assert (path / parent / "a/b/c").is_dir()
        box.delete("--force")
        for path in joined().values():
            assert not (path / parent / "a/b/c").exists()


def test_two_containers_below_one_parent(bundle: Bundle, tmp_path: Path, parent: str) -> None:
    """The slice of a pod: the first one's delete must not take it from the second."""
    other = Bundle(tmp_path / "other").inside("pause").set("linux.cgroupsPath", f"/{parent}/two")
    with Box(other) as second:
        with Box(bundle.set("linux.cgroupsPath", f"/{parent}/one")) as first:
            first.create()
            second.create()
        for path in joined().values():
            assert (path / parent / "two").is_dir() and not (path / parent / "one").exists()


def test_a_relative_path_is_below_the_callers_cgroup(bundle: Bundle, parent: str) -> None:
    with Box(bundle.set("linux.cgroupsPath", f"{parent}/x")) as box:
        box.create()
        for name, path in places(box.pid).items():
            assert path == below_own(name, f"{parent}/x")


def test_without_a_path_it_is_the_id_below_the_callers_cgroup(bundle: Bundle) -> None:
    with Box(bundle.set("linux.cgroupsPath", None)) as box:
        box.create()
        for name, path in places(box.pid).items():
            assert path == below_own(name, box.id)


@pytest.mark.parametrize("path", ["/../{id}", "/a/../../{id}", "/./{id}", "//{id}"])
def test_dots_do_not_climb(bundle: Bundle, path: str) -> None:
    """R-37: cleaned as runc does, or refused; never a directory above the hierarchy's top."""
    with Box(bundle) as box:
        bundle.set("linux.cgroupsPath", path.format(id=box.id))
        outcome = box.create(check=False)
        assert outcome.code in (0, 1)
        if outcome.code == 0:
            assert set(places(box.pid).values()) == {f"/{box.id}"}


def test_a_relative_path_does_not_climb(bundle: Bundle) -> None:
    with Box(bundle) as box:
        bundle.set("linux.cgroupsPath", f"../../../{box.id}")
        if box.create(check=False).code == 0:
            for name, path in places(box.pid).items():
                assert path.startswith(os.path.dirname(own_path(name)) if V2 else own_path(name))


def test_removed_everywhere_with_what_the_container_made(bundle: Bundle) -> None:
    """A payload with a writable cgroup mount makes groups of its own below; delete takes them too."""
    bundle.namespace("cgroup").mount("/sys/fs/cgroup", "cgroup", "cgroup", "rw").privileged()
    own = "/sys/fs/cgroup" if V2 else "/sys/fs/cgroup/pids"
    bundle.inside("mkdir", f"{own}/sub", "--", "mkdir", f"{own}/sub/deep", "--", "pause")
    with Box(bundle) as box:
        box.create()
        box.start()
        box.expect("pause")
        assert box.lines[0]["errno"] == "" and box.lines[1]["errno"] == ""
        assert (group_of(box, "pids") / "sub/deep").is_dir()
        box.kill("KILL")
        box.wait()
        box.delete()
        assert not [path for path in leaks.marked_cgroups() if box.id in path]


def test_an_occupied_cgroup_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    with Box(Bundle(tmp_path / "first").inside("pause")) as first:
        first.create()
        message = refused(bundle.set("linux.cgroupsPath", f"/{first.id}"))
        assert "not empty" in message
        assert first.status == "created"


@pytest.mark.parametrize("options", [["ro"], ["rw"], []], ids=["ro", "rw", "default"])
@pytest.mark.parametrize("namespace", [True, False])
def test_a_cgroup_mount(bundle: Bundle, options: list[str], namespace: bool) -> None:
    """/sys/fs/cgroup shows every hierarchy; in a cgroup namespace only the container's own group as its top."""
    words = ("nosuid", "noexec", "nodev", "relatime", *options)
    bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", *words)
    with Box(bundle.set("linux.resources.pids.limit", 60)) as box:
        own = "/sys/fs/cgroup" if V2 else "/sys/fs/cgroup/pids"
        if namespace:
            bundle.namespace("cgroup")
        elif V2:
            own = f"/sys/fs/cgroup/{box.id}"
        bundle.inside(
            "report", "--", "cat", f"{own}/pids.max", "--", "write", f"{own}/pids.max", "50"
        )
        outcome = box.run()
    kinds = {
        mount.point: mount
        for mount in outcome.facts.mounts
        if mount.point.startswith("/sys/fs/cgroup")
    }
    read_only = options == ["ro"]
    if V2:
        assert [mount.kind for mount in kinds.values()] == ["cgroup2"]
        assert ("ro" in kinds["/sys/fs/cgroup"].options) == read_only
        assert {"nosuid", "noexec", "nodev"} <= kinds["/sys/fs/cgroup"].options
    else:
        assert kinds["/sys/fs/cgroup"].kind == "tmpfs"
        for path in joined().values():  # controllers mounted together have one
            assert kinds[f"/sys/fs/cgroup/{path.name}"].kind == "cgroup"
            assert ("ro" in kinds[f"/sys/fs/cgroup/{path.name}"].options) == read_only
    assert outcome.lines[1]["data"] == "60\n"
    # nsdelegate: the limits of a namespace's top are not for those within.
    writable = "EPERM" if V2 and namespace and "nsdelegate" in super_options() else ""
    assert outcome.lines[2]["errno"] == ("EROFS" if read_only else writable)


def super_options() -> set[str]:
    """Of the host's cgroup2 mount."""
    return next(set(mount.super_options) for mount in facts.own_mounts() if mount.kind == "cgroup2")


@pytest.mark.skipif(not V2, reason="on v1 a hierarchy has no options that a mount may change")
@pytest.mark.parametrize("namespace", [True, False])
def test_a_cgroup_mount_leaves_the_hosts_options_alone(bundle: Bundle, namespace: bool) -> None:
    """A mount of cgroup2 from the host's own cgroup namespace would take its nsdelegate away."""
    options = "nsdelegate,memory_recursiveprot"
    flags = kernel.MS_REMOUNT | kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    kernel.mount("none", str(hierarchies()[""]), "cgroup2", flags, options)
    before = super_options()
    assert "nsdelegate" in before
    bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro")
    if namespace:
        bundle.namespace("cgroup")
    with Box(bundle) as box:
        box.run(check=True)
    assert super_options() == before


@pytest.mark.skipif(not V2, reason="a v1 group is never given away")
@pytest.mark.parametrize(
    ("options", "private", "owner"),
    [((), True, 1234), (("rw",), True, 1234), (("ro",), True, 0), ((), False, 0)],
)
def test_whose_group_it_is(
    bundle: Bundle, options: tuple[str, ...], private: bool, owner: int
) -> None:
    """The container's user's, where it has a cgroup namespace of its own and a writable mount to use it by."""
    bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", *options).set("process.user.uid", 1234)
    if private:
        bundle.namespace("cgroup")
    with Box(bundle) as box:
        box.create()
        group = group_of(box, "")
        given = {file.name for file in group.iterdir() if file.stat().st_uid == 1234}
        assert group.stat().st_uid == owner
        named = set(Path("/sys/kernel/cgroup/delegate").read_text().split())
        assert given == ({file.name for file in group.iterdir()} & named if owner else set())


@pytest.mark.skipif(not V2, reason="v1 has files of its own in each hierarchy")
def test_a_delegated_group_can_be_used(bundle: Bundle) -> None:
    """What systemd does in a container: groups below, controllers handed down, processes moved."""
    bundle.namespace("cgroup").mount("/sys/fs/cgroup", "cgroup", "cgroup", "rw")
    bundle.set("process.user", {"uid": 1234, "gid": 1234})
    own = "/sys/fs/cgroup"
    bundle.inside(
        *["mkdir", f"{own}/init", "--", "write", f"{own}/init/cgroup.procs", "0", "--"],
        *["write", f"{own}/cgroup.subtree_control", "+pids", "--", "cat", f"{own}/init/pids.max"],
    )
    with Box(bundle) as box:
        lines = box.run(check=True).lines
    assert [line["errno"] for line in lines] == ["", "", "", ""]
    assert lines[3]["data"] == "max\n"


def test_a_foreign_cgroup_is_not_touched(bundle: Bundle) -> None:
    """Values of the group above are as before, whatever the container's are."""
    names = ["cgroup.max.depth", "cgroup.freeze"] if V2 else []
    names += ["memory.max", "cpu.weight", "cpuset.cpus", "pids.max"]
    names += ["memory.limit_in_bytes", "cpu.shares", "devices.list"]
    files = [path / own_path(name)[1:] / file for name, path in joined().items() for file in names]
    before = {file: file.read_text() for file in files if file.exists()}
    assert len(before) > 3
    limits = {"memory": {"limit": 64 << 20}, "cpu": {"shares": 100, "cpus": "0"}}
    run(bundle.set("linux.resources", limits))
    assert {file: file.read_text() for file in before} == before


def test_what_a_failed_create_cannot_give_back_stays_on_record(bundle: Bundle) -> None:
    """A group that is a mount point for the runtime, by a hook that fails: its failure is what is said, and the
    delete of somebody who does not see the mount removes the group."""
    with Box(bundle) as box:
        group = next(iter(joined().values())) / box.id
        script = f"mount --bind {group} {group} && exit 3"
        bundle.hook("createRuntime", "sh", "-c", script, path="/bin/sh").write(box.id)
        command = ["unshare", "-m", *programs.runtime_command(), "--root", str(box.root), "create"]
        command += ["--bundle", str(bundle.directory), box.id]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        said = done.stderr
        assert done.returncode == 1 and "exit status 3" in said, said
        assert "device or resource busy" in said and f"delete --force {box.id}" in said
        assert box.id in box.call("list", "-q").out
        box.delete("--force")
        assert not group.exists() and box.id not in box.call("list", "-q").out
