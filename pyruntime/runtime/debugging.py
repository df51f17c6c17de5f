"""What --debug says of a launch. Imported with --debug alone: no other call pays for it."""

from __future__ import annotations

import time

from pyruntime.plan import moments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from pyruntime.lib.log import Log
    from pyruntime.plan.step import Step

AFTER_READY = (moments.HOOKS_START, moments.EXEC)


class Timed:
    """A step of the host's side: told with its duration when it has ended, well or not."""

    def __init__(self, log: Log, text: str, pointer: str) -> None:
        self.log = log
        self.what = f"{text} ({pointer})" if pointer else text
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


def tell_of_the_init(log: Log, steps: Sequence[Step], pid: int) -> None:
    """The init has carried out all of its plan but what follows `start`."""
    for step in steps:
        if step.moment not in AFTER_READY:
            log.debug(f"init {pid}: {step.text}" + (f" ({step.pointer})" if step.pointer else ""))
    log.debug(f"init {pid}: ready")
