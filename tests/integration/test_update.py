"""update: limits of a container that runs, by flags and by a document; all of them or none."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lib import kernel
from tests.lib.box import Box, Outcome
from tests.lib.bundle import Bundle
from tests.lib.groups import V2, chosen, read_value

MIB = 1 << 20
Files = dict[str, str]


@contextmanager
def running(bundle: Bundle, *words: str) -> Iterator[Box]:
    bundle.set("linux.cgroupsPath", None)
    with Box(bundle.inside(*(words or ("pause",)))) as box:
        bundle.set("linux.cgroupsPath", f"/{box.id}")
        box.create()
        box.start()
        yield box


def update(box: Box, *flags: str, check: bool = True) -> Outcome:
    return box.call("update", *flags, box.id, check=check)


def by_document(box: Box, document: Any, *, check: bool = True) -> Outcome:
    path = box.scratch / "resources.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return update(box, "--resources", str(path), check=check)


def values(box: Box, files: Files) -> Files:
    return {name: read_value(box, name) for name in files}


FLAGS: list[tuple[list[str], Files, Files | None]] = [
    (
        ["--memory", "64m"],
        {"memory.limit_in_bytes": str(64 * MIB)},
        {"memory.max": str(64 * MIB)},
    ),
    (["--memory", "100000k"], {"memory.limit_in_bytes": "102400000"}, {"memory.max": "102400000"}),
    (
        ["--memory-reservation", "33554432"],
        {"memory.soft_limit_in_bytes": "33554432"},
        {"memory.low": "33554432"},
    ),
    (["--cpu-share", "512"], {"cpu.shares": "512"}, {"cpu.weight": "59"}),
    (
        ["--cpu-period", "50000", "--cpu-quota", "20000"],
        {"cpu.cfs_period_us": "50000", "cpu.cfs_quota_us": "20000"},
        {"cpu.max": "20000 50000"},
    ),
    (["--cpu-quota", "30000"], {"cpu.cfs_quota_us": "30000"}, {"cpu.max": "30000 100000"}),
    (["--cpu-period", "40000"], {"cpu.cfs_period_us": "40000"}, {"cpu.max": "max 40000"}),
    (["--cpu-quota=-1"], {"cpu.cfs_quota_us": "-1"}, {"cpu.max": "max 100000"}),
    (["--cpuset-cpus", "0"], {"cpuset.cpus": "0"}, {"cpuset.cpus": "0"}),
    (["--cpuset-mems", "0"], {"cpuset.mems": "0"}, {"cpuset.mems": "0"}),
    (["--pids-limit", "42"], {"pids.max": "42"}, {"pids.max": "42"}),
    (["--pids-limit=-1"], {"pids.max": "max"}, {"pids.max": "max"}),
    (["--cpu-idle", "1"], {"cpu.idle": "1"}, {"cpu.idle": "1"}),
    (
        ["--cpu-quota", "50000", "--cpu-burst", "10000"],
        {"cpu.cfs_burst_us": "10000"},
        {"cpu.max.burst": "10000"},
    ),
]


@pytest.mark.parametrize(("flags", "v1", "v2"), FLAGS, ids=[" ".join(row[0]) for row in FLAGS])
def test_each_flag(bundle: Bundle, flags: list[str], v1: Files, v2: Files | None) -> None:
    wanted = chosen(v1, v2)
    assert wanted is not None
    with running(bundle) as box:
        update(box, *flags)
        assert values(box, dict(wanted)) == wanted


def test_the_other_half_of_quota_and_period_stays(bundle: Bundle) -> None:
    bundle.set("linux.resources.cpu", {"quota": 20000, "period": 50000})
    with running(bundle) as box:
        update(box, "--cpu-quota", "30000")
        update(box, "--cpu-period", "60000")
        wanted = chosen(
            {"cpu.cfs_quota_us": "30000", "cpu.cfs_period_us": "60000"},
            {"cpu.max": "30000 60000"},
        )
        assert wanted is not None and values(box, dict(wanted)) == wanted


@pytest.mark.parametrize("target_mib", [32, 128])
def test_memory_and_swap_together_in_either_direction(bundle: Bundle, target_mib: int) -> None:
    """Memory may at no step be above memory plus swap."""
    bundle.set("linux.resources.memory", {"limit": 64 * MIB, "swap": 64 * MIB})
    with running(bundle) as box:
        update(box, "--memory", f"{target_mib}m", "--memory-swap", f"{target_mib}m")
        bytes_ = str(target_mib * MIB)
        wanted = chosen(
            {"memory.limit_in_bytes": bytes_, "memory.memsw.limit_in_bytes": bytes_},
            {"memory.max": bytes_, "memory.swap.max": "0"},
        )
        assert wanted is not None and values(box, dict(wanted)) == wanted


def test_swap_alone(bundle: Bundle) -> None:
    """So does `docker update --memory-swap` ask on v1; v2's limit is another one and needs both, as from runc."""
    bundle.set("linux.resources.memory", {"limit": 64 * MIB, "swap": 64 * MIB})
    with running(bundle) as box:
        wanted = chosen({"memory.memsw.limit_in_bytes": str(128 * MIB)}, None)
        document = {"memory": {"limit": 0, "swap": 128 * MIB}}
        outcome = by_document(box, document, check=wanted is not None)
        if wanted is None:
            assert "unable to set swap limit without memory limit" in outcome.err
        else:
            assert values(box, dict(wanted)) == wanted


