"""The master order: every moment is used, on the side the table says, and steps keep their features' order."""

from __future__ import annotations

from typing import Any

import pytest

from pyruntime.plan import moments
from pyruntime.plan.step import SYNC
from tests.lib.plans import Plan, executed, planned, site, spec, words

HOOK = {"path": "/bin/true"}
SECCOMP = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "listenerPath": "/agent",
    "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}],
}
RICH: dict[str, Any] = {
    "hostname": "web",
    "domainname": "example.org",
    "root": {"path": "rootfs", "readonly": True},
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "options": ["ro", "mode=755"]},
        {"destination": "/dev/pts", "type": "devpts", "options": ["newinstance"]},
        {"destination": "/data", "source": "/srv", "options": ["rbind", "ro"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["ro"]},
    ],
    "hooks": {
        kind: [HOOK] for kind in ("prestart", "createRuntime", "createContainer", "startContainer")
    },
    "process": {
        "user": {"uid": 1000, "gid": 1000, "additionalGids": [5], "umask": 0o77},
        "args": ["sh"],
        "cwd": "/w",
        "terminal": True,
        "consoleSize": {"height": 25, "width": 80},
        "oomScoreAdj": 5,
        "scheduler": {"policy": "SCHED_BATCH", "nice": 5},
        "ioPriority": {"class": "IOPRIO_CLASS_RT", "priority": 3},
        "apparmorProfile": "web",
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}],
        "capabilities": {"bounding": ["CAP_CHOWN"]},
        "env": ["A=b"],
    },
    "linux__sysctl": {"net.core.somaxconn": "5"},
    "linux__maskedPaths": ["/proc/kcore"],
    "linux__readonlyPaths": ["/proc/sys"],
    "linux__rootfsPropagation": "shared",
    "linux__devices": [{"path": "/dev/x", "type": "c", "major": 10, "minor": 229}],
    "linux__seccomp": SECCOMP,
    "linux__resources": {"pids": {"limit": 5}},
    "linux__memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0"},
    "linux__intelRdt": {"closID": "gold"},
    "linux__netDevices": {"eth0": {}},
}
KINDS = ("pid", "network", "ipc", "uts", "mount", "cgroup")


def rich(*, no_new_privileges: bool = False, **facts: Any) -> Plan:
    document = spec(**RICH, linux__namespaces=[{"type": kind} for kind in KINDS])
    document["process"]["noNewPrivileges"] = no_new_privileges
    return planned(document, apparmor=True, **facts)


def other_plans() -> list[Plan]:
    """What the rich one cannot have at the same time."""
    joined = [{"type": "mount"}, {"type": "network", "path": "/n"}, {"type": "uts", "path": "/u"}]
    return [
        rich(),
        rich(no_new_privileges=True),
        rich(no_pivot=True),
        rich(inline=True, preserve_fds=3),
        rich(v2=True),
        planned(spec(linux__namespaces=joined)),
        planned(spec(linux__namespaces=[])),
        planned(),
        planned(
            spec(linux__namespaces=[*joined, {"type": "user", "path": "/p"}, {"type": "time"}])
        ),
        in_user_namespace(),
        in_user_namespace(privileged=False, unprivileged_user=True),
    ]


def in_user_namespace(**facts: Any) -> Plan:
    document = spec(**RICH, linux__namespaces=[{"type": kind} for kind in (*KINDS, "user", "time")])
    maps = [{"containerID": 0, "hostID": 1000, "size": 65536}]
    document["linux"] |= {"uidMappings": maps, "gidMappings": maps}
    document["linux"]["timeOffsets"] = {"monotonic": {"secs": 5, "nanosecs": 0}}
    return planned(document, apparmor=True, **facts)


CONDUCTED = {
    "SPAWN": "the clone itself",
    "READY": "the record `created`",
}
"""Moments at which the conductor of create acts; no feature has a step there."""


def test_every_moment_is_used() -> None:
    used = {name for plan in other_plans() for name in plan.moments}
    used |= {moments.NAMES[step.moment] for step in executed(spec(process__terminal=True))}
    assert set(moments.NAMES) - used == set(CONDUCTED)


def test_exec_appears_in_the_container_with_nothing_of_the_host() -> None:
    """CVE-2016-9962: swept first, cloned then; the session is the clone's."""
    order = [step.moment for step in executed(spec(process__terminal=True))]
    assert moments.CLONE not in order and moments.SESSION in order  # the keyring
    assert moments.SWEEP < moments.LATE_CLONE < moments.LATE_SESSION < moments.SCHEDULER
    assert moments.SCHEDULER < moments.CREDENTIALS
    late = [
        step
        for step in executed(spec(process__terminal=True))
        if step.moment == moments.LATE_SESSION
    ]
    assert [words(step.ops[0])[0] for step in late] == ["setsid", "ioctl"]


def test_the_names_are_their_places() -> None:
    assert [getattr(moments, name) for name in moments.NAMES] == list(range(len(moments.TABLE)))
    assert len(set(moments.NAMES)) == len(moments.NAMES)
    assert all(why and why[-1] != "." for _, _, why in moments.TABLE)


@pytest.mark.parametrize("plan", other_plans(), ids=range(11))
def test_each_side_acts_at_its_moments(plan: Plan) -> None:
    for step in plan.steps:
        side = moments.SIDES[step.moment]
        assert (step.run is not None) == (side == "host") or side == "both", step.text
        if side == "host":
            assert not step.ops, step.text
        if side == "both" and step.run is not None:
            assert step.ops[-1][0] == SYNC, step.text  # the init asks, the host answers


