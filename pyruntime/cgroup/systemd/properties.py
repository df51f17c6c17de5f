"""What systemd is told of a container's unit: org.freedesktop.systemd1(5), as (name, (signature, value)).

The limits are those that systemd has a word for, in runc's form: on v1 the old words, which systemd keeps for it. systemd
rounds some; the files are written after it. What it has no word for (throttles, huge pages, RDMA) it leaves alone.
"""

from __future__ import annotations

from pyruntime.cgroup.v2 import cpu as v2_cpu
from pyruntime.cgroup.v2 import io as v2_io
from pyruntime.cgroup.v2 import memory as v2_memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from pyruntime.cgroup.systemd.names import Unit

    Property = tuple[str, tuple[str, Any]]

NO_LIMIT = 2**64 - 1
SECOND_US = 1_000_000
PERCENT_US = SECOND_US // 100
HIGHEST_NUMBER = 1 << 16  # of a CPU or a memory node
# The first versions that know a word.
IDLE_SINCE, CPUSET_SINCE = 252, 244


def of_unit(unit: Unit, description: str, pid: int, *, unified: bool) -> list[Property]:
    """Of a new scope that takes in the process `pid`, or of a new slice, which takes in none by itself."""
    found: list[Property] = [("Description", ("s", description))]
    if unit.is_slice:
        found.append(("Wants", ("as", [unit.slice])))
    else:
        found += [
            ("Slice", ("s", unit.slice)),
            ("Delegate", ("b", True)),
            ("PIDs", ("au", [pid])),
        ]
    for name in ("Memory", "CPU", "IO" if unified else "BlockIO", "Tasks"):
        found.append((f"{name}Accounting", ("b", True)))
    return [*found, ("DefaultDependencies", ("b", False))]


def of_resources(
    resources: Mapping[str, Any], *, unified: bool, version: int
) -> Iterator[Property]:
    """Of the limits in linux.resources; device rules are in `devices`."""
    if memory := resources.get("memory"):
        yield from _memory(memory, unified=unified)
    if cpu := resources.get("cpu"):
        yield from _cpu(cpu, unified=unified, version=version)
    if pids := (resources.get("pids") or {}).get("limit"):
        yield "TasksMax", ("t", number(pids))
    elif pids == 0:
        yield "TasksMax", ("t", 1)  # systemd takes no zero; the file does
    if weight := (resources.get("blockIO") or {}).get("weight"):
        yield (
            ("IOWeight", ("t", v2_io.weight(weight)))
            if unified
            else ("BlockIOWeight", ("t", weight))
        )
    if unified:
        from pyruntime.cgroup.systemd import unified as files

        yield from files.properties(resources.get("unified") or {}, version)


def _memory(memory: Mapping[str, Any], *, unified: bool) -> Iterator[Property]:
    if limit := memory.get("limit", 0):
        yield "MemoryMax" if unified else "MemoryLimit", ("t", number(limit))
    if not unified:
        return
    swap = v2_memory.swap_alone(memory.get("swap", 0), limit)
    if swap is not None:
        yield "MemorySwapMax", ("t", number(swap))
    if reservation := memory.get("reservation", 0):
        yield "MemoryLow", ("t", number(reservation))


def _cpu(cpu: Mapping[str, Any], *, unified: bool, version: int) -> Iterator[Property]:
    if unified and cpu.get("idle") == 1 and version >= IDLE_SINCE:
        yield "CPUWeight", ("t", 0)
    elif shares := cpu.get("shares", 0):
        yield (
            ("CPUWeight", ("t", v2_cpu.weight(shares))) if unified else ("CPUShares", ("t", shares))
        )
    yield from bandwidth(cpu.get("quota", 0), cpu.get("period", 0))
    yield from cpuset(cpu.get("cpus") or "", cpu.get("mems") or "", version)


def bandwidth(quota: int, period: int) -> Iterator[Property]:
    """systemd counts in whole percents of a CPU: rounded up, or a group beneath could not have what it was promised."""
    if period:
        yield "CPUQuotaPeriodUSec", ("t", period)
    if quota > 0:
        share = quota * SECOND_US // (period or v2_cpu.DEFAULT_PERIOD_US)
        yield "CPUQuotaPerSecUSec", ("t", -(-share // PERCENT_US) * PERCENT_US)
    elif quota or period:
        yield "CPUQuotaPerSecUSec", ("t", NO_LIMIT)


def cpuset(cpus: str, mems: str, version: int) -> Iterator[Property]:
    for name, text in (("AllowedCPUs", cpus), ("AllowedMemoryNodes", mems)):
        if text and version >= CPUSET_SINCE and (bits := bitmask(text)):
            yield name, ("ay", bits)


def bitmask(text: str) -> bytes:
    """A list of the kernel's (`0-3,7`, `0-15:2/4`), item n being bit n % 8 of byte n // 8; empty where it is none:
    then the kernel says what is wrong with it."""
    bits = 0
    try:
        for part in text.split(","):
            if not part:
                continue
            numbers, _, group = part.partition(":")
            first, _, last = numbers.partition("-")
            low, high = int(first), int(last or first)
            used, _, size = (group or "1/1").partition("/")
            if not (low <= high < HIGHEST_NUMBER and 0 < int(used) <= int(size)):
                return b""
            for start in range(low, high + 1, int(size)):
                for each in range(start, min(start + int(used), high + 1)):
                    bits |= 1 << each
    except ValueError:
        return b""
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little")


def unset(name: str, kind: str) -> tuple[str, Any]:
    """What takes back a limit that was not there before."""
    if kind == "ay":
        return kind, b""
    if kind == "s":
        return kind, "auto"  # DevicePolicy
    return kind, 0 if name in ("MemoryLow", "MemoryMin") else NO_LIMIT


def number(limit: int) -> int:
    return NO_LIMIT if limit == -1 else limit
