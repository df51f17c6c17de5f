"""What all tests share: the markers, the rule for the nightly ones, and the table of what may be skipped."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.lib.skips import too_many

MARKERS = (
    "nightly: long counts and races; run by `make nightly`, deselected otherwise",
    "slow: takes more than a second",
    "covers(*properties): the properties of config.json this test proves",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "fails when a test is skipped for a reason that this table does not allow"
    parser.addoption("--skips", metavar="FILE", type=Path, help=text)


def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked `nightly` run only when they are asked for by -m: deselected, never skipped."""
    if "nightly" in (config.option.markexpr or ""):
        return
    left = [item for item in items if item.get_closest_marker("nightly") is not None]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    where = report.longrepr
    text = where[2] if isinstance(where, tuple) else str(where)
    return text.removeprefix("Skipped: ")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    table = session.config.option.skips
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if table is None or reporter is None:
        return
    skipped = [reason_of(report) for report in reporter.stats.get("skipped", [])]
    lines = too_many(skipped, tomllib.loads(table.read_text()))
    for line in lines:
        reporter.write_line(f"\n{table.name}: {line}", red=True)
    if lines:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