@pytest.mark.parametrize("plan", other_plans(), ids=range(11))
def test_the_order_is_that_of_the_table(plan: Plan) -> None:
    numbers = [step.moment for step in plan.steps]
    assert numbers == sorted(numbers)


def test_steps_of_a_moment_keep_their_order() -> None:
    mounts = [
        {"destination": f"/{n}", "type": "tmpfs", "options": ["ro"] * (n % 2)} for n in range(20)
    ]
    plan = planned(spec(mounts=mounts))
    assert [step.pointer for step in plan.at(moments.MOUNT)] == [f"/mounts/{n}" for n in range(20)]
    late = [step.pointer for step in plan.at(moments.LATE_READONLY)]
    assert late == [f"/mounts/{n}" for n in range(1, 20, 2)]


def test_the_same_document_gives_the_same_tape() -> None:
    assert rich().tape() == rich().tape()


def resolves(document: Any, pointer: str) -> bool:
    here = document
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(here, list):
            if not name.isdigit() or int(name) >= len(here):
                return False
            here = here[int(name)]
        elif name in here:
            here = here[name]
        else:
            return False
    return True


DEFAULTS = {
    "/linux/rootfsPropagation": "slave unless the document says otherwise",
    "/linux/devices": "the default devices",
    "/linux/cgroupsPath": "the id unless the document says otherwise",
    "/process/capabilities": "none unless the document says otherwise",
    "/process/capabilities/bounding": "empty unless the document says otherwise",
    "/process/user/additionalGids": "none unless the document says otherwise",
    "/process/user/umask": "022 unless the document says otherwise",
    "/process/env": "HOME is found where the document gives none",
}
"""Properties that have an effect when they are absent."""


@pytest.mark.parametrize("plan", other_plans(), ids=range(11))
def test_every_step_names_what_asked_for_it(plan: Plan) -> None:
    for step in plan.steps:
        assert step.text
        assert not step.pointer or step.pointer[0] == "/"
        assert resolves(plan.spec, step.pointer) or step.pointer in DEFAULTS, step.pointer


@pytest.mark.parametrize("plan", other_plans(), ids=range(11))
def test_the_tape_of_a_plan_is_playable(plan: Plan) -> None:
    """The decoder applies the init's own checks; the last thing a tape does is the exec."""
    tape = plan.tape()
    assert tape.instructions[-1].name == "EXEC"
    assert {entry.step for entry in tape.instructions} == set(
        range(tape.instructions[-1].step + 1)
    ), "a step of the init that does nothing"


def before(plan: Plan, first: str, second: str) -> bool:
    """All steps at one moment stand before all at the other."""
    names = plan.moments
    return max(n for n, name in enumerate(names) if name == first) < names.index(second)


ORDERS = [
    ("CGROUP", "SOURCES"),
    ("JOIN_CGROUP", "CGROUP_NAMESPACE"),
    ("PROPAGATION", "ROOT"),
    ("PROCFS", "MOUNT"),
    ("ROOT", "MOUNT"),
    ("MOUNT", "DEVICES"),
    ("DEVICES", "HOOKS_RUNTIME"),
    ("HOOKS_RUNTIME", "HOOKS_CONTAINER"),
    ("HOOKS_CONTAINER", "PIVOT"),
    ("WORKING_DIRECTORY", "LATE_READONLY"),
    ("READONLY_PATHS", "MASKS"),
    ("MASKS", "PIVOT"),
    ("LATE_READONLY", "PIVOT"),
    ("CHECK", "PIVOT"),
    ("PIVOT", "HOME"),
    ("HOME", "SWEEP"),
    ("PIVOT", "CHDIR"),
    ("SWEEP", "CHDIR"),
    ("EXECUTION", "SCHEDULER"),
    ("SCHEDULER", "LIMITS"),
    ("LIMITS", "CREDENTIALS"),
    ("CREDENTIALS", "LOOKUP"),
    ("LOOKUP", "RELEASE"),
    ("RELEASE", "WAIT"),
    ("WAIT", "HOOKS_START"),
    ("HOOKS_START", "EXEC"),
]


@pytest.mark.parametrize(("first", "second"), ORDERS)
def test_what_must_come_first_does(first: str, second: str) -> None:
    assert before(rich(), first, second)


def test_the_filter_loads_on_the_right_side_of_the_credentials() -> None:
    early = rich()
    assert before(early, "CREDENTIALS", "SECCOMP") and before(early, "SECCOMP", "LAST_CAPABILITIES")
    late = rich(no_new_privileges=True)
    assert before(late, "NO_NEW_PRIVILEGES", "SECCOMP") and before(late, "LOOKUP", "SECCOMP")
    assert "LAST_CAPABILITIES" not in late.moments


@pytest.mark.parametrize("count", [60, 150, 1000])
def test_a_large_document_is_planned(count: int) -> None:
    """Kubernetes has pods with more than a hundred volumes."""
    mounts = [
        {"destination": f"/v/{n}", "source": f"/srv/{n}", "options": ["rbind", "ro"]}
        for n in range(count)
    ]
    plan = planned(spec(mounts=mounts, linux__maskedPaths=[f"/proc/{n}" for n in range(20)]))
    assert len(plan.tape().instructions) > count


def test_numbers_of_handed_descriptors_have_no_gaps() -> None:
    host = site(preserve_fds=2)
    plan = Plan(spec(mounts=RICH["mounts"]), host)
    assert (host.first_fd, host.socket_fd) == (5, 6)
    assert (
        len(host.handed)
        == len(set(host.handed))
        == len(plan.at(moments.JOIN_CGROUP)[0].ops) // 2 + 2
    )