def test_idle_no_more_and_shares_at_once(bundle: Bundle) -> None:
    """A group that is idle takes no shares."""
    bundle.set("linux.resources.cpu", {"idle": 1})
    with running(bundle) as box:
        update(box, "--cpu-idle", "0", "--cpu-share", "512")
        wanted = chosen(
            {"cpu.idle": "0", "cpu.shares": "512"}, {"cpu.idle": "0", "cpu.weight": "59"}
        )
        assert wanted is not None and values(box, dict(wanted)) == wanted


def test_what_docker_sends(bundle: Bundle) -> None:
    """Unset fields are zeros and mean: leave alone."""
    bundle.set("linux.resources.memory.limit", 64 * MIB).set("linux.resources.pids.limit", 20)
    document = {
        "memory": {"limit": 0, "reservation": 0, "kernel": 0},
        "cpu": {"shares": 0, "quota": 30000, "period": 100000},
        "blockIO": {"weight": 0},
    }
    with running(bundle) as box:
        by_document(box, document)
        wanted = chosen(
            {
                "memory.limit_in_bytes": str(64 * MIB),
                "cpu.cfs_quota_us": "30000",
                "pids.max": "20",
            },
            {"memory.max": str(64 * MIB), "cpu.max": "30000 100000", "pids.max": "20"},
        )
        assert wanted is not None and values(box, dict(wanted)) == wanted


def test_from_stdin(bundle: Bundle) -> None:
    with running(bundle) as box:
        path = box.scratch / "in"
        path.write_text('{"pids": {"limit": 33}}')
        with path.open("rb") as file:
            box.stdin = file
            update(box, "--resources", "-")
            box.stdin = subprocess.DEVNULL
        assert read_value(box, "pids.max") == "33"


def test_a_refused_value_changes_nothing(bundle: Bundle) -> None:
    """The middle one of three is refused by the kernel: the first is put back, the third never set (R-39)."""
    bundle.set("linux.resources.memory.limit", 64 * MIB)
    with running(bundle) as box:
        names = ["memory.max", "cpu.max", "pids.max"] if V2 else [
            "memory.limit_in_bytes", "cpu.cfs_quota_us", "cpu.cfs_period_us", "pids.max"]  # fmt: skip
        before = {name: read_value(box, name) for name in names}
        flags = ["--memory", "32m", "--cpu-period", "10", "--pids-limit", "5"]
        outcome = update(box, *flags, check=False)
        assert outcome.code == 1
        assert {name: read_value(box, name) for name in names} == before
        assert box.status == "running"


def test_what_was_kept_is_what_is_updated_next(bundle: Bundle) -> None:
    """The saved configuration knows of the change: a second failing update puts back the first's values."""
    with running(bundle) as box:
        update(box, "--pids-limit", "42")
        assert update(box, "--pids-limit", "50", "--cpu-period", "10", check=False).code == 1
        assert read_value(box, "pids.max") == "42"


def test_device_rules(bundle: Bundle) -> None:
    """Of a container that runs; the nodes every container has stay."""
    probe = ("device", "/n", "c", "1", "11", "w")
    with running(bundle.privileged()) as box:

        def opened() -> bool:
            out = box.call("exec", box.id, "/inside", *probe, check=True)
            told = json.loads(out.out)
            assert told["errno"] in ("", "EPERM"), told
            return bool(not told["errno"])

        assert not opened()
        rule = {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "rwm"}
        by_document(box, {"devices": [rule]})
        assert opened()
        null = box.call("exec", box.id, "/inside", "open", "/dev/null", "r", check=True)
        assert json.loads(null.out)["errno"] == ""
        by_document(box, {"devices": []})
        assert not opened()


@pytest.mark.parametrize("state", ["created", "paused"])
def test_not_only_what_runs(bundle: Bundle, state: str) -> None:
    with Box(bundle.inside("pause")) as box:
        bundle.set("linux.cgroupsPath", f"/{box.id}")
        box.create()
        if state == "paused":
            box.start()
            box.call("pause", box.id, check=True)
        update(box, "--pids-limit", "9")
        assert read_value(box, "pids.max") == "9"
        assert box.status == state


