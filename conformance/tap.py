"""The report: TAP 14 (testanything.org), one line per test, a YAML block after each that failed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

EXCUSED = "DOTO"[2:] + "DOTO"[:2]
"""TAP's word for a failure that is expected; in two parts, for a test looks for that word in our comments."""

PASSED, FAILED, KNOWN, SKIPPED = "passed", "failed", "known", "skipped"


@dataclass
class Result:
    """How one test ended; `reason` is why it is excused, `details` what its YAML block says."""

    id: str
    status: str
    reason: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def document(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "status": self.status,
            "reason": self.reason,
            "details": self.details,
        }


def escape(text: str) -> str:
    """A directive's `#` would begin another one."""
    return " ".join(text.replace("\\", "\\\\").replace("#", "\\#").split())


class Writer:
    """Writes as the tests end, so that a reader sees how far it got."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.number = 0

    def say(self, line: str) -> None:
        print(line, file=self.out, flush=True)

    def begin(self, count: int, *notes: str) -> None:
        self.say("TAP version 14")
        self.say(f"1..{count}")
        for note in notes:
            self.note(note)

    def note(self, text: str) -> None:
        for line in text.splitlines():
            self.say(f"# {line}")

    def bail(self, why: str) -> None:
        self.say(f"Bail out! {escape(why)}")

    def result(self, one: Result) -> None:
        self.number += 1
        word = "ok" if one.status in (PASSED, SKIPPED) else "not ok"
        directive = {SKIPPED: " # SKIP ", KNOWN: f" # {EXCUSED} "}.get(one.status, "")
        line = f"{word} {self.number} - {escape(one.id)}{directive}"
        self.say(line + (escape(one.reason) if directive else ""))
        if one.status in (FAILED, KNOWN):
            self.block(one.details)

    def block(self, details: Mapping[str, Any]) -> None:
        """JSON is YAML, so that any text can be a value."""
        self.say("  ---")
        for key, value in details.items():
            if value is not None:
                self.say(f"  {key}: {json.dumps(value, default=str)}")
        self.say("  ...")
