"""Time, seed and count of a fuzzing session.

FUZZ_SECONDS is the time of the whole session, shared out among the targets by WEIGHTS; FUZZ_SEED repeats one (it is
printed at the beginning; how far a session gets in its time is the machine's affair). What hypothesis finds it
makes small before it prints it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import hypothesis
from hypothesis import strategies as st

SECONDS = float(os.environ.get("FUZZ_SECONDS") or "90")
SEED = int(os.environ.get("FUZZ_SEED") or int.from_bytes(os.urandom(4), "little"))
ROUND = 100

WEIGHTS = {
    "agreement": 2.0, "plan": 4.0, "exec plan": 1.0, "command lines": 1.0, "users": 0.3, "signals": 0.3,
    "mount options": 0.5, "id maps": 0.5, "json bytes": 1.0, "json documents": 1.0, "json written": 0.5,
    "records": 1.0, "holdings": 0.5, "paths": 4.0, "player": 4.0, "seccomp": 1.0, "units": 0.5,
}  # fmt: skip


def share(target: str) -> float:
    """Seconds for one target."""
    return SECONDS * WEIGHTS[target] / sum(WEIGHTS.values())


def explore(target: str, strategy: st.SearchStrategy[Any], check: Callable[[Any], object]) -> int:
    """Gives `check` values until the target's time is over; how many it was."""
    end = time.monotonic() + share(target)
    count = 0

    def counted(value: Any) -> None:
        nonlocal count
        count += 1
        check(value)

    settings = hypothesis.settings(
        max_examples=ROUND,
        deadline=None,
        database=None,
        print_blob=False,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    number = 0
    while not number or time.monotonic() < end:
        seeded = hypothesis.seed(SEED + number)
        settings(seeded(hypothesis.given(strategy)(counted)))()
        number += 1
    assert count >= ROUND / 2, "a strategy that gives next to nothing proves nothing"
    print(f"{target}: {count} examples")
    return count
