"""Statistics on trees of real files: v1, a mixture and v2; what is missing is missing and no failure."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pyruntime.cgroup import detect, reading, stats
from pyruntime.cgroup.group import Cgroup, Group
from pyruntime.cgroup.quick_stats import Glance, Mounts
from pyruntime.cgroup.v1 import blkio as blkio_v1
from pyruntime.cgroup.v1 import cpu as cpu_v1
from pyruntime.cgroup.v1 import cpuset as cpuset_v1
from pyruntime.cgroup.v1 import hugetlb as hugetlb_v1
from pyruntime.cgroup.v1 import memory as memory_v1
from pyruntime.cgroup.v1 import pids
from pyruntime.cgroup.v2 import cpu, hugetlb, io, memory

Tree = Callable[..., int]
MAX_V1 = 9223372036854771712
PSI = (
    "some avg10=1.50 avg60=0.20 avg300=0.00 total=4662\n"
    "full avg10=0.00 avg60=0.00 avg300=0.00 total=12\n"
)
AS_PSI = {
    "some": {"avg10": 1.5, "avg60": 0.2, "avg300": 0.0, "total": 4662},
    "full": {"avg10": 0.0, "avg60": 0.0, "avg300": 0.0, "total": 12},
}


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    """Makes a group's directory of these files."""
    opened: list[int] = []

    def make(files: Mapping[str, str]) -> int:
        directory = tmp_path / f"group{len(opened)}"
        directory.mkdir()
        fill(directory, files)
        opened.append(os.open(directory, os.O_PATH | os.O_DIRECTORY))
        return opened[-1]

    yield make
    for fd in opened:
        os.close(fd)


