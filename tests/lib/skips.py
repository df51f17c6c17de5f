"""Which tests may be skipped on a machine that should lack nothing: reasons, with how often each may be given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping


def too_many(reasons: Iterable[str], allowed: Mapping[str, int]) -> list[str]:
    """One line for each reason that is not in the table, or is given more often than it says."""
    found = []
    for reason, count in sorted(Counter(reasons).items()):
        most = allowed.get(reason, 0)
        if count > most:
            found.append(f"{count} skipped, {most} allowed: {reason}")
    return found
