"""Namespaces, root, hooks, cgroups as data: what stands on the host's side and what on the init's."""

from __future__ import annotations

import os
import posix
from typing import Any

import pytest

from pyruntime.errors import PyruntimeError
from pyruntime.features import namespaces
from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.plan.step import accepted
from tests.lib.plans import BASE, Plan, findings, planned, site, spec, without_namespace, words

KINDS = {
    "pid": 0x20000000,
    "network": 0x40000000,
    "mount": 0x20000,
    "ipc": 0x8000000,
    "uts": 0x4000000,
}


def spaces(*entries: Any) -> dict[str, Any]:
    listed = [entry if isinstance(entry, dict) else {"type": entry} for entry in entries]
    return spec(linux__namespaces=listed)


@pytest.mark.parametrize("kind", KINDS)
def test_new_namespaces_come_with_the_clone(kind: str) -> None:
    plan = planned(spaces(kind))
    assert namespaces.clone_flags(plan.site) == KINDS[kind]


def test_all_of_them_at_once() -> None:
    assert namespaces.clone_flags(planned().site) == sum(KINDS.values())
    assert namespaces.clone_flags(planned(spaces()).site) == 0


def test_the_cgroup_namespace_waits_for_the_cgroups() -> None:
    plan = planned(spaces("cgroup"))
    assert namespaces.clone_flags(plan.site) == 0
    assert plan.named("/linux/namespaces/0", "unshare") == [(0x2000000,)]


@pytest.mark.parametrize("kind", ["network", "mount", "ipc", "uts", "cgroup"])
def test_a_joined_namespace_is_entered_by_descriptor(kind: str) -> None:
    plan = planned(spaces({"type": kind, "path": "/proc/1/ns/x"}))
    assert namespaces.clone_flags(plan.site) == 0
    assert "SOURCES" in [moments.NAMES[step.moment] for step in plan.of("/linux/namespaces/0")]
    call = plan.named("/linux/namespaces/0", "setns")[0]
    assert isinstance(call[0], int) and call[1] == namespaces.FLAGS[kind]


class Taker:
    """A host that is handed descriptors."""

    def __init__(self) -> None:
        self.fds: list[int] = []

    def __enter__(self) -> Taker:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in self.fds:
            os.close(fd)

    def give(self, number: int, fd: int) -> None:
        self.fds.append(fd)


def opening(plan: Plan) -> Any:
    return next(step.run for step in plan.at(moments.SOURCES) if "mount namespace" in step.text)


def test_the_hosts_own_mount_namespace_is_not_joined() -> None:
    """pivot_root there would move every process of the machine into the container."""
    plan = planned(spaces({"type": "mount", "path": "/proc/self/ns/mnt"}))
    with Taker() as host, pytest.raises(PyruntimeError, match="is the mount namespace of the host"):
        opening(plan)(host)


