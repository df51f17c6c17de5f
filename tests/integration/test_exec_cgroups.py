"""exec joins the container's cgroups, or groups beneath them (--cgroup; R-37)."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyruntime.cgroup import detect
from tests.lib import facts
from tests.lib.box import Box
from tests.lib.bundle import Bundle
from tests.lib.exec_calls import Detached, attached, refused, running

LAYOUT = detect.layout()
pytestmark = pytest.mark.skipif(LAYOUT.mode == "v2", reason="names controllers; v2 alone has none")


def groups(pid: int) -> dict[str, str]:
    return facts.parse_cgroups(Path(f"/proc/{pid}/cgroup").read_text())


def make(box: Box, *names: str) -> None:
    """The same groups beneath the container's in every hierarchy; a v1 cpuset has to be told its processors."""
    for hierarchy in LAYOUT.joined():
        own = Path(hierarchy.mountpoint + groups(box.pid)[hierarchy.name.partition(",")[0]])
        for name in names:
            group = own / name
            group.mkdir()
            for file in ("cpuset.cpus", "cpuset.mems"):
                if not hierarchy.unified and (group / file).exists():
                    (group / file).write_text((own / file).read_text())


def joined(box: Box, *flags: str) -> dict[str, str]:
    with Detached(box, *flags, "ID", "/inside", "pause") as other:
        other.expect("pause")
        return groups(other.pid)


def test_a_sub_path_in_all(bundle: Bundle) -> None:
    with running(bundle) as box:
        make(box, "sub")
        wanted = {name: f"{path}/sub" for name, path in groups(box.pid).items()}
        seen = joined(box, "--cgroup", "sub")
        ours = {name for row in LAYOUT.joined() if not row.unified for name in row.controllers}
        assert {name: seen[name] for name in ours} == {name: wanted[name] for name in ours}


@pytest.mark.parametrize(
    "words", [["pids:sub"], ["pids,memory:sub"], ["pids:sub", "memory:sub/../other"]]
)
def test_a_sub_path_of_some(bundle: Bundle, words: list[str]) -> None:
    with running(bundle) as box:
        make(box, "sub", "other")
        wanted = groups(box.pid)
        seen = joined(box, *[part for word in words for part in ("--cgroup", word)])
        wanted["pids"] += "/sub"
        if "memory" in " ".join(words):
            wanted["memory"] += "/sub" if len(words) == 1 else "/other"
        assert {name: seen[name] for name in wanted if name in seen} == {
            name: path for name, path in wanted.items() if name in seen
        }


@pytest.mark.parametrize(
    "word",
    [
        "nowhere",
        "..",
        "../..",
        "sub/../..",
        "../x",
        "pids:../x",
        "nosuch:sub",
        "a:b:c",
        "pids:nowhere",
    ],
)
def test_paths_that_lead_elsewhere_or_nowhere(bundle: Bundle, word: str) -> None:
    with running(bundle) as box:
        make(box, "sub")
        refused(box, "--cgroup", word, "ID", "/inside", "pause")


def test_two_paths_for_one_controller(bundle: Bundle) -> None:
    with running(bundle) as box:
        make(box, "sub", "other")
        words = ["--cgroup", "pids:sub", "--cgroup", "pids:other"]
        refused(box, *words, "ID", "/inside", "pause")


def test_a_cgroup_namespace_reads_the_root(bundle: Bundle) -> None:
    with running(bundle.namespace("cgroup")) as box:
        text = attached(box, "ID", "/inside", "report").facts.files["/proc/self/cgroup"]
        joins = {name for row in LAYOUT.joined() for name in (row.controllers or [""])}
        seen = facts.parse_cgroups(text)
        assert {seen[name] for name in joins if name in seen} == {"/"}
