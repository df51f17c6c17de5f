"""How a test says what must hold: each claim that does not hold raises with what was wanted and what was found."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.lib import leaks
from tests.lib.box import Box, Outcome


class Failed(AssertionError):
    """A statement of the specification does not hold."""

    def __init__(self, what: str, found: Any = None, wanted: Any = None) -> None:
        super().__init__(what)
        self.what, self.found, self.wanted = what, found, wanted


class Skipped(Exception):
    """This host has not what the statement is about."""


def skip(reason: str) -> None:
    raise Skipped(reason)


def equal(found: Any, wanted: Any, what: str) -> None:
    if found != wanted:
        raise Failed(what, found, wanted)


def differs(found: Any, other: Any, what: str) -> None:
    if found == other:
        raise Failed(what, found, "something else")


def holds(condition: object, what: str, found: Any = None) -> None:
    if not condition:
        raise Failed(what, found)


def includes(found: Iterable[Any], wanted: Iterable[Any], what: str) -> None:
    missing = set(wanted) - set(found)
    if missing:
        raise Failed(f"{what}: {sorted(map(str, missing))} missing", sorted(map(str, found)))


def excludes(found: Iterable[Any], unwanted: Iterable[Any], what: str) -> None:
    present = set(unwanted) & set(found)
    if present:
        raise Failed(f"{what}: {sorted(map(str, present))} present", sorted(map(str, found)))


def succeeded(outcome: Outcome, what: str) -> None:
    if outcome.code != 0:
        raise Failed(what, str(outcome), "exit status 0")


def failed(outcome: Outcome, what: str) -> None:
    """An operation that MUST generate an error: our interface is the exit status."""
    if outcome.code == 0:
        raise Failed(what, str(outcome), "another exit status than 0")


def absent(box: Box) -> None:
    """The runtime knows no container of that id."""
    failed(box.call("state", box.id), "a container is there that should not be")


def not_created(box: Box, what: str) -> Outcome:
    """`create` MUST generate an error and MUST NOT create a container. Returns how it ended."""
    outcome = box.create(check=False)
    failed(outcome, f"create: {what}")
    absent(box)
    return outcome


def not_started(box: Box, what: str) -> None:
    """For properties of `process`, which runtime.md allows to be applied by `start`: one of the two must fail, and the
    program must not run; its first line of output would tell."""
    outcome = box.create(check=False)
    if outcome.code == 0:
        failed(box.start(check=False), f"create and start: {what}")
        box.wait()
    else:
        absent(box)
    equal(box.lines, [], f"the program ran: {what}")


def nothing_new(before: leaks.Host, what: str) -> None:
    """The host is as it was; the descriptors are our own ends of pipes."""
    lines = leaks.settled(before)
    equal([line for line in lines if not line.startswith("new in fds")], [], what)
