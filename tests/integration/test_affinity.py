"""CPU affinity: reset for every process, unless process.execCPUAffinity chooses CPUs for a late one (config.md, Linux
process; security: R-24)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lib.box import refused, report
from tests.lib.bundle import Bundle
from tests.lib.exec_calls import attached, process_file, running
from tests.lib.exec_calls import refused as exec_refused
from tests.lib.exec_calls import report as exec_report

pytestmark = [
    pytest.mark.covers("process.execCPUAffinity.initial", "process.execCPUAffinity.final"),
    pytest.mark.skipif(os.cpu_count() == 1, reason="one CPU leaves no choice"),
]

CPUS = sorted(os.sched_getaffinity(0))
FIRST, LAST = CPUS[0], CPUS[-1]


def bound_to(cpu: int) -> Callable[[], None]:
    return lambda: os.sched_setaffinity(0, {cpu})


def forgets() -> bool:
    major, minor = Path("/proc/sys/kernel/osrelease").read_text().split(".")[:2]
    return (int(major), int(minor)) < (6, 2)


def chosen(bundle: Bundle, **lists: str) -> Bundle:
    return bundle.set("process.execCPUAffinity", lists)


@pytest.mark.parametrize("kind", ["bundle", "mapped"])
def test_the_callers_is_not_the_containers(request: pytest.FixtureRequest, kind: str) -> None:
    bundle = chosen(request.getfixturevalue(kind), initial=str(FIRST), final=str(FIRST))
    assert report(bundle, prepare=bound_to(LAST)).affinity == CPUS


def test_a_cpuset_decides(bundle: Bundle) -> None:
    bundle.set("linux.resources", {"cpu": {"cpus": str(LAST)}})
    assert report(bundle, prepare=bound_to(FIRST)).affinity == [LAST]


def test_without_a_choice_a_late_one_is_reset_too(bundle: Bundle) -> None:
    with running(bundle) as box:
        box.prepare = bound_to(LAST)
        assert exec_report(box).affinity == CPUS


@pytest.mark.parametrize("kind", ["bundle", "mapped"])
def test_final(request: pytest.FixtureRequest, kind: str) -> None:
    with running(chosen(request.getfixturevalue(kind), final=str(LAST))) as box:
        assert exec_report(box).affinity == [LAST]


def test_initial_and_final(bundle: Bundle) -> None:
    with running(chosen(bundle, initial=str(FIRST), final=f"{LAST}")) as box:
        assert exec_report(box).affinity == [LAST]


def test_initial_alone_stays_unless_the_groups_say_otherwise(bundle: Bundle) -> None:
    """Before Linux 6.2 a cpuset set the affinity of whoever joined it."""
    with running(chosen(bundle, initial=str(FIRST))) as box:
        assert exec_report(box).affinity == (CPUS if forgets() else [FIRST])
        process = {
            "args": ["/inside", "report"],
            "cwd": "/",
            "execCPUAffinity": {"final": f"{LAST}"},
        }
        outcome = attached(box, "--process", process_file(box, process), "ID")
        assert outcome.code == 0 and outcome.facts.affinity == [LAST], str(outcome)


def test_a_process_file_that_chooses_none_has_the_configs(bundle: Bundle) -> None:
    with running(chosen(bundle, final=str(LAST))) as box:
        process = {"args": ["/inside", "report"], "cwd": "/"}
        outcome = attached(box, "--process", process_file(box, process), "ID")
        assert outcome.code == 0 and outcome.facts.affinity == [LAST], str(outcome)


def test_cpus_outside_the_cpuset(bundle: Bundle) -> None:
    bundle.set("linux.resources", {"cpu": {"cpus": str(FIRST)}})
    with running(chosen(bundle, final=str(LAST))) as box:
        message = exec_refused(box, "ID", "/inside", "report")
        assert (
            f"run on the CPUs {LAST} (/process/execCPUAffinity/final): invalid argument" in message
        )
        assert "cpuset" in message


@pytest.mark.parametrize("name", ["initial", "final"])
def test_cpus_that_are_not_there(bundle: Bundle, name: str) -> None:
    with running(chosen(bundle, **{name: "8000"})) as box:
        message = exec_refused(box, "ID", "/inside", "report")
        assert f"(/process/execCPUAffinity/{name}): invalid argument" in message


@pytest.mark.parametrize("lists", [{"initial": "0-"}, {"final": "1-0"}, {"final": "x"}])
def test_what_is_no_list_is_refused(bundle: Bundle, lists: dict[str, Any]) -> None:
    assert "/process/execCPUAffinity/" in refused(chosen(bundle, **lists))
