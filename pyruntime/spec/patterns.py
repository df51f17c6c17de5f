"""The schema's regular expressions as predicates: `re` would cost more than all the checking.

One row per pattern text found in schema/: the predicate and the words for what it wants. The
generator refuses a pattern without a row; tests hold each predicate against `re` over many texts.
`$` is the end of the text here, as ECMA 262 has it; Python's `re` would let a newline follow.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DIGITS = "0123456789"


def is_rlimit(text: str) -> bool:
    name = text[7:]
    return text.startswith("RLIMIT_") and name != "" and not name.strip(_CAPITALS)


def is_device_type(text: str) -> bool:
    return text in ("c", "b", "u", "p")


def is_page_size(text: str) -> bool:
    digits = text[:-2]
    return (
        text.endswith(("KB", "MB", "GB"))
        and digits != ""
        and digits[0] != "0"
        and not digits.strip(_DIGITS)
    )


def is_bandwidth_schema(text: str) -> bool:
    return text.startswith("MB:") and "\n" not in text


def is_cpu_list(text: str) -> bool:
    return not text.strip("0123456789, -")


def is_capability(text: str) -> bool:
    name = text[4:]
    return text.startswith("CAP_") and name != "" and not name.strip(_CAPITALS + "_")


def is_named(key: str) -> bool:
    """At least one character that `.` matches."""
    return key.strip("\n") != ""


PATTERNS: dict[str, tuple[Callable[[str], bool], str]] = {
    "^RLIMIT_[A-Z]+$": (is_rlimit, "the name of a resource limit, such as `RLIMIT_NOFILE`"),
    "^[cbup]$": (is_device_type, "a device type: `c`, `b`, `u` or `p`"),
    "^[1-9][0-9]*[KMG]B$": (is_page_size, "a page size, such as `2MB` or `1GB`"),
    "^MB:[^\\n]*$": (is_bandwidth_schema, "one line starting with `MB:`"),
    "^[0-9, -]*$": (is_cpu_list, "a list of CPU numbers, such as `0-3,7`"),
    "^CAP_[A-Z_]+$": (is_capability, "the name of a capability, such as `CAP_KILL`"),
    ".{1,}": (is_named, "a key that is not empty"),
}
