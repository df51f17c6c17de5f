"""process.ioPriority: the I/O class and priority of the process (config.md, Linux process; ioprio_set(2))."""

from __future__ import annotations

import pytest

from tests.lib.box import refused, report
from tests.lib.bundle import Bundle
from tests.lib.exec_calls import attached, process_file, running
from tests.lib.exec_calls import report as exec_report
from tests.lib.ordinary_user import Person, PersonBox, rootless

pytestmark = pytest.mark.covers("process.ioPriority.class", "process.ioPriority.priority")

CLASSES = {"RT": 1, "BE": 2, "IDLE": 3}


def prioritised(bundle: Bundle, name: str, level: int) -> Bundle:
    return bundle.set("process.ioPriority", {"class": f"IOPRIO_CLASS_{name}", "priority": level})


def value(name: str, level: int) -> int:
    return CLASSES[name] << 13 | level


@pytest.mark.parametrize(("name", "level"), [("RT", 0), ("RT", 7), ("BE", 6), ("IDLE", 4)])
@pytest.mark.parametrize("kind", ["bundle", "mapped"])
def test_class_and_priority(
    request: pytest.FixtureRequest, kind: str, name: str, level: int
) -> None:
    """The real-time class also in a user namespace, which has no right to it."""
    bundle = prioritised(request.getfixturevalue(kind), name, level).namespace("time")
    assert report(bundle).ioprio == value(name, level)


@pytest.mark.parametrize("level", [-1, 8])
def test_a_priority_that_is_none(bundle: Bundle, level: int) -> None:
    assert "/process/ioPriority/priority" in refused(prioritised(bundle, "BE", level))


def test_a_class_that_is_none(bundle: Bundle) -> None:
    assert "/process/ioPriority/class" in refused(prioritised(bundle, "NONE", 0))


@pytest.mark.parametrize("kind", ["bundle", "mapped"])
def test_a_late_process_has_the_containers(request: pytest.FixtureRequest, kind: str) -> None:
    """R-20: in each way to ask for one, unless it says otherwise."""
    with running(prioritised(request.getfixturevalue(kind), "RT", 3)) as box:
        assert exec_report(box).ioprio == value("RT", 3)
        process = {"args": ["/inside", "report"], "cwd": "/", "env": ["PATH=/bin"]}
        outcome = attached(box, "--process", process_file(box, process), "ID")
        assert outcome.code == 0 and outcome.facts.ioprio == value("RT", 3), str(outcome)
        own = process | {"ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 1}}
        outcome = attached(box, "--process", process_file(box, own), "ID")
        assert outcome.code == 0 and outcome.facts.ioprio == value("BE", 1), str(outcome)


@pytest.mark.parametrize(("name", "level"), [("BE", 7), ("IDLE", 1)])
def test_an_ordinary_user(person: Person, name: str, level: int) -> None:
    bundle = prioritised(person.bundle(), name, level)
    with PersonBox(rootless(bundle, person, person.maps), person) as box:
        assert box.run(check=True).facts.ioprio == value(name, level)


def test_an_ordinary_user_has_no_real_time_class(person: Person) -> None:
    bundle = prioritised(person.bundle(), "RT", 3)
    with PersonBox(rootless(bundle, person, person.maps), person) as box:
        outcome = box.run()
        assert outcome.code == 1 and len(outcome.errors) == 1, str(outcome)
        assert "IOPRIO_CLASS_RT 3 (/process/ioPriority): operation not permitted" in outcome.err
