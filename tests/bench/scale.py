"""Many containers at once: how many a second, four callers side by side."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.bench.runtimes import Runtime
from tests.bench.stopwatch import Stopwatch

JOBS = 4


def _lives(runtime: Runtime, watch: Stopwatch, bundles: list[Path]) -> None:
    for bundle in bundles:
        name = bundle.name
        pid_file = runtime.directory / f"{name}.pid"
        words = ("create", "--bundle", str(bundle), "--pid-file", str(pid_file), name)
        watch.run(runtime.words(*words))
        watch.run(runtime.words("start", name))
        watch.wait(int(pid_file.read_text()))
        watch.run(runtime.words("delete", name))


def throughput(runtime: Runtime, bundles: list[Path]) -> float:
    """Containers a second, each created, started, waited for and deleted."""
    watches = [runtime.stopwatch(f"job{job}", Path("/dev/null")) for job in range(JOBS)]
    shares = [bundles[job::JOBS] for job in range(JOBS)]
    with ThreadPoolExecutor(JOBS) as pool:
        begin = time.monotonic()
        jobs = [pool.submit(_lives, runtime, *work) for work in zip(watches, shares, strict=True)]
        for job in jobs:
            job.result()
        took = time.monotonic() - begin
    for watch in watches:
        watch.close()
    return len(bundles) / took
