"""process.scheduler: policy, nice value, priority and deadline as the program finds them (config.md, Linux process).

On cgroup v1 a group may have real-time bandwidth only if it is given some: linux.resources.cpu.realtimeRuntime.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.lib.box import Box, refused, report
from tests.lib.bundle import Bundle
from tests.lib.exec_calls import attached, process_file, running
from tests.lib.exec_calls import refused as exec_refused
from tests.lib.exec_calls import report as exec_report
from tests.lib.facts import Facts
from tests.lib.namespaces import Keeper
from tests.lib.ordinary_user import Person, PersonBox, rootless

pytestmark = pytest.mark.covers(
    "process.scheduler.policy",
    "process.scheduler.nice",
    "process.scheduler.priority",
    "process.scheduler.flags",
    "process.scheduler.runtime",
    "process.scheduler.deadline",
    "process.scheduler.period",
)

NUMBERS = {"SCHED_OTHER": 0, "SCHED_FIFO": 1, "SCHED_RR": 2, "SCHED_BATCH": 3, "SCHED_IDLE": 5, "SCHED_DEADLINE": 6}  # fmt: skip
TIMES = {"runtime": 1_000_000, "deadline": 50_000_000, "period": 100_000_000}
RESET = "SCHED_FLAG_RESET_ON_FORK"
BANDWIDTH = {"realtimeRuntime": 20_000, "realtimePeriod": 1_000_000}
DIVIDED = Path("/sys/fs/cgroup/cpu/cpu.rt_runtime_us")
POLICIES: list[tuple[str, dict[str, int]]] = [
    ("SCHED_OTHER", {"nice": -20}),
    ("SCHED_BATCH", {"nice": 19}),
    ("SCHED_IDLE", {}),
    ("SCHED_FIFO", {"priority": 1}),
    ("SCHED_RR", {"priority": 99}),
    ("SCHED_DEADLINE", TIMES),
]


def scheduled(bundle: Bundle, policy: str, **members: Any) -> Bundle:
    """With real-time bandwidth, where groups divide it."""
    if DIVIDED.exists():
        bundle.set("linux.resources.cpu", BANDWIDTH)
    return bundle.set("process.scheduler", {"policy": policy, **members})


def seen(facts: Facts) -> dict[str, int]:
    found = dict(facts.scheduler)
    if found["policy"] != NUMBERS["SCHED_DEADLINE"]:
        found["runtime"] = 0  # a slice of the kernel's choice, since Linux 6.12
    return found


def wanted(policy: str, **members: int) -> dict[str, int]:
    zero = dict.fromkeys(("flags", "nice", "priority", "runtime", "deadline", "period"), 0)
    return {**zero, "policy": NUMBERS[policy], **members}


@pytest.mark.parametrize(("policy", "members"), POLICIES)
@pytest.mark.parametrize("kind", ["bundle", "mapped"])
def test_policies(
    request: pytest.FixtureRequest, kind: str, policy: str, members: dict[str, int]
) -> None:
    """In the host's user namespace and in one of the container's own, where root has no right to most of it."""
    bundle = scheduled(request.getfixturevalue(kind), policy, **members)
    assert seen(report(bundle)) == wanted(policy, **members)


@pytest.mark.parametrize("kind", ["bundle", "mapped"])
def test_as_an_ordinary_user_of_the_container(request: pytest.FixtureRequest, kind: str) -> None:
    bundle = scheduled(request.getfixturevalue(kind), "SCHED_RR", priority=7)
    facts = report(bundle.set("process.user", {"uid": 1000, "gid": 1000}))
    assert seen(facts) == wanted("SCHED_RR", priority=7)
    assert facts.uid == [1000] * 3


def test_in_a_user_namespace_of_others(mapped: Bundle) -> None:
    with Keeper("user") as keeper:
        mapped.namespace("user", keeper.path("user"))
        facts = report(scheduled(mapped, "SCHED_FIFO", priority=3))
        assert facts.namespaces["user"] == keeper.inode("user")
    assert seen(facts) == wanted("SCHED_FIFO", priority=3)


@pytest.mark.parametrize("kind", ["bundle", "mapped"])
@pytest.mark.parametrize("policy", ["SCHED_BATCH", "SCHED_DEADLINE"])
def test_a_flag_that_no_clone_inherits(
    request: pytest.FixtureRequest, kind: str, policy: str
) -> None:
    """And a time namespace, which is one more reason to clone."""
    bundle = request.getfixturevalue(kind).namespace("time")
    times = TIMES if policy == "SCHED_DEADLINE" else {}
    facts = report(scheduled(bundle, policy, flags=[RESET], **times))
    assert seen(facts) == wanted(policy, flags=1, **times)


@pytest.mark.skipif(os.cpu_count() == 1, reason="one CPU is every CPU")
def test_a_deadline_does_not_go_with_a_cpuset(bundle: Bundle) -> None:
    scheduled(bundle, "SCHED_DEADLINE", **TIMES).set("linux.resources.cpu", {"cpus": "0"})
    message = refused(bundle)
    assert (
        "set the scheduler SCHED_DEADLINE, which needs every CPU: process scheduler can't be used together with AllowedCPUs"
        " (/process/scheduler): operation not permitted" in message
    )


@pytest.mark.skipif(not DIVIDED.exists(), reason="groups have no real-time bandwidth of their own")
def test_a_group_without_real_time_bandwidth(bundle: Bundle) -> None:
    message = refused(bundle.set("process.scheduler", {"policy": "SCHED_FIFO", "priority": 1}))
    assert "SCHED_FIFO (/process/scheduler): operation not permitted" in message
    assert "linux.resources.cpu.realtimeRuntime" in message


@pytest.mark.parametrize(
    ("scheduler", "place"),
    [
        ({"policy": "SCHED_ISO"}, "policy"),
        ({"policy": "SCHED_OTHER", "nice": 20}, "nice"),
        ({"policy": "SCHED_OTHER", "priority": 3}, "priority"),
        ({"policy": "SCHED_FIFO"}, "priority"),
        ({"policy": "SCHED_BATCH", "runtime": 5}, "runtime"),
        ({"policy": "SCHED_DEADLINE", **TIMES, "period": 1}, "deadline"),
        ({"policy": "SCHED_BATCH", "flags": ["SCHED_FLAG_NONE"]}, "flags/0"),
    ],
)
def test_what_makes_no_sense_is_refused(
    bundle: Bundle, scheduler: dict[str, Any], place: str
) -> None:
    assert f"/process/scheduler/{place}" in refused(bundle.set("process.scheduler", scheduler))


def test_hooks_of_a_process_under_a_deadline(bundle: Bundle) -> None:
    """startContainer hooks are run by the process, which may not fork unless it passes nothing on."""
    bundle.hook("startContainer", "/inside", "exit", "0")
    assert "/process/scheduler/flags" in refused(scheduled(bundle, "SCHED_DEADLINE", **TIMES))
    facts = report(scheduled(bundle, "SCHED_DEADLINE", **TIMES, flags=[RESET]))
    assert seen(facts) == wanted("SCHED_DEADLINE", **TIMES, flags=1)


def test_other_hooks_run_before(bundle: Bundle) -> None:
    bundle.hook("createContainer", "/bin/true").hook("createRuntime", "/bin/true")
    assert seen(report(scheduled(bundle, "SCHED_DEADLINE", **TIMES)))["policy"] == 6


# Processes that join


@pytest.mark.parametrize("kind", ["bundle", "mapped"])
def test_a_late_process_has_the_containers(request: pytest.FixtureRequest, kind: str) -> None:
    """R-20: in each way to ask for one, unless it says otherwise."""
    bundle = scheduled(request.getfixturevalue(kind), "SCHED_RR", priority=5)
    with running(bundle) as box:
        assert seen(exec_report(box)) == wanted("SCHED_RR", priority=5)
        process = {"args": ["/inside", "report"], "cwd": "/", "env": ["PATH=/bin"]}
        outcome = attached(box, "--process", process_file(box, process), "ID")
        assert outcome.code == 0, str(outcome)
        assert seen(outcome.facts) == wanted("SCHED_RR", priority=5)
        process["scheduler"] = {"policy": "SCHED_DEADLINE", **TIMES, "flags": [RESET]}
        outcome = attached(box, "--process", process_file(box, process), "ID")
        assert outcome.code == 0, str(outcome)
        assert seen(outcome.facts) == wanted("SCHED_DEADLINE", **TIMES, flags=1)


def test_a_late_process_that_makes_no_sense(bundle: Bundle) -> None:
    with running(bundle) as box:
        process = {"args": ["/inside"], "cwd": "/", "scheduler": {"policy": "SCHED_RR"}}
        message = exec_refused(box, "--process", process_file(box, process), "ID")
        assert "/process/scheduler/priority" in message


# Ordinary users


def test_an_ordinary_user_may_be_nice(person: Person) -> None:
    bundle = rootless(scheduled(person.bundle(), "SCHED_BATCH", nice=5), person, person.maps)
    with PersonBox(bundle.set("linux.resources", {}), person) as box:
        assert seen(box.run(check=True).facts) == wanted("SCHED_BATCH", nice=5)


@pytest.mark.parametrize(
    ("policy", "members"), [POLICIES[0], *POLICIES[3:]], ids=lambda each: str(each)[:14]
)
def test_an_ordinary_user_may_not_be_more(
    person: Person, policy: str, members: dict[str, int]
) -> None:
    bundle = scheduled(person.bundle(), policy, **members).set("linux.resources", {})
    with PersonBox(rootless(bundle, person, person.maps), person) as box:
        message = one_refusal(box)
        assert "(/process/scheduler): operation not permitted" in message
        assert "CAP_SYS_NICE in the initial user namespace" in message


def one_refusal(box: Box) -> str:
    outcome = box.run()
    assert outcome.code == 1 and outcome.out == "", str(outcome)
    assert len(outcome.errors) == 1, str(outcome)
    return outcome.message
