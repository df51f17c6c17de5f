"""The command line: conformance/runtime-tools DIR [PROGRAM …]."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from pathlib import Path

from conformance.runtime_tools import table
from conformance.runtime_tools.known import FAULTS, FILE, KnownError, Row, load, surprises
from conformance.runtime_tools.programs import Outcome, Runner, SuiteError, find
from conformance.runtime_tools.reaper import Reaper

PROJECT = Path(__file__).resolve().parents[2]


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="conformance/runtime-tools",
        description="Runs the validation programs of OCI runtime-tools that were built in DIR, as root.",
        epilog="Faults in known-tools.toml: " + "; ".join(f"{k}: {v}" for k, v in FAULTS.items()),
    )
    add = parser.add_argument
    add("directory", metavar="DIR", type=Path, help="a checkout in which the programs were built")
    add("program", metavar="PROGRAM", nargs="*", help="only these, such as `hostname`")
    add(
        "--runtime",
        default=str(PROJECT / "build/bin/pyruntime"),
        help="the runtime to test (%(default)s)",
    )
    add("--compare", metavar="RUNTIME", nargs="+", default=[], help="run these too; print a table")
    add("--timeout", type=float, default=180.0, help="seconds for one program (%(default)s)")
    add("--known", type=Path, default=FILE, help="the list of known failures (%(default)s)")
    add("--no-known", action="store_true", help="every program must pass")
    add("--verbose", "-v", action="store_true", help="print what a failing program said")
    add(
        "--no-isolation",
        action="store_true",
        help="without a mount namespace of its own for each program, and so without root",
    )
    return parser.parse_args(argv)


def run_all(runner: Runner, programs: list[Path], *, verbose: bool) -> dict[str, Outcome]:
    width = max(len(program.stem) for program in programs)
    outcomes = {}
    for program in programs:
        outcome = runner.run(program)
        outcomes[program.stem] = outcome
        print(table.line(program.stem, outcome, width), flush=True)
        if verbose and outcome.complaint:
            print("".join(f"    {line}\n" for line in outcome.words.splitlines()), end="")
        for left in outcome.leaves if verbose else ():
            print(f"    left behind: {left}")
    return outcomes


def report(outcomes: dict[str, Outcome], rows: dict[str, Row], *, whole: bool) -> int:
    """The comparison with what is known; an exit status."""
    complaints = {name: outcome.complaint for name, outcome in outcomes.items()}
    found = surprises(rows, complaints, whole=whole)
    failed = [name for name, why in complaints.items() if why]
    assertions = [sum(len(getattr(o.account, kind)) for o in outcomes.values())
                  for kind in ("passed", "failed", "skipped")]  # fmt: skip
    print(
        f"{len(outcomes) - len(failed)} of {len(outcomes)} programs passed, {len(failed)} failed; "
        f"assertions: {assertions[0]} ok, {assertions[1]} not ok, {assertions[2]} skipped"
    )
    for name in failed:
        row = rows.get(name)
        if row and row.applies:
            print(f"  known: {name}: {row.fault}: {row.why}")
    for surprise in found:
        print(f"  NOT AS KNOWN: {surprise}")
    return 1 if found else 0


def play(args: argparse.Namespace) -> int:
    directory = args.directory.resolve()
    programs = find(directory, args.program)
    rows = {} if args.no_known else load(args.known)
    reaper = Reaper()
    runners: dict[str, Runner] = {}
    results: dict[str, dict[str, Outcome]] = {}
    with contextlib.ExitStack() as stack:
        for runtime in (args.runtime, *args.compare):
            runner = Runner(runtime, directory, args.timeout, reaper, isolate=not args.no_isolation)
            stack.callback(runner.close)
            runners[runner.path if runner.name in runners else runner.name] = runner
        for name, runner in runners.items():
            print(f"# {name}: {runner.path}")
            results[name] = run_all(runner, programs, verbose=args.verbose)
    if args.compare:
        print(table.compared(results, rows))
    return report(next(iter(results.values())), rows, whole=not args.program)


def main(argv: list[str]) -> int:
    args = parse(argv)
    if os.geteuid() and not args.no_isolation:
        print("conformance/runtime-tools: needs root: containers are made", file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM):  # either way what was made is removed
        signal.signal(number, signal.default_int_handler)
    try:
        return play(args)
    except KeyboardInterrupt:
        return 130
    except (SuiteError, KnownError) as error:
        print(f"conformance/runtime-tools: {error}", file=sys.stderr)
        return 2