def test_nor_the_one_of_the_first_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the runtime itself is in a private one."""
    real = posix.stat

    def stat(path: Any, **more: Any) -> Any:
        return real("/proc/self/ns/mnt" if path == "/proc/1/ns/mnt" else "/", **more)

    monkeypatch.setattr(posix, "stat", stat)
    plan = planned(spaces({"type": "mount", "path": "/proc/self/ns/mnt"}))
    with Taker() as host, pytest.raises(PyruntimeError, match="is the mount namespace of the host"):
        opening(plan)(host)


def test_the_loopback_comes_up_in_a_new_network() -> None:
    assert planned(spaces("network")).at(moments.LOOPBACK)
    assert not planned(spaces({"type": "network", "path": "/n"})).at(moments.LOOPBACK)


def names(plan: Plan, moment: int) -> list[Any]:
    return [words(op)[:2] for step in plan.at(moment) for op in step.ops]


MAPS = {"linux__uidMappings": [{"containerID": 5, "hostID": 9, "size": 3}]}


@pytest.mark.parametrize("entry", ["user", "time", {"type": "pid", "path": "/p"}])
def test_what_the_clone_cannot_make_is_entered_by_the_init(entry: Any) -> None:
    plan = planned(spaces(entry, "uts", "mount"))
    assert plan.site.staged and namespaces.clone_flags(plan.site) == 0
    assert names(plan, moments.NEW_NAMESPACES) == [("unshare", lib.CLONE_NEWUTS | lib.CLONE_NEWNS)]
    assert bool(plan.at(moments.CLONE)) == (entry != "user")
    assert not planned(spaces("pid", "uts")).site.staged


def test_only_a_clone_is_in_a_new_pid_namespace() -> None:
    clone = planned(spaces("user", "pid")).at(moments.CLONE)[0].ops[0]
    assert words(clone) == ("CLONE", 4, lib.CLONE_NEWPID)
    assert words(planned(spaces({"type": "pid", "path": "/p"})).at(moments.CLONE)[0].ops[0])[2] == 0


def test_a_user_namespace_comes_before_what_it_shall_own_and_after_what_it_may_not_enter() -> None:
    plan = planned(spaces("user", {"type": "network", "path": "/n"}, "uts"))
    order = [name for name in plan.moments if name in ("JOIN", "USER_NAMESPACE", "NEW_NAMESPACES")]
    assert order == ["JOIN", "USER_NAMESPACE", "NEW_NAMESPACES"]
    assert plan.at(moments.JOIN)[0].ops[0][3] == accepted(
        (1,)
    )  # tried again as the namespace's root


def test_a_joined_cgroup_namespace_is_entered_while_we_may() -> None:
    plan = planned(spaces("user", {"type": "cgroup", "path": "/c"}))
    assert plan.moments.index("JOIN_CGROUP") < plan.moments.index("JOIN")
    assert ("setns", plan.site.first_fd + 5) in names(plan, moments.JOIN)


@pytest.mark.parametrize(("number", "hinted"), [(12, True), (11, False)])
def test_a_pid_namespace_without_processes_takes_none(number: int, hinted: bool) -> None:
    """ENOMEM alone leads nobody to the cause (clone(2))."""
    step = planned(spaces({"type": "pid", "path": "/p"})).at(moments.CLONE)[0]
    assert step.failure is not None
    problem = step.failure(number, b"")
    assert isinstance(problem, PyruntimeError) and "/linux/namespaces" in str(problem)
    assert bool(problem.hint) == hinted


@pytest.mark.parametrize("user", [False, True])
def test_dumpable_only_while_an_ordinary_user_writes_the_maps(user: bool) -> None:
    plan = planned(spec(linux__namespaces=[{"type": "user"}], **MAPS), unprivileged_user=user)
    calls = names(plan, moments.USER_NAMESPACE)
    assert (("prctl", lib.PR_SET_DUMPABLE) in calls) == user
    assert ("prctl", lib.PR_SET_DUMPABLE) in names(plan, moments.NAMESPACE_ROOT)
    assert ("setresuid", 5) in names(plan, moments.NAMESPACE_ROOT)


def test_a_joined_user_namespace_is_never_entered_dumpable() -> None:
    plan = planned(spaces({"type": "user", "path": "/u"}), unprivileged_user=True)
    ones = [
        op for step in plan.steps for op in step.ops if words(op)[-2:] == (lib.PR_SET_DUMPABLE, 1)
    ]
    assert not ones


@pytest.mark.parametrize(
    ("entries", "pointer"),
    [
        (["uts", "uts"], "/linux/namespaces/1"),
        ([{"type": "uts", "path": "rel"}], "/linux/namespaces/0/path"),
    ],
)
def test_rules_of_namespaces(entries: list[Any], pointer: str) -> None:
    assert pointer in findings(spaces(*entries))


# Root


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        (None, lib.MS_SLAVE, None),
        ("slave", lib.MS_SLAVE, None),
        ("rslave", lib.MS_SLAVE, None),
        ("private", lib.MS_PRIVATE, None),
        ("rprivate", lib.MS_PRIVATE, None),
        ("shared", lib.MS_SLAVE, lib.MS_SHARED),
        ("rshared", lib.MS_SLAVE, lib.MS_SHARED | lib.MS_REC),
        ("unbindable", lib.MS_SLAVE, lib.MS_UNBINDABLE),
        ("runbindable", lib.MS_SLAVE, lib.MS_UNBINDABLE | lib.MS_REC),
    ],
)
def test_propagation_of_the_root(asked: str | None, first: int, last: int | None) -> None:
    plan = planned(spec(**({"linux__rootfsPropagation": asked} if asked else {})))
    before = [words(op) for step in plan.at(moments.PROPAGATION) for op in step.ops]
    after = [words(op) for step in plan.at(moments.ROOT_PROPAGATION) for op in step.ops]
    assert before == [("mount", 0, "/", 0, first | lib.MS_REC, 0)]
    assert after == ([] if last is None else [("mount", 0, "/", 0, last, 0)])


def test_a_read_only_root() -> None:
    plan = planned(spec(root={"path": "rootfs", "readonly": True}))
    assert plan.named("/root/readonly", "mount_setattr")[0][3] == (1, 0, 0, 0)
    assert not planned().at(moments.LATE_READONLY)


def test_pivot_or_move() -> None:
    assert planned().named("/root/path", "pivot_root") == [(".", ".")]
    moved = planned(no_pivot=True)
    assert not moved.named("/root/path", "pivot_root")
    assert moved.named("/root/path", "chroot") == [(".",)]
    joined = planned(spaces({"type": "mount", "path": "/n"}), no_pivot=True, root_places=["/a"])
    assert [call[0] for call in joined.named("/root/path", "umount2")] == ["/proc", "/sys"]


def test_an_initramfs_is_left_through_a_copy() -> None:
    """What is mounted on it is detached while its names still lead there."""
    facts = {"root_alone": True, "root_places": ["/proc", "/sys"]}
    plan = planned(**facts)
    copy = [name for name, *_ in names(plan, moments.PROPAGATION)]
    assert copy[1:9] == "openat open_tree move_mount umount2 JUMP mount umount2 JUMP".split()
    assert copy[-5:] == "fchdir chroot chdir close close".split()
    assert plan.named("/root/path", "pivot_root") == [(".", ".")]


def test_an_initramfs_beneath_a_user_namespace() -> None:
    """The copy is entered before, so that what the kernel puts into the new mount table is locked."""
    facts = {"root_alone": True, "root_places": ["/proc"]}
    document = spaces("user", "mount")
    document["linux"] |= {name: [{"containerID": 0, "hostID": 9, "size": 3}] for name in
                          ("uidMappings", "gidMappings")}  # fmt: skip
    early = [name for name, *_ in names(planned(document, **facts), moments.JOIN)]
    assert early[:3] == ["unshare", "mount", "openat"] and "chroot" in early
    ordinary = planned(document, **facts, privileged=False)
    assert not ordinary.at(moments.JOIN)
    assert ("chroot", ".") in names(ordinary, moments.PROPAGATION)


def test_without_a_mount_namespace_there_is_a_chroot() -> None:
    plan = planned(spec(linux__namespaces=without_namespace("mount")))
    assert [call[0] for call in plan.calls("/root/path")] == ["fchdir", "chroot", "chdir"]
    assert not plan.at(moments.PROPAGATION)


@pytest.mark.parametrize("name", ["maskedPaths", "readonlyPaths"])
def test_what_needs_a_mount_namespace(name: str) -> None:
    document = spec(linux__namespaces=without_namespace("mount"))
    document["linux"][name] = ["/proc/kcore"]
    assert f"/linux/{name}" in findings(document)


@pytest.mark.parametrize("root", [None, {"path": ""}, {"path": "a\0b"}])
def test_no_root(root: Any) -> None:
    assert findings(spec(root=root))


# Names


def test_names() -> None:
    plan = planned(spec(hostname="wéb", domainname="x" * 64))
    assert plan.calls("/hostname") == [("sethostname", "wéb".encode(), 4)]
    assert plan.calls("/domainname") == [("setdomainname", b"x" * 64, 64)]


@pytest.mark.parametrize("value", ["x" * 65, "é" * 33, "a\0b"])
@pytest.mark.parametrize("name", ["hostname", "domainname"])
def test_rules_of_names(name: str, value: str) -> None:
    assert f"/{name}" in findings(spec(**{name: value}))
    assert f"/{name}" in findings(spec(**{name: "a"}, linux__namespaces=without_namespace("uts")))


# Hooks


def hooked(kind: str, **members: Any) -> dict[str, Any]:
    return spec(hooks={kind: [{"path": "/bin/hook", **members}]})


def request(kind: str, **members: Any) -> tuple[Any, ...]:
    call = planned(hooked(kind, **members)).named(f"/hooks/{kind}/0", "HOOK")[0]
    block: tuple[Any, ...] = call[0]
    return block


@pytest.mark.parametrize("kind", ["createContainer", "startContainer"])
def test_hooks_of_the_container_side(kind: str) -> None:
    path, argv, env, state, length, timeout = request(kind, args=["a", "b"], env=["X=1"], timeout=3)
    assert (path, argv, env, length, timeout) == ("/bin/hook", ("a", "b", 0), ("X=1", 0), 0, 3000)
    assert not state.strip(b"\0"), "filled by the host when the pid is known"


@pytest.mark.parametrize("seconds", [1 << 54, 1 << 60, 10**20 - 1])
def test_a_timeout_beyond_the_clock_is_the_longest_there_is(seconds: int) -> None:
    assert request("createContainer", timeout=seconds)[5] == min(seconds * 1000, (1 << 62) - 1)


def test_defaults_of_a_hook() -> None:
    assert request("createContainer")[1:3] == (("/bin/hook", 0), (0,))
    assert request("createContainer", env=[])[2] == (0,)
    inherited = request("startContainer")[2]
    assert inherited[:-2] == tuple(BASE["process"]["env"]) and inherited[-1] == 0  # HOME between
    assert request("startContainer", env=[])[2] == (0,)


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer", "startContainer"])
def test_the_host_and_the_init_meet_once(kind: str) -> None:
    steps = planned(hooked(kind)).at(moments.HOOKS_RUNTIME)
    assert len(steps) == 1
    assert [words(op) for op in steps[0].ops] == [("SYNC", site().socket_fd, ord("S"))]


def test_no_hooks_no_meeting() -> None:
    for document in (
        spec(),
        hooked("poststart"),
        hooked("poststop"),
        spec(hooks={}),
        spec(hooks={"prestart": []}),
    ):
        assert not planned(document).at(moments.HOOKS_RUNTIME)


@pytest.mark.parametrize(
    "kind", ["prestart", "createContainer", "startContainer", "poststart", "poststop"]
)
@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"path": "bin/x"}, "/path"),
        ({"path": ""}, "/path"),
        ({"path": "/a\0"}, "/path"),
        ({"timeout": 0}, "/timeout"),
        ({"timeout": -1}, "/timeout"),
        ({"args": ["a", "\0"]}, "/args/1"),
        ({"env": ["\0"]}, "/env/0"),
    ],
)
def test_rules_of_hooks(kind: str, members: dict[str, Any], place: str) -> None:
    assert set(findings(hooked(kind, **members))) == {f"/hooks/{kind}/0{place}"}


# Cgroups


def test_groups_are_joined_by_the_init() -> None:
    plan = planned()
    joins = [words(op) for step in plan.at(moments.JOIN_CGROUP) for op in step.ops]
    assert [call[0] for call in joins] == ["write", "close"] * 3
    assert all(call[2:] == ("0", 1) for call in joins if call[0] == "write")
    assert plan.site.cgroup_relative == {
        "memory": "/web",
        "cpu,cpuacct": "/web",
        "name=systemd": "/web",
    }


def test_the_unified_group_is_joined_by_the_clone() -> None:
    assert not [op for step in planned(v2=True).at(moments.JOIN_CGROUP) for op in step.ops]


@pytest.mark.parametrize("path", ["/..", "../x", "/a/../..", "/", "/a\nb", "/" + "x" * 256])
def test_a_path_that_climbs_is_refused(path: str) -> None:
    with pytest.raises(PyruntimeError, match="cgroupsPath"):
        planned(spec(linux__cgroupsPath=path))


@pytest.mark.parametrize(
    ("name", "value"),
    [("maskedPaths", ["/a"]), ("readonlyPaths", ["/a"]), ("rootfsPropagation", "slave")],
)
def test_what_needs_mounts_of_its_own(name: str, value: Any) -> None:
    document = spec(linux__namespaces=without_namespace("mount"))
    document["linux"][name] = value
    assert set(findings(document)) == {f"/linux/{name}"}


def test_a_user_namespace_may_not_mount_for_the_host() -> None:
    rest = without_namespace("mount")
    document = spec(linux__namespaces=[*rest, {"type": "user"}], root__readonly=True)
    document["linux"]["devices"] = [{"path": "/a", "type": "p"}]
    document["mounts"] = [{"destination": "/a", "type": "tmpfs"}]
    assert {"/root/readonly", "/mounts", "/linux/devices"} <= set(findings(document))
