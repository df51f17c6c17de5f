"""What a validation program says: the Test Anything Protocol, as runtime-tools writes it.

Three habits of the suite decide how it is read. A program may write several documents, one after the other. Some make no
assertion at all: those of the hooks' order write a plan of nothing, and a diagnostic with an `error` when something was
wrong. And `runtimetest`, inside the container, writes its own lines, indented or not, into those of the program.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

ASSERTION = re.compile(r"(not )?ok\b\s*(\d*)\s*(?:- )?(.*)")
PLAN = re.compile(r"1\.\.(\d+)")
DIRECTIVE = re.compile(r"#\s*(skip|todo)\b", re.IGNORECASE)
ERROR = re.compile(r'\s*"error": "(.*)",?')


@dataclass
class Account:
    """Names of assertions by what became of them; `planned` is the sum of all plans, None without one."""

    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    planned: int | None = None
    errors: list[str] = field(default_factory=list)

    @property
    def made(self) -> int:
        return len(self.passed) + len(self.failed) + len(self.skipped)


def read(text: str) -> Account:
    account = Account()
    for line in text.splitlines():
        if plan := PLAN.match(line):
            account.planned = (account.planned or 0) + int(plan[1])
        elif assertion := ASSERTION.match(line):
            _take(account, bool(assertion[1]), assertion[3])
        elif error := ERROR.fullmatch(line):
            account.errors.append(error[1])
    return account


def _take(account: Account, failed: bool, name: str) -> None:
    directive = DIRECTIVE.search(name)
    if directive and (directive[1].lower() == "todo" or not failed):
        account.skipped.append(name)
    else:
        (account.failed if failed else account.passed).append(name)


def complaint(account: Account, status: int | None) -> str | None:
    """Why a program has not passed, in one line, or None. `status` is None when its time ran out."""
    if status is None:
        return "ran out of time"
    if account.failed:
        more = f" (and {len(account.failed) - 1} more)" if len(account.failed) > 1 else ""
        return f"not ok: {account.failed[0]}{more}"
    if status:
        return f"ended by signal {-status}" if status < 0 else f"exit status {status}"
    if account.planned not in (None, account.made):
        return f"planned {account.planned} assertions and made {account.made}"
    if not account.made and account.errors:
        return f"error: {account.errors[0]}"
    return None
