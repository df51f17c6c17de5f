"""How long a test waits before it calls something hung: $PATIENCE times as long as on an ordinary machine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

FACTOR = float(os.environ.get("PATIENCE") or "1")


def scaled(seconds: float) -> float:
    """What takes that long on an ordinary machine may take so long on this one."""
    return seconds * FACTOR


def deadline(seconds: float) -> float:
    """The moment of the monotonic clock that many scaled seconds from now."""
    return time.monotonic() + scaled(seconds)


def since(begun: float) -> float:
    """Seconds an ordinary machine would have taken since that moment of the monotonic clock."""
    return (time.monotonic() - begun) / FACTOR


def cpu_time(action: Callable[[], object], times: int = 10) -> float:
    """The least processor time in seconds of so many runs: a busy machine and a collection of garbage do not count."""
    found = []
    for _ in range(times):
        begun = time.process_time()
        action()
        found.append(time.process_time() - begun)
    return min(found)
