"""Durations as Go writes them: 5s, 100ms, 1m30s, 1.5h."""

from __future__ import annotations

from pyruntime import errors

UNITS_NS = {
    "ns": 1,
    "us": 10**3,
    "\u00b5s": 10**3,
    "\u03bcs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_FIGURES = "0123456789."
LONGEST_NS = 2**63 - 1
LONGEST_TEXT = 64


def nanoseconds(text: str) -> int | None:
    """None for what is no duration. Without a unit only 0 is one."""
    sign, rest = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    if not rest or len(rest) > LONGEST_TEXT:
        return None
    total = 0
    while rest:
        after = rest.lstrip(_FIGURES)
        figure = rest[: len(rest) - len(after)]
        rest = after.lstrip("nu\u00b5\u03bcmsh")
        unit = UNITS_NS.get(after[: len(after) - len(rest)])
        whole, _, part = figure.partition(".")
        if unit is None or not (whole + part) or "." in part or len(figure) > 20:
            return None
        total += int(whole or "0") * unit + int(part or "0") * unit // 10 ** len(part)
    return sign * total if total <= LONGEST_NS else None


def of_flag(name: str, text: str, default_ns: int) -> float:
    """The seconds of an interval, which must be some."""
    found = nanoseconds(text) if text else default_ns
    if found is None:
        raise errors.UsageError(f'invalid value "{text}" for flag -{name}: parse error')
    if found <= 0:
        raise errors.UsageError(f"duration {name} must be greater than 0")
    return found / 10**9
