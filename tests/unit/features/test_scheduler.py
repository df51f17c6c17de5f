"""process.scheduler as data: the struct the kernel reads, who sets it, and what makes no sense."""

from __future__ import annotations

from typing import Any

import pytest

from pyruntime.errors import KernelError, SpecError, StepError
from pyruntime.features import scheduler
from pyruntime.kernel import calls
from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.plan.step import CLONE, SYNC
from tests.lib.plans import BASE, executed, findings, planned, site, spec, words

POINTER = "/process/scheduler"
MAPS = [{"containerID": 0, "hostID": 1000, "size": 1}]
USER = [*BASE["linux"]["namespaces"], {"type": "user"}]
TIMES = {"runtime": 10_000_000, "deadline": 20_000_000, "period": 30_000_000}


def document(policy: str, **members: Any) -> dict[str, Any]:
    return spec(process__scheduler={"policy": policy, **members})


def mapped(policy: str, **members: Any) -> dict[str, Any]:
    made = document(policy, **members)
    made["linux"] |= {"namespaces": USER, "uidMappings": MAPS, "gidMappings": MAPS}
    return made


def fields(raw: bytes) -> dict[str, int]:
    """By the offsets of struct sched_attr (sched_setattr(2)), not by the encoder's own table."""
    at = {"size": (0, 4), "policy": (4, 4), "flags": (8, 8), "nice": (16, 4), "priority": (20, 4),
          "runtime": (24, 8), "deadline": (32, 8), "period": (40, 8), "util_min": (48, 4), "util_max": (52, 4)}  # fmt: skip
    return {
        name: int.from_bytes(raw[start : start + size], "little", signed=name == "nice")
        for name, (start, size) in at.items()
    }


def set_by_init(made: dict[str, Any], **facts: Any) -> dict[str, int]:
    (call,) = planned(made, **facts).calls(POINTER, moments.SCHEDULER)
    assert (call[0], call[1], call[3]) == ("sched_setattr", 0, 0)
    return fields(call[2])


def test_what_is_not_given_is_zero() -> None:
    found = set_by_init(document("SCHED_OTHER"))
    assert found.pop("size") == 56
    assert set(found.values()) == {0}


@pytest.mark.parametrize(
    ("policy", "number", "members"),
    [
        ("SCHED_OTHER", 0, {"nice": -20}),
        ("SCHED_BATCH", 3, {"nice": 19}),
        ("SCHED_IDLE", 5, {}),
        ("SCHED_FIFO", 1, {"priority": 1}),
        ("SCHED_RR", 2, {"priority": 99, "nice": 7}),
        ("SCHED_DEADLINE", 6, TIMES),
    ],
)
def test_every_policy(policy: str, number: int, members: dict[str, int]) -> None:
    made = document(policy, **members)
    assert findings(made) == {}
    assert set_by_init(made).items() >= {"policy": number, **members}.items()


def test_every_flag_is_a_bit_of_its_own() -> None:
    assert sorted(scheduler.FLAGS.values()) == [1 << bit for bit in range(7)]
    flags = ["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_KEEP_POLICY", "SCHED_FLAG_RESET_ON_FORK"]
    assert set_by_init(document("SCHED_OTHER", flags=flags))["flags"] == 0x01 | 0x08


def test_times_of_64_bits() -> None:
    largest = (1 << 63) - 1
    made = document("SCHED_DEADLINE", runtime=largest, deadline=largest, period=largest)
    assert findings(made) == {}
    assert set_by_init(made)["period"] == largest


@pytest.mark.parametrize(
    ("policy", "members", "place"),
    [
        ("SCHED_ISO", {}, "policy"),
        ("SCHED_OTHER", {"nice": 20}, "nice"),
        ("SCHED_BATCH", {"nice": -21}, "nice"),
        ("SCHED_IDLE", {"nice": 20}, "nice"),
        ("SCHED_OTHER", {"priority": 1}, "priority"),
        ("SCHED_DEADLINE", {**TIMES, "priority": 1}, "priority"),
        ("SCHED_FIFO", {}, "priority"),
        ("SCHED_FIFO", {"priority": 100}, "priority"),
        ("SCHED_RR", {"priority": -1}, "priority"),
        ("SCHED_OTHER", {"runtime": 1}, "runtime"),
        ("SCHED_FIFO", {"priority": 1, "deadline": 1}, "deadline"),
        ("SCHED_BATCH", {"period": 1}, "period"),
        ("SCHED_DEADLINE", {}, "runtime"),
        ("SCHED_DEADLINE", {"runtime": 1023, "deadline": 4096}, "runtime"),
        ("SCHED_DEADLINE", {"runtime": 2048, "deadline": 2047}, "runtime"),
        ("SCHED_DEADLINE", {"runtime": 2048, "deadline": 4096, "period": 4095}, "deadline"),
        ("SCHED_DEADLINE", {"runtime": 2048, "deadline": 4096, "period": 1 << 63}, "period"),
    ],
)
def test_what_makes_no_sense(policy: str, members: dict[str, int], place: str) -> None:
    assert list(findings(document(policy, **members))) == [f"{POINTER}/{place}"]


