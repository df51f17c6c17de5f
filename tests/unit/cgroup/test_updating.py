"""pyruntime/cgroup/updating.py: what is put back after a refusal, on ordinary files that play a group."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyruntime import errors
from pyruntime.cgroup import knob, updating
from pyruntime.cgroup.group import Cgroup, Group

V2_FILES = {
    "cgroup.controllers": "cpu memory io pids\n",
    "memory.max": "1000\n",
    "memory.swap.max": "max\n",
    "memory.low": "0\n",
    "memory.current": "500\n",
    "cpu.max": "max 100000\n",
    "cpu.weight": "100\n",
    "pids.max": "max\n",
    "io.max": "8:0 rbps=5 wbps=max riops=max wiops=max\n",
    "io.weight": "default 100\n",
    "cpuset.cpus": "\n",
}


class Kernel:
    """Takes what is written, as rows where the file has rows; one file may refuse."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place, self.refused = place, ""
        self.writes: list[tuple[str, str]] = []
        for name, text in V2_FILES.items():
            (place / name).write_text(text)
        monkeypatch.setattr(knob, "write_plain", self.write)
        monkeypatch.setattr(
            Group, "open", lambda held: os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        )
        self.cgroup = Cgroup("v2", [Group("", str(place), "/x", 1)])

    def write(self, dir_fd: int, name: str, value: str) -> None:
        self.writes.append((name, value))
        if name == self.refused:
            raise OSError(22, "invalid argument")
        path = self.place / name
        if name in updating.ROWS:
            rows = updating._rows(path.read_text())
            key, _, rest = value.partition(" ")
            if rest in (updating.ROWS[name], ""):
                rows.pop(key, None)
            else:
                rows[key] = value
            value = "\n".join(rows.values())
        path.write_text(value + "\n")

    @property
    def files(self) -> dict[str, str]:
        return {name: (self.place / name).read_text().strip() for name in V2_FILES}


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    before = set(os.listdir("/proc/self/fd"))
    yield Kernel(tmp_path, monkeypatch)
    assert set(os.listdir("/proc/self/fd")) == before


def test_what_is_asked_for_is_written(kernel: Kernel) -> None:
    updating.update(kernel.cgroup, {"memory": {"limit": 800}, "pids": {"limit": 5}}, {})
    assert kernel.files["memory.max"] == "800" and kernel.files["pids.max"] == "5"


@pytest.mark.parametrize(
    ("cpu", "written"),
    [
        ({"quota": 5000}, "5000 100000"),
        ({"period": 20000}, "max 20000"),
        ({"quota": 5000, "period": 0}, "5000 100000"),
        ({"quota": 5000, "period": 20000}, "5000 20000"),
        ({"quota": -1}, "max 100000"),
    ],
)
def test_half_of_a_pair(kernel: Kernel, cpu: dict[str, int], written: str) -> None:
    updating.update(kernel.cgroup, {"cpu": cpu}, {})
    assert kernel.files["cpu.max"] == written


@pytest.mark.parametrize("cpu", [{"quota": 5000}, {"period": 20000}, {"shares": 512}])
def test_a_group_without_the_controller(kernel: Kernel, cpu: dict[str, int]) -> None:
    """What an ordinary user has on many hosts: memory and pids alone."""
    (kernel.place / "cgroup.controllers").write_text("memory pids\n")
    for name in ("cpu.max", "cpu.weight"):
        (kernel.place / name).unlink()
    with pytest.raises(errors.UnsupportedError, match="needs the cpu controller, which"):
        updating.update(kernel.cgroup, {"cpu": cpu}, {})


THROTTLE = {
    "blockIO": {
        "weight": 500,
        "throttleReadBpsDevice": [
            {"major": 8, "minor": 0, "rate": 9},
            {"major": 8, "minor": 16, "rate": 7},
        ],
    }
}


@pytest.mark.parametrize(
    "resources",
    [
        {"memory": {"limit": 800, "reservation": 100}},
        {"cpu": {"shares": 512, "quota": 5000}},
        THROTTLE,
        {"unified": {"cpuset.cpus": "0-1"}},
    ],
    ids=["memory", "cpu", "throttles", "unified"],
)
def test_a_refusal_at_the_end_undoes_the_rest(kernel: Kernel, resources: dict[str, Any]) -> None:
    before = kernel.files
    kernel.refused = "io.foo"
    unified = {**resources.get("unified", {}), "io.foo": "1"}
    with pytest.raises(errors.StepError) as caught:
        updating.update(kernel.cgroup, {**resources, "unified": unified}, {})
    assert "io.foo" in caught.value.message
    assert len(kernel.writes) > 1
    assert kernel.files == before


def test_what_will_not_go_back_is_told(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = kernel.write

    def stubborn(dir_fd: int, name: str, value: str) -> None:
        if name == "pids.max" and value == "max":
            raise OSError(16, "busy")
        whole(dir_fd, name, value)

    monkeypatch.setattr(knob, "write_plain", stubborn)
    kernel.refused = "memory.max"
    with pytest.raises(errors.StepError) as caught:
        updating.update(kernel.cgroup, {"memory": {"limit": 800}, "pids": {"limit": 5}}, {})
    assert caught.value.hint == "these could not be put back: pids.max"


def test_a_limit_below_what_is_used(kernel: Kernel) -> None:
    memory = {"limit": 400, "checkBeforeUpdate": True}
    with pytest.raises(errors.StepError, match="unable to set memory limit to 400"):
        updating.update(kernel.cgroup, {"memory": memory}, {})
    assert kernel.writes == []


def test_a_controller_the_group_does_not_have(kernel: Kernel) -> None:
    with pytest.raises(errors.UnsupportedError, match="needs the hugetlb controller"):
        updating.update(kernel.cgroup, {"hugepageLimits": [{"pageSize": "2MB", "limit": 1}]}, {})


def test_ways_back() -> None:
    assert updating._way_back("memory.oom_control", "oom_kill_disable 0\nunder_oom 0", "") == ["0"]
    assert updating._way_back("pids.max", "5", "6") == ["5"]
    assert updating._way_back("cpuset.cpus", "", "0") == ["\n"]
    rows = updating._way_back("blkio.throttle.read_bps_device", "8:0 5", "8:0 6\n8:16 7")
    assert rows == ["8:16 0", "8:0 5"]
