"""process.ioPriority as data."""

from __future__ import annotations

from typing import Any

import pytest

from pyruntime.errors import StepError
from pyruntime.plan import moments
from pyruntime.plan.step import CLONE
from tests.lib.plans import BASE, Plan, executed, findings, planned, spec, words

POINTER = "/process/ioPriority"
MAPS = [{"containerID": 0, "hostID": 1000, "size": 1}]
USER = [*BASE["linux"]["namespaces"], {"type": "user"}]
NUMBERS = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}


def document(name: str, **members: int) -> dict[str, Any]:
    return spec(process__ioPriority={"class": name, **members})


def mapped(name: str) -> Plan:
    made = document(name, priority=2)
    made["linux"] |= {"namespaces": USER, "uidMappings": MAPS, "gidMappings": MAPS}
    return planned(made)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("level", [0, 7])
def test_class_and_priority(name: str, level: int) -> None:
    """The process alone (IOPRIO_WHO_PROCESS is 1); the class stands above 13 bits (ioprio_set(2))."""
    made = document(name, priority=level)
    assert findings(made) == {}
    wanted = [("ioprio_set", 1, 0, NUMBERS[name] << 13 | level)]
    assert planned(made).calls(POINTER, moments.EXECUTION) == wanted


def test_no_priority_is_the_highest() -> None:
    assert planned(document("IOPRIO_CLASS_BE")).calls(POINTER) == [("ioprio_set", 1, 0, 2 << 13)]


@pytest.mark.parametrize("level", [-1, 8])
def test_the_range(level: int) -> None:
    assert list(findings(document("IOPRIO_CLASS_BE", priority=level))) == [f"{POINTER}/priority"]


def test_real_time_is_taken_before_the_right_to_it_goes() -> None:
    plan = mapped("IOPRIO_CLASS_RT")
    (step,) = plan.of(POINTER)
    assert step.moment < moments.USER_NAMESPACE
    clone = next(one for one in plan.steps if any(op[0] == CLONE for op in one.ops))
    assert step.moment < clone.moment, "the clone inherits it"
    (step,) = mapped("IOPRIO_CLASS_BE").of(POINTER)
    assert step.moment == moments.EXECUTION


def test_of_an_exec() -> None:
    steps = [step for step in executed(document("IOPRIO_CLASS_IDLE")) if step.pointer == POINTER]
    assert [words(op) for step in steps for op in step.ops] == [("ioprio_set", 1, 0, 3 << 13)]


def test_why_it_failed() -> None:
    (step,) = planned(document("IOPRIO_CLASS_RT", priority=3)).of(POINTER)
    assert step.failure is not None
    error = step.failure(1, b"")
    assert isinstance(error, StepError) and "CAP_SYS_NICE" in str(error.hint)
    assert error.message == (
        "set the I/O priority IOPRIO_CLASS_RT 3 (/process/ioPriority): operation not permitted"
    )