def test_without_a_period_it_is_the_deadline() -> None:
    assert findings(document("SCHED_DEADLINE", runtime=2048, deadline=4096)) == {}


def test_nice_means_nothing_to_the_others_and_is_let_be() -> None:
    assert findings(document("SCHED_FIFO", priority=5, nice=100)) == {}


def test_by_the_host_where_a_user_namespace_took_the_right() -> None:
    plan = planned(mapped("SCHED_FIFO", priority=5))
    (step,) = plan.of(POINTER)
    assert [op[0] for op in step.ops] == [SYNC] and step.run is not None
    clone = next(one for one in plan.steps if any(op[0] == CLONE for op in one.ops))
    assert clone.moment < step.moment


@pytest.mark.parametrize("made", [document("SCHED_IDLE"), mapped("SCHED_IDLE")])
def test_by_the_init_where_the_host_may_no_more(made: dict[str, Any]) -> None:
    assert set_by_init(made, may_nice=False)["policy"] == lib.SCHED_IDLE


def test_an_exec_sets_it_after_its_clone() -> None:
    made = document("SCHED_BATCH", nice=4)
    steps = [step for step in executed(made) if step.pointer == POINTER]
    assert [step.moment for step in steps] == [moments.SCHEDULER]
    assert words(steps[0].ops[0])[0] == "sched_setattr"
    assert moments.LATE_CLONE < moments.SCHEDULER < moments.SECCOMP


def hooked(*flags: str) -> dict[str, Any]:
    made = document("SCHED_DEADLINE", **TIMES, flags=list(flags))
    made["hooks"] = {"startContainer": [{"path": "/bin/true"}]}
    return made


def test_a_process_under_a_deadline_runs_no_hooks() -> None:
    with pytest.raises(SpecError, match="/process/scheduler/flags"):
        planned(hooked())
    assert planned(hooked("SCHED_FLAG_RESET_ON_FORK")).of(POINTER)
    assert [step for step in executed(hooked()) if step.pointer == POINTER], "exec has no hooks"


def failed(policy: str, number: int, **facts: Any) -> StepError:
    members = TIMES if policy == "SCHED_DEADLINE" else {}
    (step,) = planned(document(policy, **members), **facts).of(POINTER)
    assert step.failure is not None
    error = step.failure(number, b"")
    assert isinstance(error, StepError) and error.pointer == POINTER and error.errno == number
    assert "/process/scheduler" in error.message and "\n" not in error.message
    return error


def test_why_it_failed() -> None:
    error = failed("SCHED_DEADLINE", 1)
    assert error.message == (
        "set the scheduler SCHED_DEADLINE, which needs every CPU: process scheduler can't be used together with AllowedCPUs"
        " (/process/scheduler): operation not permitted"
    )
    assert "realtimeRuntime" in str(failed("SCHED_FIFO", 1).hint)
    assert "CAP_SYS_NICE" in str(failed("SCHED_OTHER", 1, may_nice=False).hint)
    assert "bandwidth" in str(failed("SCHED_DEADLINE", 16).hint)
    assert "period_min" in str(failed("SCHED_DEADLINE", 22).hint)
    assert "UCLAMP" in str(failed("SCHED_OTHER", 95).hint)
    assert failed("SCHED_OTHER", 22).hint is None


def test_the_hosts_call(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, bytes]] = []

    def refuse(pid: int, attributes: bytes) -> None:
        asked.append((pid, attributes))
        raise KernelError(1, "sched_setattr")

    monkeypatch.setattr(calls, "sched_setattr", refuse)
    (step,) = planned(mapped("SCHED_RR", priority=9)).of(POINTER)
    host = type("Host", (), {"pid": 4321})()
    assert step.run is not None
    with pytest.raises(
        StepError, match=r"SCHED_RR \(/process/scheduler\): operation not permitted"
    ):
        step.run(host)
    ((pid, attributes),) = asked
    assert pid == 4321 and fields(attributes)["priority"] == 9


def test_facts_of_a_site() -> None:
    assert site().may_nice
