"""`make bench`: measures a runtime against the references on this machine, in turns, on the same bundles."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench import figures as figures_module
from tests.bench import lifecycle, runtimes, same_container, scale, stopwatch, targets
from tests.bench.bundles import KINDS, Bundles
from tests.bench.figures import Figures
from tests.bench.lifecycle import Pair
from tests.bench.runtimes import Runtime
from tests.bench.stopwatch import BenchError
from tests.lib import programs

PROJECT = Path(__file__).resolve().parents[2]
CONTAINERS = 100
# State directories lie in /run, a tmpfs wherever an init system made it. Containers and build machines often have none
# there, and on a disk each replaced file would measure the disk.
STATE = Path("/dev/shm")


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    add = parser.add_argument
    add("-n", type=int, default=20, help="rounds of every runtime on every bundle (%(default)s)")
    add(
        "--runtime",
        default=str(PROJECT / "build/bin/pyruntime"),
        help="what to measure (%(default)s)",
    )
    add("--bundle", action="append", choices=KINDS, help="only this one; may be repeated")
    add("--verb", action="append", help="show only this verb; may be repeated")
    add("--quick", action="store_true", help="5 rounds, no pauses, 40 containers: a look, no proof")
    add("--gate", action="store_true", help="exit 1 when a target that must hold is missed")
    add(
        "--json",
        type=Path,
        default=PROJECT / "build/bench.json",
        help="where all figures go (%(default)s)",
    )
    return parser.parse_args(argv)


def in_turns(rounds: int, found: list[Runtime], measure: Callable[[Runtime], None]) -> None:
    """A B C, B C A, C A B, …: none of them always comes after the same one."""
    for number in range(rounds):
        shift = number % len(found)
        for runtime in found[shift:] + found[:shift]:
            measure(runtime)


def measure_kind(
    pair: Pair, found: list[Runtime], figures: Figures, rounds: int, pauses: int
) -> None:
    def full(runtime: Runtime) -> None:
        costs, pss = lifecycle.full_round(runtime, pair)
        figures.add(pair.kind, runtime.name, costs)
        figures.pss_kib[pair.kind, runtime.name].append(pss)

    def paused(runtime: Runtime) -> None:
        figures.add(pair.kind, runtime.name, lifecycle.paused_round(runtime, pair))

    for runtime in found:  # the first of everything reads from disk: not counted
        lifecycle.full_round(runtime, pair)
    in_turns(rounds, found, full)
    in_turns(pauses, found, paused)


def same_sights(kind: str, bundles: Bundles, found: list[Runtime]) -> list[str]:
    """What makes the containers of the runtime under test differ from those of a reference."""
    bundle = bundles.make(kind, "sight", ["/reporter", "report"])
    seen = {
        each.name: same_container.look(each, bundle, f"{bundles.cgroup}-{kind}-sight")
        for each in found
    }
    first, *references = found
    problems: list[str] = []
    for other in references:
        mine, theirs = seen[first.name], seen[other.name]
        different, explained = same_container.compare(kind, first.name, other.name, mine, theirs)
        counts = f"{explained} known and {len(different)} unknown differences to {other.name}"
        say(f"{kind}: {len(mine)} sights, {counts}")
        problems += different
    return problems


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def measure(
    options: argparse.Namespace, directory: Path, found: list[Runtime]
) -> tuple[Figures, list[str]]:
    program = stopwatch.compile_program("program", directory)
    bundles = Bundles(directory / "bundles", program, programs.inside())
    kinds = options.bundle or list(KINDS)
    problems = [problem for kind in kinds for problem in same_sights(kind, bundles, found)]
    figures = Figures()
    if problems:
        return figures, problems
    rounds, pauses = (5, 0) if options.quick else (options.n, max(1, options.n * 2 // 5))
    for kind in kinds:
        brief = bundles.make(kind, "brief", ["/program"])
        waiting = bundles.make(kind, "waiting", ["/program", "wait"])
        measure_kind(Pair(kind, brief, waiting), found, figures, rounds, pauses)
        say(f"{kind}: {rounds} rounds, {pauses} after a pause")
    count = 40 if options.quick else CONTAINERS
    many = [bundles.make(kinds[0], f"many{n}", ["/program"]) for n in range(count)]
    in_turns(
        1 if options.quick else 3,
        found,
        lambda runtime: figures.per_second[runtime.name].append(scale.throughput(runtime, many)),
    )
    return figures, problems


def surroundings(found: list[Runtime]) -> dict[str, object]:
    return {
        "kernel": platform.release(),
        "processors": os.cpu_count(),
        "load": os.getloadavg(),
        "runtimes": {runtime.name: runtime.version() for runtime in found},
        "date": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
    }


def report(options: argparse.Namespace, found: list[Runtime], figures: Figures) -> int:
    names = [runtime.name for runtime in found]
    if options.verb:
        figures.costs = {
            key: costs for key, costs in figures.costs.items() if key[1] in options.verb
        }
    facts = surroundings(found)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    document = {**facts, **figures_module.as_json(figures, names)}
    options.json.write_text(json.dumps(document, indent=2) + "\n")
    for name, value in facts.items():
        print(f"{name}: {value}")
    print(figures_module.markdown(figures, names))
    missed = list(targets.misses(figures, names[0])) if options.gate else []
    for sentence in missed:
        print(f"missed: {sentence}")
    if options.gate and not missed:
        print("every target that must hold is met")
    return 1 if missed else 0


def temporary(parent: Path | None = None) -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="pyruntime-bench-", dir=parent)


def main(argv: list[str]) -> int:
    options = parse(argv)
    try:
        if os.geteuid() != 0:
            raise BenchError("containers are measured as root")
        with temporary() as name, temporary(STATE if STATE.is_mount() else None) as state:
            directory = Path(name)
            directory.chmod(0o755)
            binary = stopwatch.compile_program("stopwatch", directory)
            found = runtimes.find(options.runtime, Path(state), binary)
            try:
                figures, problems = measure(options, directory, found)
                if problems:
                    say("not measured, the containers differ:\n" + "\n".join(problems))
                    return 1
                return report(options, found, figures)
            finally:
                for runtime in found:
                    runtime.close()
    except BenchError as problem:
        say(f"bench: {problem}")
        return 1
