"""Runs the selected tests one after the other and reports them.

Each test has a process and a mount namespace of its own, for a runtime may change the root of its caller; a
directory; an alarm besides the patience of every call; and a sweep behind it: processes that came to us, the child
subreaper, and the cgroups that bear this process's marker.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from conformance import tap
from conformance.catalogue import Case
from conformance.claims import Failed, Skipped
from conformance.known import Entry, Known, KnownError
from conformance.place import Place
from conformance.runtimes import Runtime
from conformance.tap import Result
from tests.lib import kernel, leaks
from tests.lib.hierarchies import cgroup_layout
from tests.lib.patience import scaled

LONGEST_S = 60.0
"""A test makes a few calls, each with its own patience; this bounds what waits for something else."""
SETTLING_S = 1.0


class Hung(Exception):
    """The alarm rang."""


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    def ring(_number: int, _frame: FrameType | None) -> None:
        raise Hung(f"the test was not over after {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def details_of(problem: BaseException) -> dict[str, Any]:
    if isinstance(problem, Failed):
        return {"message": problem.what, "wanted": problem.wanted, "found": problem.found}
    frame = traceback.extract_tb(problem.__traceback__)[-1]
    where = f"{Path(frame.filename).name}:{frame.lineno}"
    return {"message": f"{type(problem).__name__}: {problem}", "at": where}


def tried(run: Callable[[], None]) -> BaseException | None:
    """What a test raised."""
    try:
        with alarm(scaled(LONGEST_S)):
            run()
    except Exception as problem:
        return problem
    return None


def attempt(case: Case, directory: Path) -> Result:
    """The test itself."""
    place = Place(directory)
    started = time.monotonic()
    problem = tried(lambda: case(place))
    undone = tried(place.stack.close)
    problem = problem or undone
    if isinstance(problem, Skipped):
        return Result(case.id, tap.SKIPPED, str(problem))
    if problem is None:
        return Result(case.id, tap.PASSED)
    details = details_of(problem)
    details["statement"] = case.statement
    details["requirements"] = list(case.requirements) or None
    details["seconds"] = round(time.monotonic() - started, 1)
    return Result(case.id, tap.FAILED, details=details)


def in_child(case: Case, directory: Path, writer: int) -> None:
    """Tells the result through the pipe and ends the process."""
    try:
        kernel.unshare(kernel.CLONE_NEWNS)
        kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
        result = attempt(case, directory)
        text = json.dumps([result.status, result.reason, result.details], default=str)
        with os.fdopen(writer, "w") as pipe:
            pipe.write(text)
    finally:
        os._exit(0)


def perform(case: Case, top: Path) -> Result:
    """One test and what it leaves behind."""
    before = leaks.Host.now()
    directory = Path(tempfile.mkdtemp(prefix="test-", dir=top))
    directory.chmod(0o755)  # a mapped root must find its way to the bundle
    reader, writer = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        in_child(case, directory, writer)
    os.close(writer)
    told = ""
    with os.fdopen(reader) as pipe, suppress(Hung), alarm(scaled(3 * LONGEST_S)):
        told = pipe.read()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with alarm(scaled(LONGEST_S)):
        left = leaks.settled(before, SETTLING_S)
        leaks.sweep(before)
    shutil.rmtree(directory, ignore_errors=True)
    if not told:
        return Result(case.id, tap.FAILED, details={"message": "the test's process ended early"})
    status, reason, details = json.loads(told)
    if status == tap.FAILED:
        details["left"] = left or None
    return Result(case.id, status, reason, details)


def judged(result: Result, excuse: Entry | None) -> Result:
    """A known failure is excused; a known failure that passes is a failure of the list."""
    if excuse is None or result.status == tap.SKIPPED:
        return result
    if result.status == tap.FAILED:
        return Result(result.id, tap.KNOWN, f"{excuse.reason} ({excuse.spec})", result.details)
    if excuse.race:
        return result
    message = "passes, but is listed as known to fail"
    return Result(result.id, tap.FAILED, details={"message": message, "listed": excuse.reason})


class Tally:
    """What all tests came to."""

    def __init__(self) -> None:
        self.results: list[Result] = []

    def count(self, status: str) -> int:
        return sum(one.status == status for one in self.results)

    def __str__(self) -> str:
        statuses = (tap.PASSED, tap.FAILED, tap.KNOWN, tap.SKIPPED)
        return ", ".join(f"{status} {self.count(status)}" for status in statuses)


def complaints(tally: Tally, planned: int, cap: int | None, layout: str) -> Iterator[str]:
    """What makes the whole run a failure besides a failed test."""
    if len(tally.results) != planned:
        yield f"{planned} tests were planned and {len(tally.results)} ran"
    if not tally.count(tap.PASSED):
        yield "nothing passed"
    if cap is None:
        yield f"known.toml has no cap for the skips of layout {layout}"
    elif tally.count(tap.SKIPPED) > cap:
        yield f"{tally.count(tap.SKIPPED)} skips are more than the {cap} allowed on layout {layout}"


def run(cases: Sequence[Case], runtime: Runtime, known: Known, report: Path | None) -> int:
    """Everything; the exit status."""
    layout = cgroup_layout()
    writer, tally = tap.Writer(sys.stdout), Tally()
    try:
        there = [case.id for case in cases]
        excuses = known.excuses(runtime.name, runtime.version, layout, there)
    except KnownError as problem:
        writer.bail(str(problem))
        return 1
    planned = [case for case in cases if case.fits(layout)]
    writer.begin(len(planned), f"runtime {runtime}, cgroups {layout}")
    for group in sorted({case.group for case in cases if case not in planned}):
        writer.note(f"not planned: {group}, which is about other cgroup layouts")
    with tempfile.TemporaryDirectory(prefix="conformance-", ignore_cleanup_errors=True) as top:
        Path(top).chmod(0o755)
        for case in planned:
            result = judged(perform(case, Path(top)), excuses.get(case.id))
            tally.results.append(result)
            writer.result(result)
    writer.note(str(tally))
    problems = list(complaints(tally, len(planned), known.skips.get(layout), layout))
    for why in problems:
        writer.note(f"failed: {why}")
    if report is not None:
        rows = [one.document for one in tally.results]
        document = {"runtime": str(runtime), "layout": layout, "results": rows}
        report.write_text(json.dumps(document, default=str))
    return 1 if problems or tally.count(tap.FAILED) else 0
