"""SIGKILL anywhere in exec: the container is as it was, nothing half-made stays in it, and the next exec works.

Every system call of the runtime, of the stage and of the clone it ends in is a place to die at (security: R-49).
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import select
import subprocess
from pathlib import Path

import pytest

from tests.lib import leaks, programs
from tests.lib.box import Box
from tests.lib.bundle import Bundle
from tests.lib.exec_calls import inside, running
from tests.lib.groups import group_of
from tests.lib.killing import KILLED, PATIENCE, killer

SEED = 20261124
STRIDE = 13
SIDES = ("host", "init", "clone", "init-dies", "clone-dies")
FAILED = 255


def attack(box: Box, side: str, number: int) -> tuple[int, int, str, Path]:
    """(calls counted, exit status, what it said, the pid file) of an exec killed at one of its calls."""
    pid_file = box.scratch / "attacked.pid"
    for left in [pid_file, *box.scratch.glob(".attacked*")]:  # half a file of the kill before
        left.unlink(missing_ok=True)
    command = [
        str(killer()),
        side,
        str(number),
        *programs.runtime_command(),
        "--root",
        str(box.root),
    ]
    command += ["exec", "--pid-file", str(pid_file), box.id, "/inside", "exit", "0"]
    said = box.scratch / "said"
    with said.open("w+") as file:
        subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=file, check=True, timeout=PATIENCE
        )  # fmt: skip
    text = said.read_text()
    found = re.search(r"^calls (\d+) status (\d+)$", text, re.MULTILINE)
    assert found, text
    return int(found[1]), int(found[2]), text[: found.start()], pid_file


def members(box: Box) -> set[str]:
    text = (group_of(box, "pids") / "cgroup.procs").read_text()
    return set(text.split()) - {str(box.pid)}


def reap(box: Box) -> None:
    """What the killed runtime left is ours, as an engine's; unreaped it would keep the pid namespace."""
    for pid in leaks.children() - {box.pid}:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def problems(box: Box, side: str, number: int) -> list[str]:
    _, status, said, pid_file = attack(box, side, number)
    found = []
    for _ in range(500):
        reap(box)
        if not members(box):
            break
        select.select(
            [], [], [], 0.01
        )  # what was let go ends by itself, what was not dies with the runtime
    else:
        found.append(f"left in the container: {sorted(members(box))}")
    if status == FAILED:
        if said.count("\n") != 1 or "exec failed: " not in said:
            found.append(f"said {said!r}")
        if pid_file.exists():
            found.append("a pid file of a failed exec")
    elif status not in (0, KILLED):
        found.append(f"status {status}: {said}")
    if [
        name.name for name in box.scratch.iterdir() if name.name.startswith(".attacked")
    ] and status != KILLED:
        found.append("half a pid file")
    return [f"{side} {number}: {line}" for line in found]


@pytest.mark.slow
@pytest.mark.parametrize("side", SIDES)
def test_some_places(bundle: Bundle, side: str) -> None:
    bundle.set("linux.seccomp", {"defaultAction": "SCMP_ACT_ALLOW"})
    with running(bundle) as box:
        total, status, said, _ = attack(box, side, 0)
        assert status == 0 and total > 10, said
        first = random.Random(SEED).randrange(1, STRIDE + 1)
        found = [
            line
            for number in sorted({*range(first, total + 1, STRIDE), total})
            for line in problems(box, side, number)
        ]
        assert not found, "\n".join(found)
        assert box.status == "running" and inside(box, "exit", "7").code == 7


@pytest.mark.nightly
@pytest.mark.parametrize("side", SIDES)
def test_every_place(bundle: Bundle, side: str) -> None:
    bundle.set("linux.seccomp", {"defaultAction": "SCMP_ACT_ALLOW"})
    with running(bundle) as box:
        total, _, _, _ = attack(box, side, 0)
        found = [line for number in range(1, total + 1) for line in problems(box, side, number)]
        print(f"exec: {total} system calls of {side}, {len(found)} with something left")
        assert not found, "\n".join(found)
        assert box.status == "running" and inside(box, "exit", "7").code == 7
