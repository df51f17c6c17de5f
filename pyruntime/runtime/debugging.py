"""What --debug says of a launch: each step of both sides as it is done. Imported with --debug alone."""

from __future__ import annotations

import time

from pyruntime.plan import messages, moments
from pyruntime.plan.step import SYNC, Step, builtin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from pyruntime.features.site import Site
    from pyruntime.lib.log import Log


class Timed:
    """Around a step of the host's side: logs it with its duration when it has ended, well or not."""

    def __init__(self, log: Log, step: Step) -> None:
        self.log = log
        self.what = _named(step)
        self.began = time.monotonic_ns()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        microseconds = (time.monotonic_ns() - self.began) // 1000
        outcome = "failed" if error is not None else "done"
        self.log.debug(f"host: {self.what}: {outcome} in {microseconds} us")


def traced(steps: Sequence[Step], site: Site) -> list[Step]:
    """The init's steps, each followed by one at which the init waits until we have told of it. From the seccomp filter
    on nothing is added: it may forbid what telling takes."""
    made = []
    for step in steps:
        made.append(step)
        if step.moment < moments.SECCOMP:
            ops = [builtin(SYNC, site.socket_fd, messages.TRACE)]
            made.append(Step(step.moment, step.pointer, step.text, ops))
    return made


class Trace:
    """Tells of the init's steps; the time is counted from the message before."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.before = time.monotonic_ns()

    def tell(self, step: Step, pid: int) -> None:
        now = time.monotonic_ns()
        self.log.debug(f"init {pid}: {_named(step)}: done in {(now - self.before) // 1000} us")
        self.before = time.monotonic_ns()

    def end(self, steps: Sequence[Step], pid: int) -> None:
        """The init is ready: what has followed the seccomp filter is done, too."""
        for step in steps:
            if moments.SECCOMP <= step.moment < moments.READY:
                self.log.debug(f"init {pid}: {_named(step)}: done")
        self.log.debug(f"init {pid}: ready")


def _named(step: Step) -> str:
    return f"{step.text} ({step.pointer})" if step.pointer else step.text
