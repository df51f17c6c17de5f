"""The command line of the suite.

conformance/run --runtime PATH [GROUP | GROUP/TEST …]
conformance/run [GROUP …] --compare pyruntime runc crun
conformance/run --list
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from conformance import catalogue, known, runner, runtimes
from conformance.compare import compare
from tests.lib import private_mounts, programs


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="conformance/run", description="The OCI runtime specification, tested on any runtime."
    )
    parser.add_argument("only", nargs="*", metavar="GROUP[/TEST]", help="default: everything")
    parser.add_argument(
        "--runtime", default="", help="a path, or words for a shell ($RUNTIME, build/bin/pyruntime)"
    )
    parser.add_argument(
        "--compare", nargs="+", metavar="RUNTIME", help="run on each of these, print a table"
    )
    parser.add_argument("--list", action="store_true", help="print the tests and what they prove")
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="write the results as JSON, too"
    )
    return parser.parse_args(argv)


def show(cases: list[catalogue.Case]) -> None:
    for case in cases:
        proves = [*map(str, case.requirements), *case.leaves]
        print(f"{case.id}  {' '.join(proves)}\n    {case.statement}")


def prepared(runtime_words: str) -> runtimes.Runtime:
    """Whatever is missing is a failure: nothing passes when nothing ran."""
    if os.geteuid() != 0:
        raise runtimes.RuntimeProblem("the tests make containers: run them as root")
    programs.inside()
    runtime = runtimes.choose(runtime_words)
    private_mounts.enter()
    runtimes.suit(runtime)
    return runtime


def main(argv: list[str]) -> int:
    options = parse(argv)
    cases = catalogue.load()
    try:
        listed = known.read()
        listed.check([case.id for case in cases])
        chosen = catalogue.select(cases, options.only)
        if options.list:
            show(chosen)
            return 0
        if options.compare:
            return compare(options.compare, options.only)
        runtime = prepared(options.runtime)
    except (
        KeyError,
        known.KnownError,
        runtimes.RuntimeProblem,
        programs.MissingProgram,
    ) as problem:
        print(f"Bail out! {problem.args[0]}")
        return 1
    return runner.run(chosen, runtime, listed, options.report)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
