"""One round of one runtime on one bundle: every verb once, each with what it cost."""

from __future__ import annotations

import re
import time
from pathlib import Path

from tests.bench.runtimes import Runtime
from tests.bench.stopwatch import BenchError, Cost

VERBS = (
    "--version",
    "create",
    "state",
    "start",
    "exec",
    "kill",
    "delete",
    "run",
    "lifecycle",
    "lifecycle (kill)",
)
AFTER_PAUSE = ("create after 1 s", "lifecycle after 1 s")
INIT = "init in the container"
KILLED = 128 + 9

Round = dict[str, Cost]


class Pair:
    """The two bundles of a kind: one whose program ends at once, one whose program waits."""

    def __init__(self, kind: str, brief: Path, waiting: Path) -> None:
        self.kind = kind
        self.brief = brief
        self.waiting = waiting


def _total(costs: list[Cost]) -> Cost:
    return Cost(
        sum(cost.wall_ms for cost in costs),
        sum(cost.cpu_ms for cost in costs),
        max(cost.rss_mib for cost in costs),
    )


def create(runtime: Runtime, bundle: Path, name: str) -> tuple[Cost, int]:
    pid_file = runtime.directory / f"{name}.pid"
    words = ("create", "--bundle", str(bundle), "--pid-file", str(pid_file), name)
    cost = runtime.watch.run(runtime.words(*words))
    return cost, int(pid_file.read_text())


def pss_kib(pid: int) -> int:
    """The waiting init's share of memory: its own pages, and shared ones divided by their users."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    match = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    if match is None:
        raise BenchError(f"/proc/{pid}/smaps_rollup has no Pss line")
    return int(match[1])


def brief_life(runtime: Runtime, bundle: Path) -> Round:
    """create, start, the program ends by itself, delete."""
    watch = runtime.watch
    made, pid = create(runtime, bundle, "brief")
    started = watch.run(runtime.words("start", "brief"))
    ended = watch.wait(pid)
    deleted = watch.run(runtime.words("delete", "brief"))
    costs = [made, started, ended, deleted]
    return {"create": made, INIT: ended, "lifecycle": _total(costs)}


def killed_life(runtime: Runtime, bundle: Path) -> tuple[Round, int]:
    """create, state, start, exec, kill, delete: the second figure is the waiting init's memory."""
    watch = runtime.watch
    made, pid = create(runtime, bundle, "killed")
    pss = pss_kib(pid)
    state = watch.run(runtime.words("state", "killed"))
    started = watch.run(runtime.words("start", "killed"))
    joined = watch.run(runtime.words("exec", "killed", "/program"))
    killed = watch.run(runtime.words("kill", "killed", "KILL"))
    ended = watch.wait(pid, expect=KILLED)
    deleted = watch.run(runtime.words("delete", "killed"))
    life = _total([made, started, killed, ended, deleted])
    verbs = {"state": state, "start": started, "exec": joined, "kill": killed, "delete": deleted}
    return {**verbs, "lifecycle (kill)": life}, pss


def full_round(runtime: Runtime, pair: Pair) -> tuple[Round, int]:
    version = runtime.watch.run([runtime.path, "--version"])
    brief = brief_life(runtime, pair.brief)
    killed, pss = killed_life(runtime, pair.waiting)
    whole = runtime.watch.run(runtime.words("run", "--bundle", str(pair.brief), "whole"))
    return {"--version": version, **brief, **killed, "run": whole}, pss


def paused_round(runtime: Runtime, pair: Pair) -> Round:
    """After a second of quiet the kernel pays for grace periods that a busy loop hides."""
    time.sleep(1)
    brief = brief_life(runtime, pair.brief)
    return {"create after 1 s": brief["create"], "lifecycle after 1 s": brief["lifecycle"]}
