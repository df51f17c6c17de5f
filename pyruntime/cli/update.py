"""`update`: changes limits of a container that runs."""

from __future__ import annotations

from pyruntime import errors
from pyruntime.cli.options import Verb
from pyruntime.runtime import container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyruntime.cli.main import Call

VERB = Verb(
    "changes limits of a container that runs",
    (
        ("resources", "r", "FILE", "JSON of linux.resources, - for stdin; flags of its limits do not count then"),
        ("memory", "", "SIZE", "memory limit, as 512m or in bytes; -1 for none"),
        ("memory-swap", "", "SIZE", "limit of memory and swap together; -1 for none"),
        ("memory-reservation", "", "SIZE", "soft limit of memory"),
        ("cpu-period", "", "US", "period of the CPU bandwidth, in microseconds"),
        ("cpu-quota", "", "US", "time per period; -1 for no limit"),
        ("cpu-burst", "", "US", "time that may be saved up"),
        ("cpu-share", "", "SHARES", "weight against others (shares of v1)"),
        ("cpu-rt-period", "", "US", "period of the real-time bandwidth (v1)"),
        ("cpu-rt-runtime", "", "US", "real-time bandwidth (v1)"),
        ("cpu-idle", "", "0|1", "1: runs only when nothing else would"),
        ("cpuset-cpus", "", "LIST", "CPUs it may use, as 0-2,4"),
        ("cpuset-mems", "", "LIST", "memory nodes it may use"),
        ("blkio-weight", "", "WEIGHT", "share of block I/O, 10 to 1000"),
        ("pids-limit", "", "COUNT", "number of processes; -1 for no limit"),
        ("l3-cache-schema", "", "LINE", "share of the L3 cache (resctrl), as L3:0=7f0;1=1f"),
        ("mem-bw-schema", "", "LINE", "share of the memory bandwidth (resctrl), as MB:0=20;1=70"),
        ("kernel-memory", "", "SIZE", ""),
        ("kernel-memory-tcp", "", "SIZE", ""),
    ),
    "ID",
    1,
)  # fmt: skip
# Flag: (section, key of linux.resources)
NUMBERS = {
    "cpu-period": ("cpu", "period"),
    "cpu-quota": ("cpu", "quota"),
    "cpu-burst": ("cpu", "burst"),
    "cpu-share": ("cpu", "shares"),
    "cpu-rt-period": ("cpu", "realtimePeriod"),
    "cpu-rt-runtime": ("cpu", "realtimeRuntime"),
    "cpu-idle": ("cpu", "idle"),
    "blkio-weight": ("blockIO", "weight"),
    "pids-limit": ("pids", "limit"),
}
SIGNED = ("cpu-quota", "cpu-rt-runtime", "pids-limit")
SIZES = {
    "memory": ("memory", "limit"),
    "memory-swap": ("memory", "swap"),
    "memory-reservation": ("memory", "reservation"),
}
TEXTS = {"cpuset-cpus": ("cpu", "cpus"), "cpuset-mems": ("cpu", "mems")}
# Flag: key of linux.intelRdt. They count beside a file, too.
SHARES = {"l3-cache-schema": "l3CacheSchema", "mem-bw-schema": "memBwSchema"}
UNITS = "kmgtp"
LARGEST = 1 << 63


def run(call: Call) -> int:
    from pyruntime.runtime import updating

    found = container.find(call.root, call.arguments[0])
    updating.reach(found.record)  # before stdin is read
    resources = _resources(call.options)
    rdt: Any = {key: call.options[flag] for flag, key in SHARES.items() if call.options[flag]}
    updating.check(resources, rdt)
    with found.entry as entry:
        entry.lock()
        updating.update(entry, resources, rdt, call.to_log())
    return 0


def _resources(options: dict[str, Any]) -> dict[str, Any]:
    if options["resources"]:
        return _from_file(options["resources"])
    resources: dict[str, dict[str, Any]] = {}
    for flag, (section, key) in (*NUMBERS.items(), *SIZES.items(), *TEXTS.items()):
        text = options[flag]
        if not text:
            continue
        if flag in TEXTS:
            value: int | str = text
        else:
            value = _size(flag, text) if flag in SIZES else _number(flag, text)
        resources.setdefault(section, {})[key] = value
    return resources


def _from_file(path: str) -> dict[str, Any]:
    from pyruntime.spec import load

    where = "the resources on stdin" if path == "-" else f"resources file `{path}`"
    data = load.read_stdin(where) if path == "-" else load.read_file(path, where)
    try:
        resources: dict[str, Any] = load.parse(data, where, "resources")
    except errors.SpecError as error:
        # Read once: nobody else can be asked to explain it.
        raise errors.BundleError(errors.list_findings(error.findings, where)) from None
    return resources


def _number(flag: str, text: str) -> int:
    digits = text.removeprefix("-") if flag in SIGNED else text
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20 and int(digits) < LARGEST):
        raise errors.UsageError(f"invalid value for {flag}: {text}")
    return int(text)


def _size(flag: str, text: str) -> int:
    """Bytes, or with a unit of 1024: k, m, g, t, p, also as kb and kib, in either case; -1 for no limit."""
    if text == "-1":
        return -1
    word = text.lower().removesuffix("b").removesuffix("i")
    power = UNITS.find(word[-1:]) + 1 if word[-1:] else 0
    number = (word[:-1] if power else word).rstrip(" ")
    whole, dot, part = number.partition(".")
    if not (whole + part).isdigit() or not (whole + part).isascii() or (dot and not part):
        raise errors.UsageError(f"invalid value for {flag}: {text}")
    scale = 1 << 10 * power
    value: int = int(whole or "0") * scale + int(part or "0") * scale // 10 ** len(part)
    if value >= LARGEST:
        raise errors.UsageError(f"invalid value for {flag}: {text}")
    return value
