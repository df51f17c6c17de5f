"""What was measured, and what it says: medians, minima and ratios to a reference of the same run."""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import Any

from tests.bench.stopwatch import Cost

Key = tuple[str, str, str]  # kind of bundle, verb, runtime


class Figures:
    def __init__(self) -> None:
        self.costs: dict[Key, list[Cost]] = defaultdict(list)
        self.pss_kib: dict[tuple[str, str], list[int]] = defaultdict(list)
        self.per_second: dict[str, list[float]] = defaultdict(list)

    def add(self, kind: str, runtime: str, costs: dict[str, Cost]) -> None:
        for verb, cost in costs.items():
            self.costs[kind, verb, runtime].append(cost)

    def verbs(self, kind: str) -> list[str]:
        return list(dict.fromkeys(verb for where, verb, _ in self.costs if where == kind))

    def kinds(self) -> list[str]:
        return list(dict.fromkeys(kind for kind, _, _ in self.costs))

    def column(self, kind: str, verb: str, runtime: str, field: str) -> list[float]:
        return [getattr(cost, field) for cost in self.costs[kind, verb, runtime]]

    def ratios(
        self, kind: str, verb: str, mine: str, theirs: str, field: str
    ) -> tuple[float, float]:
        """The median of the pairwise ratios (drift of the machine cancels), and the ratio of the medians."""
        here = self.column(kind, verb, mine, field)
        there = self.column(kind, verb, theirs, field)
        # The kernel counts short processes in ticks or not at all on some machines: no ratio to nothing.
        pairs = [a / b for a, b in zip(here, there, strict=True) if b]
        return (median(pairs) if pairs else 0.0, median(here) / (median(there) or 1.0))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _table(figures: Figures, kind: str, names: list[str]) -> list[str]:
    first, *references = names
    head = ["verb", *(f"{name} wall med / min, cpu" for name in names)]
    head += [f"{first}/{name} wall (paired, of medians), cpu" for name in references]
    lines = [f"### {kind}", "", _row(*head), _row(*("---" for _ in head))]
    for verb in figures.verbs(kind):
        cells = [verb]
        for name in names:
            wall = figures.column(kind, verb, name, "wall_ms")
            cpu = figures.column(kind, verb, name, "cpu_ms")
            cells.append(f"{median(wall):.1f} / {min(wall):.1f}, {median(cpu):.1f}")
        for name in references:
            paired, plain = figures.ratios(kind, verb, first, name, "wall_ms")
            cpu_paired, _ = figures.ratios(kind, verb, first, name, "cpu_ms")
            cells.append(f"**{paired:.2f}**, {plain:.2f}, {cpu_paired:.2f}")
        lines.append(_row(*cells))
    return [*lines, ""]


def _memory(figures: Figures, names: list[str]) -> list[str]:
    head = ["memory", *names]
    lines = ["### memory and many containers", "", _row(*head), _row(*("---" for _ in head))]
    for kind in figures.kinds():
        pss = [f"{median(figures.pss_kib[kind, name]):.0f} KiB" for name in names]
        lines.append(_row(f"PSS of the created init, {kind}", *pss))
        for verb in ("create", "state", "run"):
            peak = [max(figures.column(kind, verb, name, "rss_mib"), default=0) for name in names]
            lines.append(
                _row(f"peak RSS of {verb}, {kind}", *(f"{value:.1f} MiB" for value in peak))
            )
    if figures.per_second:
        speed = [f"{median(figures.per_second[name]):.1f}" for name in names]
        lines.append(_row("containers a second, 4 jobs", *speed))
    return [*lines, ""]


def markdown(figures: Figures, names: list[str]) -> str:
    lines = ["Times in ms; a ratio below 1 means faster than the reference.", ""]
    for kind in figures.kinds():
        lines += _table(figures, kind, names)
    return "\n".join(lines + _memory(figures, names))


def as_json(figures: Figures, names: list[str]) -> dict[str, Any]:
    first, *references = names
    rows = []
    for (kind, verb, runtime), costs in figures.costs.items():
        row: dict[str, Any] = {
            "bundle": kind,
            "verb": verb,
            "runtime": runtime,
            "rounds": len(costs),
        }
        for field in Cost._fields:
            values = figures.column(kind, verb, runtime, field)
            row[field] = {"median": median(values), "min": min(values), "max": max(values)}
        rows.append(row)
    ratios = []
    for kind in figures.kinds():
        for verb in figures.verbs(kind):
            for other in references:
                for field in Cost._fields:
                    paired, plain = figures.ratios(kind, verb, first, other, field)
                    place = {"bundle": kind, "verb": verb, "reference": other, "what": field}
                    ratios.append({**place, "paired": paired, "of_medians": plain})
    pss = [
        {"bundle": kind, "runtime": name, "kib": median(values)}
        for (kind, name), values in figures.pss_kib.items()
    ]
    speed = {name: median(values) for name, values in figures.per_second.items()}
    return {"costs": rows, "ratios": ratios, "init_pss": pss, "containers_per_second": speed}
