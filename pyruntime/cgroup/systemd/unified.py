"""linux.resources.unified as properties: the files of cgroup v2 that systemd would write itself at its next reload."""

from __future__ import annotations

from pyruntime.cgroup.systemd import properties as words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyruntime.cgroup.systemd.properties import Property

NUMBERS = {
    "memory.max": "MemoryMax",
    "memory.high": "MemoryHigh",
    "memory.low": "MemoryLow",
    "memory.min": "MemoryMin",
    "memory.swap.max": "MemorySwapMax",
    "pids.max": "TasksMax",
    "cpu.weight": "CPUWeight",
}


def properties(unified: Mapping[str, str], version: int) -> Iterator[Property]:
    """What is no number here is left to the kernel, which says what is wrong with it."""
    for name, text in unified.items():
        if name in NUMBERS and (value := _number(text)) >= 0:
            yield NUMBERS[name], ("t", value)
        elif name == "cpu.idle" and text == "1" and version >= words.IDLE_SINCE:
            yield "CPUWeight", ("t", 0)
        elif name == "cpu.max":
            quota, _, period = text.partition(" ")
            share = -1 if quota == "max" else _number(quota)
            length = _number(period or "0")
            if share and 0 <= length < words.NO_LIMIT:
                yield from words.bandwidth(share, length)
        elif name == "cpuset.cpus":
            yield from words.cpuset(text, "", version)
        elif name == "cpuset.mems":
            yield from words.cpuset("", text, version)


def _number(text: str) -> int:
    """-1 for what is none, also where the kernel takes a unit (`64M`)."""
    if text == "max":
        return words.NO_LIMIT
    units = {"k": 10, "m": 20, "g": 30, "t": 40}
    shift = units.get(text[-1:].lower(), 0)
    digits = text[:-1] if shift else text
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        return -1
    value = int(digits) << shift
    return value if value < words.NO_LIMIT else -1
