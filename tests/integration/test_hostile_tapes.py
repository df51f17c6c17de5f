"""Tapes nobody would write: the init refuses or fails, and always ends by itself with a status (R-29)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.lib import programs, tape_runner

# The project may stand where an ordinary user cannot go: /media shows it to him.
STAGE = """
mount --make-rprivate / && mount --bind "$1" /media && cd /media && shift &&
exec setpriv --reuid 65534 --regid 65534 --clear-groups unshare -U -r -m -p -i -n -u --fork --kill-child sh -c "$@"
"""
# Mounts and ids of its own, /tmp read-only, then nearly no privilege: what is flipped hurts nobody. The one left is
# for seeing where a hanging init stands, into which nobody else may look.
SCRIPT = """
mount --rbind /tmp /tmp && mount -o remount,bind,ro /tmp && mount -t tmpfs none /mnt && mount -t proc proc /proc &&
exec setpriv --bounding-set=-all,+sys_ptrace --inh-caps=-all --no-new-privs "$0" -m tests.lib.tapefuzz "$@"
"""


def beneath_project(path: str) -> str:
    """As seen from /media; a path elsewhere stays as it is."""
    return (
        os.path.relpath(path, programs.PROJECT) if path.startswith(f"{programs.PROJECT}/") else path
    )


def fuzzed(seed: int, count: int) -> dict[str, Any]:
    words = [
        beneath_project(sys.executable),
        str(seed),
        str(count),
        beneath_project(str(tape_runner.init())),
    ]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", STAGE, "sh", str(programs.PROJECT), SCRIPT, *words],
        env={**os.environ, "PYTHONPATH": ".", "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def judge(found: dict[str, Any], count: int) -> None:
    bad = "\n".join(f"{how}: {tape}" for how, tape in found["bad"][:5])
    assert not found["bad"], f"{len(found['bad'])} of {found['endings']}:\n{bad}"
    assert found["whole"] == "exit 0", "the undamaged tape comes to its end"
    assert sum(found["endings"].values()) > count
    # Damage must reach all depths: refused at the door or in the middle, and played to the end.
    assert {"exit 0", "exit 110", "exit 111"} <= set(found["endings"]), found["endings"]


def test_damaged_tapes() -> None:
    """Cut at every eighth byte, and two thousand with flipped bits."""
    judge(fuzzed(seed=1, count=2000), 2000)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(100, 104))
def test_many_damaged_tapes(seed: int) -> None:
    judge(fuzzed(seed, count=20_000), 20_000)
