"""Lists of CPUs or memory nodes as config.json and the kernel write them, such as 0-3,7, as bit masks."""

from __future__ import annotations

DIGITS = frozenset("0123456789")
LAST = 8191  # no kernel is built for more CPUs; of nodes it knows fewer


def mask_of(text: str) -> int:
    """A bit for each number of the list, none for an empty one; ValueError says what is wrong. Blanks may stand around
    a number or a range, which the schema's pattern allows; whatever else the pattern lets through is refused."""
    mask = 0
    if not text.strip(" "):
        return mask
    for part in text.split(","):
        low, dash, high = part.strip(" ").partition("-")
        first = _number(low, text)
        last = _number(high, text) if dash else first
        if last < first:
            raise ValueError(f"the range {first}-{last} runs backwards")
        mask |= (2 << last) - (1 << first)
    return mask


def _number(digits: str, text: str) -> int:
    if not digits or not DIGITS.issuperset(digits):
        raise ValueError(f"not a list of numbers and ranges such as 0-3,7: `{text}`")
    number = int(digits) if len(digits) <= len(str(LAST)) else LAST + 1
    if number > LAST:
        raise ValueError(f"{digits} is above {LAST}")
    return number


def words_of(mask: int) -> bytes:
    """The mask as the kernel reads it: whole words of 64 bits."""
    return mask.to_bytes((mask.bit_length() + 63) // 64 * 8, "little")


def members(mask: int) -> list[int]:
    return [number for number in range(mask.bit_length()) if mask >> number & 1]
