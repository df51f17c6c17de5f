"""What must hold: ratios to runc in the same run, checked by `--gate`.

Noise shifts single runs, so the paired medians decide. Tightening a number here is welcome, loosening one needs a
reason in the commit.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from tests.bench.figures import Figures

REFERENCE = "runc"
WALL = {
    "create": 0.60,
    "state": 0.90,
    "start": 0.90,
    "exec": 0.60,
    "kill": 0.90,
    "delete": 0.90,
    "run": 0.55,
    "lifecycle": 0.65,
}
# With a seccomp profile the reference has much more to do.
WALL_WITH_SECCOMP = {**WALL, "create": 0.45}
PEAK_RSS = 0.80
# The reference's exec is C for the most part and small; ours is the same interpreter as ever.
PEAK_RSS_OF_EXEC = 1.05
INIT_PSS_KIB = 100
THROUGHPUT = 1.3


def misses(figures: Figures, name: str) -> Iterator[str]:
    """One sentence for each target that was measured and missed."""
    for kind in figures.kinds():
        for verb, most in (WALL if kind == "default" else WALL_WITH_SECCOMP).items():
            if not figures.costs.get((kind, verb, REFERENCE)):
                continue
            ratio, _ = figures.ratios(kind, verb, name, REFERENCE, "wall_ms")
            if ratio > most:
                yield f"{kind}: {verb} takes {ratio:.2f} of {REFERENCE}'s time, at most {most:.2f}"
            memory, _ = figures.ratios(kind, verb, name, REFERENCE, "rss_mib")
            peak = PEAK_RSS_OF_EXEC if verb == "exec" else PEAK_RSS
            if verb != "lifecycle" and memory > peak:
                yield f"{kind}: {verb} peaks at {memory:.2f} of {REFERENCE}'s RSS, at most {peak:.2f}"
        pss = figures.pss_kib.get((kind, name))
        if pss and median(pss) > INIT_PSS_KIB:
            yield f"{kind}: the waiting init takes {median(pss):.0f} KiB, at most {INIT_PSS_KIB}"
    speed = figures.per_second
    if speed:
        ratio = median(speed[name]) / median(speed[REFERENCE])
        if ratio < THROUGHPUT:
            yield f"many containers: {ratio:.2f} times {REFERENCE}'s throughput, at least {THROUGHPUT}"
