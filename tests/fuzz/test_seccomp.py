"""Random seccomp profiles against libseccomp: the comparison of the unit tests, for as long as there is time."""

from __future__ import annotations

import time

from tests.fuzz import budget
from tests.unit.seccomp import test_differential as differential


def test_profiles() -> None:
    end = time.monotonic() + budget.share("seccomp")
    calls = number = 0
    while not number or time.monotonic() < end:
        calls += differential.whole_profiles(budget.SEED + number, 5)
        differential.single_call(
            budget.SEED + number, 10, differential.NATIVE, differential.one_rule
        )
        number += 1
    print(f"seccomp: {number * 15} profiles, {calls} calls in whole ones")
    assert calls > 100
