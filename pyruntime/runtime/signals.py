"""Signal names and numbers as `kill` takes them: 9, KILL, SIGKILL, sigkill, RTMIN+3."""

from __future__ import annotations

import _signal

from pyruntime.errors import UsageError

LAST = 64


def number_of(text: str) -> int:
    """The number; UsageError for anything that is not exactly a signal of this machine."""
    if text.isascii() and text.isdigit() and len(text) <= 3:
        number = int(text)
        if 0 <= number <= LAST:
            return number
        raise UsageError(f'unknown signal "{text}"')
    name = text.upper().removeprefix("SIG")
    value = getattr(_signal, "SIG" + name, None) if name.isascii() and name.isalnum() else None
    if isinstance(value, int) and not name.startswith("_"):
        return value
    base, sign, offset = name.partition("+") if "+" in name else name.partition("-")
    if base in ("RTMIN", "RTMAX") and sign and offset.isascii() and offset.isdigit():
        number = getattr(_signal, "SIG" + base) + (int(offset) if sign == "+" else -int(offset))
        if _signal.SIGRTMIN <= number <= LAST:
            return int(number)
    raise UsageError(f'unknown signal "{text}"')