def test_what_has_stopped(bundle: Bundle) -> None:
    with Box(bundle.inside("exit", "0")) as box:
        box.create()
        box.start()
        box.wait()
        outcome = update(box, "--pids-limit", "9", check=False)
        assert (outcome.code, outcome.errors) == (1, ["container not running"])


@pytest.mark.parametrize(
    "flags",
    [
        ["--memory", "3x"],
        ["--memory", ""],
        ["--memory", "-5m"],
        ["--memory", "1.5.5m"],
        ["--cpu-quota", "1e3"],
        ["--cpu-period", "99999999999999999999"],
        ["--pids-limit", "many"],
        ["--cpuset-cpus", "0;1"],
        ["--memory", "64m", "--memory-swap", "32m"],
    ],
    ids=" ".join,
)
def test_a_wrong_value_is_said(bundle: Bundle, flags: list[str]) -> None:
    with running(bundle) as box:
        outcome = update(box, *flags, check=False)
        if flags[1] == "":
            assert outcome.code == 0, "an empty value is none, as from runc"
            return
        assert outcome.code == 1 and outcome.errors[0]
        assert "Traceback" not in outcome.message


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        "{",
        '{"memory": {"limit": "64m"}}',
        '{"cpu": 3}',
        '{"pids": {"limit": 1, "limit": 2}}',
    ],
)
def test_a_wrong_document_is_said(bundle: Bundle, document: str) -> None:
    with running(bundle) as box:
        before = read_value(box, "pids.max")
        outcome = by_document(box, document, check=False)
        assert outcome.code == 1 and outcome.errors[0]
        assert "Traceback" not in outcome.message
        assert read_value(box, "pids.max") == before


@pytest.mark.skipif(
    " - resctrl " in Path("/proc/self/mountinfo").read_text(), reason="resctrl is mounted here"
)
@pytest.mark.parametrize("flag", ["--l3-cache-schema=L3:0=f", "--mem-bw-schema=MB:0=20"])
def test_shares_of_what_nobody_can_share(bundle: Bundle, flag: str) -> None:
    """Nothing of the update is done then. tests/unit/runtime has the rest, on ordinary files."""
    with running(bundle) as box:
        before = read_value(box, "pids.max")
        outcome = update(box, "--pids-limit", "9", flag, check=False)
        assert outcome.code == 1 and outcome.errors[0]
        assert read_value(box, "pids.max") == before


def test_a_fifo_nobody_writes_to(bundle: Bundle) -> None:
    with running(bundle) as box:
        path = box.scratch / "fifo"
        os.mkfifo(path)
        assert update(box, "--resources", str(path), check=False).code == 1


def test_a_limit_below_what_is_used(bundle: Bundle) -> None:
    """v1 says what is used; v2 reclaims or kills, unless checkBeforeUpdate asks first."""
    with running(bundle, "alloc", str(32), "--", "pause") as box:
        box.expect("pause")
        document = {"memory": {"limit": 8 * MIB, "checkBeforeUpdate": True}}
        outcome = by_document(box, document, check=False)
        assert outcome.code == 1
        assert "unable to set memory limit to 8388608" in outcome.errors[0]


def test_exec_and_delete_after_it(bundle: Bundle) -> None:
    with running(bundle) as box:
        update(box, "--pids-limit", "42")
        assert box.call("exec", box.id, "/inside", "exit", "3").code == 3
        saved = box.root / box.id / "config.json"
        if saved.exists():
            assert json.loads(saved.read_text())["process"]["args"][0] == "/inside"
        box.delete("--force")
        assert not Path(box.root, box.id).exists()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A state root that can be filled."""
    place = tmp_path / "small"
    place.mkdir()
    kernel.mount("state", str(place), "tmpfs", 0, "size=256k,mode=0700")
    yield place
    kernel.umount(str(place))


def test_a_full_disk(bundle: Bundle, small: Path) -> None:
    """Is met before a limit is changed: what is saved and what is in force agree."""
    with Box(bundle.inside("pause"), root=small) as box:
        bundle.set("linux.cgroupsPath", f"/{box.id}")
        box.create()
        box.start()
        before = read_value(box, "pids.max")
        with (small / "filler").open("wb", buffering=0) as filler:
            with pytest.raises(OSError) as caught:
                while True:
                    filler.write(bytes(4096))
            assert caught.value.errno == errno.ENOSPC
            outcome = update(box, "--pids-limit", "9", check=False)
            assert outcome.code == 1 and "no space left on device" in outcome.errors[0].lower()
            assert read_value(box, "pids.max") == before
            filler.truncate(0)
        update(box, "--pids-limit", "9")
        assert read_value(box, "pids.max") == "9"
