"""pyruntime/cli/update.py: flags become linux.resources."""

from __future__ import annotations

from typing import Any

import pytest

from pyruntime.cli import update
from pyruntime.cli.options import parse
from pyruntime.errors import UsageError
from pyruntime.runtime import updating


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0), ("1", 1), ("-1", -1), ("512", 512), ("1k", 1024), ("1K", 1024), ("1kb", 1024), ("1KiB", 1024),
        ("64m", 64 << 20), ("64MB", 64 << 20), ("1g", 1 << 30), ("1.5g", 3 << 29), ("0.5k", 512), ("2t", 2 << 40),
        ("1p", 1 << 50), ("10 m", 10 << 20), (".5k", 512), ("100b", 100),
    ],
)  # fmt: skip
def test_sizes(text: str, number: int) -> None:
    assert update._size("memory", text) == number


@pytest.mark.parametrize(
    "text",
    ["", "m", "1x", "-2", "-5m", "1.m", "1..5m", "1.5.5m", "1 2", "0x10", "1e3", "٣m", "9999999p", "+1", "1mm", "b"],
)  # fmt: skip
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="invalid value for memory"):
        update._size("memory", text)


def resources(*words: str) -> dict[str, Any]:
    return update._resources(parse(words, update.VERB.rows)[0])


def test_each_flag_has_its_place() -> None:
    words = [
        "--memory=1m",
        "--memory-swap=2m",
        "--memory-reservation=512k",
        "--cpu-period=5",
        "--cpu-quota=-1",
    ]
    words += [
        "--cpu-burst=6",
        "--cpu-share=7",
        "--cpu-rt-period=8",
        "--cpu-rt-runtime=9",
        "--cpu-idle=1",
    ]
    words += ["--cpuset-cpus=0-1", "--cpuset-mems=0", "--blkio-weight=10", "--pids-limit=11"]
    assert resources(*words) == {
        "memory": {"limit": 1 << 20, "swap": 2 << 20, "reservation": 1 << 19},
        "cpu": {
            "period": 5, "quota": -1, "burst": 6, "shares": 7, "realtimePeriod": 8, "realtimeRuntime": 9,
            "idle": 1, "cpus": "0-1", "mems": "0",
        },
        "blockIO": {"weight": 10},
        "pids": {"limit": 11},
    }  # fmt: skip


def test_nothing_asked_for() -> None:
    assert resources() == {}
    assert resources("--kernel-memory=5m") == {}, "accepted for old callers' sake, as by runc"


@pytest.mark.parametrize("text", ["x", "1.5", "--5", "1_0", "", " 1", "99999999999999999999"])
def test_what_is_no_number(text: str) -> None:
    if text:
        with pytest.raises(UsageError, match="invalid value for cpu-quota"):
            resources(f"--cpu-quota={text}")


@pytest.mark.parametrize("flag", ["cpu-share", "cpu-period", "cpu-burst", "blkio-weight"])
def test_what_is_never_negative(flag: str) -> None:
    with pytest.raises(UsageError, match=f"invalid value for {flag}"):
        resources(f"--{flag}=-5")


def test_merging_keeps_zeros_that_are_values() -> None:
    before = {"cpu": {"burst": 5, "idle": 1, "shares": 7}}
    wanted = {"cpu": {"burst": 0, "idle": 0, "shares": 0}}
    assert updating._merged(before, wanted) == {"cpu": {"burst": 0, "idle": 0, "shares": 7}}
    assert updating._merged({"pids": {"limit": 5}}, {"pids": {"limit": 0}}) == {
        "pids": {"limit": 0}
    }


def test_merging_leaves_alone_what_is_zero() -> None:
    before = {"cpu": {"quota": 5, "cpus": "0"}, "pids": {"limit": 3}, "devices": [1]}
    wanted = {"cpu": {"quota": 0, "period": 7}, "devices": [2], "unified": {"a.b": "1"}}
    assert updating._merged(before, wanted) == {
        "cpu": {"quota": 5, "cpus": "0", "period": 7},
        "pids": {"limit": 3},
        "devices": [2],
        "unified": {"a.b": "1"},
    }
