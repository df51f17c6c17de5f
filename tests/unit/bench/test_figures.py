"""The arithmetic and the verdicts of `make bench`, on figures made up for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench import figures as figures_module
from tests.bench import profiles, same_container, targets
from tests.bench.bundles import KINDS, Bundles
from tests.bench.figures import Figures
from tests.bench.stopwatch import Cost


def measured(ours: float, theirs: float, *, pss: int = 50, speed: float = 2.0) -> Figures:
    figures = Figures()
    for wall, name in ((ours, "pyruntime"), (theirs, "runc")):
        for drift in (1, 3, 2):
            costs = {verb: Cost(wall * drift, wall, wall) for verb in targets.WALL}
            figures.add("default", name, costs)
    figures.pss_kib["default", "pyruntime"].append(pss)
    figures.pss_kib["default", "runc"].append(5000)
    figures.per_second.update({"pyruntime": [speed * 10], "runc": [10.0]})
    return figures


def test_drift_cancels_in_pairs() -> None:
    figures = Figures()
    for ours, theirs in ((1.0, 2.0), (10.0, 20.0), (100.0, 200.0), (1000.0, 2000.0)):
        figures.add("default", "a", {"state": Cost(ours, 1, 1)})
        figures.add("default", "b", {"state": Cost(theirs, 0, 1)})
    assert figures.ratios("default", "state", "a", "b", "wall_ms") == (0.5, 0.5)
    # A clock that counted nothing gives no ratio instead of a division by zero.
    assert figures.ratios("default", "state", "a", "b", "cpu_ms")[0] == 0.0


def test_targets_met() -> None:
    assert not list(targets.misses(measured(0.5, 1.0), "pyruntime"))


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        (measured(0.58, 1.0), "run takes 0.58"),
        (measured(0.85, 1.0), "create peaks at 0.85"),
        (measured(0.5, 1.0, pss=101), "waiting init takes 101 KiB"),
        (measured(0.5, 1.0, speed=1.29), "1.29 times runc's throughput"),
    ],
)
def test_each_target_can_be_missed(figures: Figures, words: str) -> None:
    assert any(words in sentence for sentence in targets.misses(figures, "pyruntime"))


def test_report_names_every_verb_and_runtime() -> None:
    figures = measured(0.5, 1.0)
    text = figures_module.markdown(figures, ["pyruntime", "runc"])
    assert all(f"| {verb} |" in text for verb in targets.WALL)
    assert "**0.50**" in text
    document = json.loads(json.dumps(figures_module.as_json(figures, ["pyruntime", "runc"])))
    assert {row["runtime"] for row in document["costs"]} == {"pyruntime", "runc"}
    assert document["containers_per_second"] == {"pyruntime": 20.0, "runc": 10.0}


def test_only_known_differences_are_excused() -> None:
    mine = {"seccomp": "2", "/dev/core": "link", "umask": "18"}
    theirs = {"seccomp": "0", "umask": "18"}
    unknown, known = same_container.compare("default", "crun", "runc", mine, theirs)
    assert known == 1
    assert unknown == ["default: seccomp\n    crun: 2\n    runc: 0"]
    unknown, known = same_container.compare("default", "other", "runc", mine, theirs)
    assert (len(unknown), known) == (2, 0)


def test_profiles_have_the_shape_engines_send() -> None:
    docker = profiles.docker()
    assert docker["defaultAction"] == "SCMP_ACT_ERRNO"
    names = docker["syscalls"][0]["names"]
    assert 330 < len(names) == len(set(names))
    assert not {"mount", "unshare", "keyctl", "bpf"} & set(names)
    podman = profiles.podman({"CAP_CHOWN"})
    assert podman["defaultErrnoRet"] == 38
    allowed = {
        name
        for rule in podman["syscalls"]
        if rule["action"] == "SCMP_ACT_ALLOW"
        for name in rule["names"]
    }
    assert "read" in allowed
    assert "bpf" not in allowed  # only with CAP_SYS_ADMIN


@pytest.mark.parametrize("kind", KINDS)
def test_bundles_are_complete(kind: str, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.touch()
    bundles = Bundles(tmp_path / "bundles", program, program)
    bundle = bundles.make(kind, "one", ["/program", "wait"])
    document = json.loads((bundle / "config.json").read_text())
    assert document["process"]["args"] == ["/program", "wait"]
    assert document["linux"]["cgroupsPath"].endswith(f"-{kind}-one")
    for mount in document["mounts"]:
        if mount["type"] == "bind":
            assert (bundle / mount["source"]).exists()
            assert (
                mount["destination"] == "/dev/shm"
                or (bundles.rootfs / mount["destination"][1:]).exists()
            )
