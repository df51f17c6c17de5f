"""How results are printed: a line per program, and the table of several runtimes."""

from __future__ import annotations

from conformance.runtime_tools.known import Row
from conformance.runtime_tools.programs import Outcome


def counts(outcome: Outcome) -> str:
    account = outcome.account
    return f"{len(account.passed)} ok, {len(account.failed)} not ok, {len(account.skipped)} skipped"


def line(name: str, outcome: Outcome, width: int) -> str:
    verdict = "FAILED" if outcome.complaint else "passed"
    if not outcome.complaint and not outcome.account.made:
        verdict = "passed, by saying nothing"
    why = f"\n{'':{width + 2}}{outcome.complaint}" if outcome.complaint else ""
    return f"{name:{width}}  {verdict}: {counts(outcome)}{why}"


def compared(results: dict[str, dict[str, Outcome]], rows: dict[str, Row]) -> str:
    """`results`: runtime, then program. The last column is what known-tools.toml says of the first runtime."""
    runtimes = list(results)
    programs = list(next(iter(results.values())))
    width = max(map(len, programs))
    columns = [max(len(name), 9) for name in runtimes]
    lines = [_row("program", runtimes, "", width, columns)]
    for program in programs:
        verdicts = [_verdict(results[runtime][program]) for runtime in runtimes]
        row = rows.get(program)
        why = f"{row.fault}: {row.why}" if row and verdicts[0] == "FAILED" else ""
        lines.append(_row(program, verdicts, why, width, columns))
    totals = [
        f"{sum(not outcome.complaint for outcome in results[runtime].values())}/{len(programs)}"
        for runtime in runtimes
    ]
    lines.append(_row("passed", totals, "", width, columns))
    return "\n".join(lines)


def _verdict(outcome: Outcome) -> str:
    return "FAILED" if outcome.complaint else "passed"


def _row(name: str, cells: list[str], last: str, width: int, columns: list[int]) -> str:
    middle = "  ".join(f"{cell:{size}}" for cell, size in zip(cells, columns, strict=True))
    return f"{name:{width}}  {middle}  {last}".rstrip()
