"""Several runtimes on the same tests, one run each, and a table of what came of it per group."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conformance import tap
from tests.lib import programs

OWN = str(programs.PROJECT / "build/bin/pyruntime")
RUN = Path(__file__).with_name("run")
STATUSES = (tap.PASSED, tap.FAILED, tap.KNOWN, tap.SKIPPED)


def one(runtime: str, words: Sequence[str], directory: Path) -> dict[str, Any]:
    """A run in a process of its own: each has its namespaces, and one that breaks down leaves the others alone."""
    report = directory / "report.json"
    report.unlink(missing_ok=True)
    command = OWN if runtime == "pyruntime" else runtime
    options = ["--runtime", command, "--report", str(report)]
    done = subprocess.run(
        [sys.executable, str(RUN), *options, *words], stdout=subprocess.PIPE, text=True, check=False
    )
    for line in done.stdout.splitlines():
        if line.startswith(("not ok", "# ", "Bail out!", "  ")) and f"# {tap.EXCUSED}" not in line:
            print(f"# {runtime}: {line}", file=sys.stderr)
    if not report.exists():
        return {"runtime": runtime, "results": [], "status": done.returncode or 1}
    document: dict[str, Any] = json.loads(report.read_text())
    return {**document, "status": done.returncode}


def table(runs: Sequence[dict[str, Any]]) -> list[str]:
    """A row per group and a column per runtime: passed/failed/known to fail/skipped."""
    groups: dict[str, list[Counter[str]]] = {}
    for number, run in enumerate(runs):
        for row in run["results"]:
            group = row["id"].partition("/")[0]
            counts = groups.setdefault(group, [Counter() for _ in runs])[number]
            counts[row["status"]] += 1
    groups["all"] = [
        sum((counts[n] for counts in groups.values()), Counter()) for n in range(len(runs))
    ]
    rows = [["/".join(STATUSES), *(run["runtime"] for run in runs)]]
    for group, columns in groups.items():
        rows.append([group, *("/".join(str(column[s]) for s in STATUSES) for column in columns)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def compare(runtimes: Sequence[str], words: Sequence[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="compare-") as directory:
        os.chmod(directory, 0o755)
        runs = [one(runtime, words, Path(directory)) for runtime in runtimes]
    print("\n".join(table(runs)))
    for run in runs:
        said = "as known" if run["status"] == 0 else "NOT as known"
        print(f"{run['runtime']}: {said}" + ("" if run["results"] else ", nothing ran"))
    return max(int(run["status"]) for run in runs)
