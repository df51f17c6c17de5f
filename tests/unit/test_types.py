"""The types are true: what does not exist is an error of the type checker, and the types agree with what is checked."""

from __future__ import annotations

import re
import subprocess
import sys
import typing
from pathlib import Path

from pyruntime.plan.record import Record
from pyruntime.runtime import store
from pyruntime.runtime.record import new_record

ROOT = Path(__file__).resolve().parents[2]
WRONG = """
from pyruntime.kernel.native import lib
from pyruntime.plan.host import HostSide
from pyruntime.plan.record import Record
from pyruntime.plan.step import Step
from pyruntime.spec.types import Config


def number() -> int:
    return lib.NR_no_such_call


def step() -> Step:
    return Step(0, "", "", run=lambda host: host.no_such_method())


def spec(config: Config) -> object:
    return config["linux"].get("resource", {}).get("memory")


def record(found: Record) -> object:
    return found["startTimes"]


def right(config: Config, found: Record, host: HostSide) -> object:
    host.give(lib.NR_openat, found["startTime"])
    return config["linux"].get("resources")
"""
FINDINGS = {
    10: '"Library" has no attribute "NR_no_such_call"',
    14: '"HostSide" has no attribute "no_such_method"',
    18: '"object" has no attribute "get"',
    22: 'has no key "startTimes"',
}


def test_mistakes_of_four_kinds_are_found(tmp_path: Path) -> None:
    """A wrong kernel constant, a missing method of the host, a misspelt property, a misspelt field of the record."""
    file = tmp_path / "wrong.py"
    file.write_text(WRONG)
    command = [sys.executable, "-m", "mypy", "--strict", "--show-error-codes", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = dict(re.findall(r"wrong\.py:(\d+): error: (.*)", done.stdout))
    assert {int(line) for line in found} == set(FINDINGS), done.stdout + done.stderr
    for line, words in FINDINGS.items():
        assert words in found[str(line)], found


def test_the_record_is_what_is_made_and_checked() -> None:
    hints = typing.get_type_hints(Record)
    made = new_record("web", "/b", "/b/rootfs", {"ociVersion": "1.3.0"}, "1.3.0")
    full = typing.get_type_hints(Record, include_extras=True)
    optional = {name for name in full if typing.get_origin(full[name]) is typing.NotRequired}
    assert set(made) == set(full) - optional
    for name, kind in store.FIELDS:
        assert (typing.get_origin(hints[name]) or hints[name]) is kind, name
        assert type(made[name]) is kind, name  # type: ignore[literal-required]
    for name in store.LATER_FIELDS:
        assert hints[name] is int, name
