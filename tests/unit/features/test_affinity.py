"""process.execCPUAffinity as data: of late processes alone."""

from __future__ import annotations

import posix
from typing import Any

import pytest

from pyruntime.errors import StepError
from pyruntime.plan import moments
from pyruntime.plan.step import Step
from tests.lib.plans import executed, findings, planned, spec, words

POINTER = "/process/execCPUAffinity"


def document(**lists: str) -> dict[str, Any]:
    return spec(process__execCPUAffinity=lists)


def affinities(steps: list[Step]) -> list[tuple[int, bytes]]:
    """(moment, mask) of every change of affinity by the init."""
    found = [(step.moment, words(op)) for step in steps for op in step.ops]
    return [(moment, call[3]) for moment, call in found if call[0] == "sched_setaffinity"]


EVERY = (moments.EXECUTION, b"\xff" * 1024)


@pytest.mark.parametrize(
    "made", [spec(), document(), document(initial="0", final="0"), document(initial="", final=" ")]
)
def test_the_first_process_gets_every_cpu(made: dict[str, Any]) -> None:
    assert affinities(planned(made).steps) == [EVERY]


@pytest.mark.parametrize("made", [spec(), document(), document(initial="", final=" ")])
def test_without_a_choice_so_does_a_late_one(made: dict[str, Any]) -> None:
    assert affinities(executed(made)) == [EVERY]


def test_final_is_set_once_the_groups_are_joined() -> None:
    steps = executed(document(final="1,64"))
    mask = (1 << 1 | 1 << 64).to_bytes(16, "little")
    assert affinities(steps) == [(moments.JOIN_CGROUP, mask)]
    joins = [step.pointer for step in steps if step.moment == moments.JOIN_CGROUP]
    assert joins == ["/linux/cgroupsPath", f"{POINTER}/final"]


def test_initial_alone_leaves_the_rest_to_the_kernel() -> None:
    steps = executed(document(initial="1"))
    assert affinities(steps) == []
    (step,) = [step for step in steps if step.pointer == f"{POINTER}/initial"]
    assert step.moment < moments.SPAWN and not step.ops


@pytest.mark.parametrize("text", ["0-", "1,,2", "3-1", " - "])
@pytest.mark.parametrize("name", ["initial", "final"])
def test_what_is_no_list(name: str, text: str) -> None:
    assert list(findings(document(**{name: text}))) == [f"{POINTER}/{name}"]


class FakeHost:
    def __init__(self) -> None:
        self.undo: list[Any] = []
        self.spawned: list[Any] = []

    def push(self, undo: Any) -> None:
        self.undo.append(undo)

    def after_spawn(self, restore: Any) -> None:
        self.spawned.append(restore)


def initial_step(cpus: str) -> Step:
    return next(
        step for step in executed(document(initial=cpus)) if step.run and "CPUs" in step.text
    )


def test_initial_is_the_runtimes_own_for_the_clone() -> None:
    before = posix.sched_getaffinity(0)
    host, step, first = FakeHost(), initial_step(str(min(before))), min(before)
    assert step.run is not None
    step.run(host)
    assert posix.sched_getaffinity(0) == {first}
    assert host.undo == host.spawned, "whether the clone succeeds or not"
    host.spawned[0]()
    assert posix.sched_getaffinity(0) == before


def test_cpus_that_are_not_there() -> None:
    step = initial_step("8191")
    assert step.run is not None
    with pytest.raises(StepError, match=r"execCPUAffinity/initial\): invalid argument") as caught:
        step.run(FakeHost())
    assert "cpuset" in str(caught.value.hint)
    (final,) = [
        each for each in executed(document(final="8191")) if each.pointer.endswith("/final")
    ]
    assert final.failure is not None
    error = final.failure(22, b"")
    assert str(error) == f"run on the CPUs 8191 ({POINTER}/final): invalid argument"