def fill(directory: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (directory / name).write_text(text)


EVERY: list[tuple[str, Callable[[int], Any], Any]] = [
    ("cpu", cpu_v1.stats, {}),
    ("cpuacct", cpu_v1.usage, {"total": 0, "percpu": [], "kernel": 0, "user": 0}),
    ("cpuset", cpuset_v1.stats, {"cpus": [], "mems": []}),
    ("memory", memory_v1.stats, {"raw": {}}),
    ("pids", pids.stats, {}),
    ("blkio", blkio_v1.stats, {}),
    ("hugetlb", hugetlb_v1.stats, {}),
    ("cpu 2", cpu.stats, {"usage": {"total": 0, "kernel": 0, "user": 0}, "throttling": {}}),
    ("cpuset 2", cpu.set_stats, {"cpus": [], "mems": []}),
    ("memory 2", memory.stats, {"raw": {}}),
    ("io", io.stats, {}),
    ("hugetlb 2", hugetlb.stats, {}),
]


@pytest.mark.parametrize(
    ("read", "nothing"), [row[1:] for row in EVERY], ids=[row[0] for row in EVERY]
)
def test_a_directory_without_files(tree: Tree, read: Callable[[int], Any], nothing: Any) -> None:
    assert read(tree({})) == nothing


def test_cpu_on_v1(tree: Tree) -> None:
    text = "nr_periods 7\nnr_throttled 3\nthrottled_time 123456\nnr_bursts 0\nburst_time 0\n"
    found = cpu_v1.stats(tree({"cpu.stat": text}))
    assert found == {"periods": 7, "throttledPeriods": 3, "throttledTime": 123456}


def test_cpuacct_on_v1(tree: Tree) -> None:
    files = {
        "cpuacct.usage": "6052683\n",
        "cpuacct.usage_percpu": "6052683 0 \n",
        "cpuacct.usage_all": "cpu user system\n0 11 22\n1 33 44\n",
        "cpuacct.stat": "user 3\nsystem 5\n",
    }
    tick_ns = 10**9 // os.sysconf("SC_CLK_TCK")
    assert cpu_v1.usage(tree(files)) == {
        "total": 6052683,
        "percpu": [6052683, 0],
        "percpu_kernel": [22, 44],
        "percpu_user": [11, 33],
        "kernel": 5 * tick_ns,
        "user": 3 * tick_ns,
    }


def test_cpuset_on_v1(tree: Tree) -> None:
    files = {
        "cpuset.cpus": "0-2,7\n",
        "cpuset.mems": "0\n",
        "cpuset.cpu_exclusive": "1\n",
        "cpuset.sched_relax_domain_level": "-1\n",
    }
    assert cpuset_v1.stats(tree(files)) == {
        "cpus": [0, 1, 2, 7],
        "mems": [0],
        "cpu_exclusive": 1,
        "sched_relax_domain_level": -1,
    }


def test_memory_on_v1(tree: Tree) -> None:
    files = {
        "memory.stat": "cache 4096\nrss 8192\ntotal_cache 4096\n",
        "memory.usage_in_bytes": "100\n",
        "memory.limit_in_bytes": "67108864\n",
        "memory.max_usage_in_bytes": "200\n",
        "memory.failcnt": "5\n",
        "memory.kmem.usage_in_bytes": "10\n",
        "memory.kmem.limit_in_bytes": f"{MAX_V1}\n",
    }
    assert memory_v1.stats(tree(files)) == {
        "cache": 4096,
        "usage": {"limit": 67108864, "usage": 100, "max": 200, "failcnt": 5},
        "kernel": {"limit": MAX_V1, "usage": 10},  # no swap accounting, no TCP
        "raw": {"cache": 4096, "rss": 8192, "total_cache": 4096},
    }


@pytest.mark.parametrize(
    ("limit", "more"), [("max", {}), ("77", {"limit": 77}), ("0", {"limit": 0})]
)
def test_pids(tree: Tree, limit: str, more: dict[str, int]) -> None:
    files = {"pids.current": "5\n", "pids.max": f"{limit}\n"}
    assert pids.stats(tree(files)) == {"current": 5} | more


def test_blkio_of_the_throttling_layer(tree: Tree) -> None:
    text = "254:0 Read 1449984\n254:0 Write 0\n254:0 Total 1449984\nTotal 1449984\n"
    found = blkio_v1.stats(
        tree({"blkio.throttle.io_service_bytes_recursive": text, "blkio.bfq.time_recursive": ""})
    )
    assert found == {
        "ioServiceBytesRecursive": [
            {"major": 254, "minor": 0, "op": "Read", "value": 1449984},
            {"major": 254, "minor": 0, "op": "Write", "value": 0},
            {"major": 254, "minor": 0, "op": "Total", "value": 1449984},
        ]
    }


def test_blkio_of_a_scheduler_comes_first(tree: Tree) -> None:
    files = {
        "blkio.bfq.io_serviced_recursive": "8:16 Read 3\nTotal 3\n",
        "blkio.bfq.sectors_recursive": "8:16 64\n",
        "blkio.throttle.io_serviced_recursive": "8:16 Read 9\nTotal 9\n",
    }
    assert blkio_v1.stats(tree(files)) == {
        "ioServicedRecursive": [{"major": 8, "minor": 16, "op": "Read", "value": 3}],
        "sectorsRecursive": [{"major": 8, "minor": 16, "op": "", "value": 64}],
    }


def test_hugetlb(tree: Tree) -> None:
    v1 = {
        "hugetlb.2MB.usage_in_bytes": "4194304\n",
        "hugetlb.2MB.max_usage_in_bytes": "6291456\n",
        "hugetlb.2MB.failcnt": "2\n",
        "hugetlb.2MB.rsvd.usage_in_bytes": "0\n",
        "hugetlb.1GB.usage_in_bytes": "0\n",
    }
    assert hugetlb_v1.stats(tree(v1)) == {
        "1GB": {"usage": 0},
        "2MB": {"usage": 4194304, "max": 6291456, "failcnt": 2},
    }
    v2 = {"hugetlb.2MB.current": "4194304\n", "hugetlb.2MB.events": "max 2\n"}
    assert hugetlb.stats(tree(v2)) == {"2MB": {"usage": 4194304, "failcnt": 2}}


def test_cpu_on_v2(tree: Tree) -> None:
    text = (
        "usage_usec 300\nuser_usec 100\nsystem_usec 200\nnr_periods 4\nnr_throttled 1\n"
        "throttled_usec 50\n"
    )
    assert cpu.stats(tree({"cpu.stat": text})) == {
        "usage": {"total": 300_000, "kernel": 200_000, "user": 100_000},
        "throttling": {"periods": 4, "throttledPeriods": 1, "throttledTime": 50_000},
    }
    files = {"cpuset.cpus.effective": "1,3\n", "cpuset.mems.effective": "0\n"}
    assert cpu.set_stats(tree(files)) == {"cpus": [1, 3], "mems": [0]}


def test_memory_on_v2(tree: Tree) -> None:
    files = {
        "memory.stat": "anon 1\nfile 4096\nkernel 300\nsock 20\n",
        "memory.current": "100\n",
        "memory.max": "1000\n",
        "memory.peak": "200\n",
        "memory.events": "low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\n",
        "memory.swap.current": "7\n",
        "memory.swap.max": "50\n",
        "memory.swap.events": "high 0\nmax 3\nfail 0\n",
    }
    found = memory.stats(tree(files))
    assert found["cache"] == 4096
    assert found["usage"] == {"limit": 1000, "usage": 100, "max": 200, "failcnt": 9}
    assert found["swap"] == {"limit": 1050, "usage": 107, "failcnt": 3}
    assert (found["kernel"]["usage"], found["kernelTCP"]["usage"]) == (300, 20)
    assert found["raw"] == {"anon": 1, "file": 4096, "kernel": 300, "sock": 20}


def test_memory_on_v2_without_limits(tree: Tree) -> None:
    files = {
        "memory.current": "100\n",
        "memory.max": "max\n",
        "memory.swap.current": "0\n",
        "memory.swap.max": "max\n",
    }
    found = memory.stats(tree(files))
    assert found["usage"]["limit"] == found["swap"]["limit"] == reading.NO_LIMIT


def test_io_on_v2(tree: Tree) -> None:
    text = (
        "8:16 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0 cost.usage=5\n"
        "7:0 \n"
    )
    found = io.stats(tree({"io.stat": text}))
    assert found["ioServiceBytesRecursive"][:2] == [
        {"major": 8, "minor": 16, "op": "Read", "value": 1459200},
        {"major": 8, "minor": 16, "op": "Write", "value": 314773504},
    ]
    assert [row["value"] for row in found["ioServicedRecursive"]] == [192, 353, 0]
    assert set(found) == {"ioServiceBytesRecursive", "ioServicedRecursive"}


def test_pressure(tree: Tree) -> None:
    fd = tree({"memory.pressure": PSI})
    assert reading.pressure(fd, "memory.pressure") == AS_PSI
    assert reading.pressure(fd, "cpu.pressure") is None


def test_reads_are_bounded(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LIMIT_BYTES", 100)
    with pytest.raises(OSError, match="larger than allowed"):
        reading.pairs(tree({"memory.stat": "anon 1\n" * 100}), "memory.stat")


# A whole container: hierarchies beneath mounts that are plain directories here.

V1_FILES = {
    "memory": {"memory.usage_in_bytes": "4096\n", "memory.limit_in_bytes": f"{MAX_V1}\n"},
    "cpu,cpuacct": {"cpuacct.usage": "77\n", "cpu.stat": "nr_periods 1\n"},
    "pids": {"pids.current": "2\n", "pids.max": "10\n"},
    "blkio": {"blkio.throttle.io_service_bytes_recursive": "8:0 Read 5\n8:0 Write 6\nTotal 11\n"},
}
V2_FILES = {
    "": {
        "cpu.stat": "usage_usec 8\nuser_usec 4\nsystem_usec 4\n",
        "memory.current": "4096\n",
        "memory.max": "max\n",
        "memory.stat": "file 1\n",
        "pids.current": "2\n",
        "pids.max": "10\n",
        "io.stat": "8:0 rbytes=5 wbytes=6 rios=1 wios=1\n",
        "cpu.pressure": PSI,
    }
}
PRESSURE_ALONE = {"": {"cpu.pressure": PSI, "io.pressure": PSI}}
Made = Callable[..., Cgroup]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """A cgroup of {hierarchy: files}."""
    monkeypatch.setattr(
        detect, "mounted", lambda: {str(path): path.stat().st_dev for path in tmp_path.iterdir()}
    )

    def make(mode: str, hierarchies: Mapping[str, Mapping[str, str]]) -> Cgroup:
        groups = []
        for name, files in hierarchies.items():
            mountpoint = tmp_path / (name or "unified")
            (mountpoint / "above" / "web").mkdir(parents=True)
            fill(mountpoint / "above" / "web", files)
            groups.append(Group(name, str(mountpoint), "/above/web", 1))
        return Cgroup(mode, groups)

    return make


def test_of_a_container_on_v1(made: Made) -> None:
    found = stats.stats(made("v1", V1_FILES))
    assert found["cpu"]["usage"]["total"] == 77
    assert found["cpu"]["throttling"] == {"periods": 1}
    assert found["memory"]["usage"] == {"limit": MAX_V1, "usage": 4096}
    assert found["pids"] == {"current": 2, "limit": 10}
    assert found["cpuset"] == found["hugetlb"] == {}  # not mounted
    assert "psi" not in found["cpu"]


def test_of_a_container_on_a_mixture(made: Made) -> None:
    found = stats.stats(made("hybrid", {**V1_FILES, **PRESSURE_ALONE}))
    assert found["cpu"]["usage"]["total"] == 77
    assert found["cpu"]["psi"] == found["blkio"]["psi"] == AS_PSI
    assert "psi" not in found["memory"]


def test_of_a_container_on_v2(made: Made) -> None:
    found = stats.stats(made("v2", V2_FILES))
    assert found["cpu"]["usage"] == {"total": 8000, "kernel": 4000, "user": 4000}
    assert found["cpu"]["psi"] == AS_PSI
    assert found["memory"]["cache"] == 1
    assert found["memory"]["usage"]["limit"] == reading.NO_LIMIT
    assert list(found) == ["cpu", "cpuset", "memory", "pids", "blkio", "hugetlb"]


@pytest.mark.parametrize("mode", ["v1", "hybrid", "v2"])
def test_of_one_that_is_gone(made: Made, tmp_path: Path, mode: str) -> None:
    """Nothing to tell, and no failure."""
    cgroup = made(mode, V2_FILES if mode == "v2" else V1_FILES)
    for directory in tmp_path.iterdir():
        for file in (directory / "above" / "web").iterdir():
            file.unlink()
        (directory / "above" / "web").rmdir()
    found = stats.stats(cgroup)
    assert found["memory"] == {}
    assert found["cpu"] == {"usage": {"kernel": 0, "user": 0}, "throttling": {}}
    assert found["pids"] == {}
    with Mounts() as mounts:
        assert Glance(cgroup, mounts).read() == {}


@pytest.mark.parametrize(
    ("mode", "files", "used"),
    [("v1", V1_FILES, 77), ("hybrid", {**V1_FILES, **PRESSURE_ALONE}, 77), ("v2", V2_FILES, 8000)],
)
def test_a_glance(made: Made, mode: str, files: Mapping[str, Mapping[str, str]], used: int) -> None:
    cgroup = made(mode, files)
    with Mounts() as mounts:
        glance = Glance(cgroup, mounts)
        for _ in range(2):  # what was missing is not looked for again
            found = glance.read()
            pressures = {key: found.pop(key) for key in [*found] if key.endswith("pressure")}
            assert found == {
                "cpu": used,
                "memory": 4096,
                "memory_limit": None,
                "pids": 2,
                "pids_limit": 10,
                "io": (5, 6),
            }
            assert pressures.get("cpu_pressure") == (None if mode == "v1" else 1.5)
