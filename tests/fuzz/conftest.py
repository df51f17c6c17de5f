"""Says with which seed and for how long this session runs."""

from __future__ import annotations

import pytest

from tests.fuzz import budget


def pytest_report_header() -> str:
    return f"fuzz: FUZZ_SEED={budget.SEED} FUZZ_SECONDS={budget.SECONDS:g}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> object:
    """A failure's report names the seed, which the header may be far away from."""
    report = yield
    if report.failed:
        report.sections.append(("Seed", f"FUZZ_SEED={budget.SEED} repeats the session"))
    return report
