"""What `spec` writes: valid, runc's content, and none of the capabilities nobody asked for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from pyruntime.spec.check import check
from pyruntime.spec.example import example
from pyruntime.spec.explain import explain

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("rootless", [False, True])
def test_valid(rootless: bool) -> None:
    document = example(rootless, has_unified_cgroups=True, uid=1000, gid=100)
    assert check(document) is None
    assert explain(document) == []


def test_no_capability_is_inherited() -> None:
    assert set(example()["process"]["capabilities"]) == {"bounding", "effective", "permitted"}


def test_each_call_has_its_own() -> None:
    one = example()
    one["mounts"][3]["options"].append("mark")
    one["process"]["capabilities"]["bounding"].clear()
    assert example()["process"]["capabilities"]["bounding"] != []
    assert "mark" not in json.dumps(example()["mounts"])


def test_unified_cgroups_bring_their_namespace() -> None:
    kinds = [row["type"] for row in example(has_unified_cgroups=True)["linux"]["namespaces"]]
    assert kinds == ["pid", "network", "ipc", "uts", "mount", "cgroup"]


@pytest.mark.parametrize("rootless", [False, True])
def test_as_runc_writes_it(rootless: bool, tmp_path: Path) -> None:
    """Against the runc of this machine, but for what runc itself has changed since 1.1."""
    runc = shutil.which("runc")
    if runc is None:
        pytest.skip("runc is not installed: nothing to compare with")
    command = [runc, "spec", *(["--rootless"] if rootless else [])]
    subprocess.run(command, cwd=tmp_path, check=True)
    wanted: dict[str, Any] = json.loads((tmp_path / "config.json").read_text())
    wanted["ociVersion"] = "1.3.0"
    wanted["process"]["capabilities"].pop("ambient", None)
    if "/sys/devices/virtual/tpm" not in wanted["linux"]["maskedPaths"]:
        wanted["linux"]["maskedPaths"].append("/sys/devices/virtual/tpm")
    is_unified = {"type": "cgroup"} in wanted["linux"]["namespaces"]
    mine = example(rootless, has_unified_cgroups=is_unified, uid=os.geteuid(), gid=os.getegid())
    assert mine == wanted
