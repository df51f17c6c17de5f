"""What the schema cannot say about linux.resources. Pointers count from /linux/resources.

Only what is wrong on every host: what this kernel or this layout lacks is found by the driver, and bounds
that are the kernel's own (the shortest period, the largest weight) are left to the kernel's answer.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    Findings = Iterator[tuple[str, str]]

DIGITS = frozenset("0123456789")
LIST_LETTERS = frozenset("0123456789,-:/")
NAME_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
MAX_SWAPPINESS = 100
UNSET_SWAPPINESS = (-1, 2**64 - 1)  # as Docker writes it, and as Go then prints it
MAX_INTERFACE_BYTES = 15
# These move processes or kill them; they are the runtime's and no limits.
FORBIDDEN_UNIFIED = ("cgroup.procs", "cgroup.threads", "cgroup.kill", "cgroup.type")


def rules(resources: Mapping[str, Any], *, changing: bool = False) -> Findings:
    """(pointer, why) of each mistake. `changing`: of limits there are already, so a half of a pair is none."""
    yield from _devices(resources.get("devices") or ())
    if "memory" in resources:
        yield from _memory(resources["memory"], changing=changing)
    if "cpu" in resources:
        yield from _cpu(resources["cpu"])
    if "blockIO" in resources:
        yield from _block_io(resources["blockIO"])
    yield from _hugepages(resources.get("hugepageLimits") or ())
    yield from _network(resources.get("network") or {})
    yield from _rdma(resources.get("rdma") or {})
    yield from _unified(resources.get("unified") or {})


def _devices(rows: Any) -> Findings:
    for index, row in enumerate(rows):
        if row.get("type", "a") not in ("a", "b", "c", "u"):
            yield f"/devices/{index}/type", "a device rule is of type a, b, c or u"
        if not row.get("access"):
            yield f"/devices/{index}/access", f"device access at {index} field cannot be empty"
        elif row["access"].strip("rwma") or not set(row["access"]) & set("rwm"):
            yield f"/devices/{index}/access", "access is made of the letters r, w and m"
        for key in ("major", "minor"):
            if (row.get(key) or 0) < -1:
                yield f"/devices/{index}/{key}", "a device number is not negative; -1 means any"


def _memory(memory: Mapping[str, Any], *, changing: bool) -> Findings:
    for key in ("limit", "swap", "reservation"):
        if memory.get(key, 0) < -1:
            yield f"/memory/{key}", "a number of bytes, or -1 for no limit"
    limit, swap = memory.get("limit", 0), memory.get("swap", 0)
    if swap > 0:
        if not limit:
            if not changing:  # v2's controller says so even then
                yield "/memory/swap", "unable to set swap limit without memory limit"
        elif limit > swap:
            yield "/memory/swap", "swap counts memory too and is smaller than the memory limit"
    swappiness = memory.get("swappiness", 0)
    if not 0 <= swappiness <= MAX_SWAPPINESS and swappiness not in UNSET_SWAPPINESS:
        yield (
            "/memory/swappiness",
            f"invalid memory swappiness value: {swappiness} (valid range is 0-{MAX_SWAPPINESS})",
        )


def _cpu(cpu: Mapping[str, Any]) -> Findings:
    quota = cpu.get("quota", 0)
    if 0 < quota < (cpu.get("burst") or 0):
        yield "/cpu/burst", "burst may not be larger than quota"
    if cpu.get("idle", 0) not in (0, 1):
        yield "/cpu/idle", "idle is 0 or 1"
    for key in ("cpus", "mems"):
        if not LIST_LETTERS.issuperset(cpu.get(key) or ""):
            yield f"/cpu/{key}", "a list of numbers and ranges such as 0-3,7"


def _block_io(block: Mapping[str, Any]) -> Findings:
    for index, row in enumerate(block.get("weightDevice") or ()):
        if row.get("weight") is None and row.get("leafWeight") is None:
            yield f"/blockIO/weightDevice/{index}", "needs weight or leafWeight"


def _hugepages(rows: Any) -> Findings:
    for index, row in enumerate(rows):
        size = row["pageSize"]
        number, unit = size[:-2], size[-2:]
        if unit not in ("KB", "MB", "GB") or not number or not DIGITS.issuperset(number):
            yield f"/hugepageLimits/{index}/pageSize", "a size such as 64KB, 2MB or 1GB"


def _network(network: Mapping[str, Any]) -> Findings:
    for index, row in enumerate(network.get("priorities") or ()):
        name = row["name"]
        if not name or len(name) > MAX_INTERFACE_BYTES or not NAME_LETTERS.issuperset(name):
            yield f"/network/priorities/{index}/name", "not the name of a network interface"


def _rdma(rdma: Mapping[str, Any]) -> Findings:
    for device, row in rdma.items():
        if not device or not NAME_LETTERS.issuperset(device):
            yield f"/rdma/{_escaped(device)}", "not the name of an RDMA device"
        if row.get("hcaHandles") is None and row.get("hcaObjects") is None:
            yield f"/rdma/{_escaped(device)}", "needs hcaHandles or hcaObjects"


def _unified(unified: Mapping[str, str]) -> Findings:
    for key, value in unified.items():
        pointer = f"/unified/{_escaped(key)}"
        if "." not in key.strip(".") or not NAME_LETTERS.issuperset(key):
            yield pointer, "a key is a file of the form CONTROLLER.PARAMETER"
        elif key in FORBIDDEN_UNIFIED:
            yield pointer, "this file moves or ends processes and is not a limit"
        if not value or not value.isascii():
            yield pointer, "a value is plain, non-empty text"


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


# These say how a limit is set and are none.
NO_LIMITS = frozenset(("useHierarchy", "checkBeforeUpdate"))


def limits(resources: Mapping[str, Any]) -> list[str]:
    """The keys of linux.resources that ask for a limit: not zeros and -1, which engines write for none."""
    found = []
    for key, value in resources.items():
        if key == "pids":
            asks = (value or {}).get("limit", -1) >= 0
        elif key == "devices":
            asks = False
        elif key == "memory":  # no swapping at all is a wish too
            asks = _asks(value) or (value or {}).get("swappiness") == 0
        else:
            asks = _asks(value)
        if asks:
            found.append(key)
    return found


def _asks(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_asks(inner) for key, inner in value.items() if key not in NO_LIMITS)
    if isinstance(value, int):
        return value > 0 and value not in UNSET_SWAPPINESS
    return bool(value)


# memory: no kernel limits these any more. On v1 kernelTCP still is a limit.
_GONE = {"v2": ("kernel", "kernelTCP"), "v1": ("kernel",), "hybrid": ("kernel",)}
_KERNEL_MEMORY_ENDED = (
    5,
    16,
)  # memory.kmem.limit_in_bytes takes no value, or takes it without an effect


def effective(
    resources: Mapping[str, Any], mode: str, release: str
) -> tuple[dict[str, Any], list[str]]:
    """linux.resources as a host with that cgroup layout and kernel (uname -r) can have it, and warnings of what it
    cannot. A pids limit of zero means one process, the container's own, as for runc and systemd."""
    kept, warnings = dict(resources), []
    if (kept.get("pids") or {}).get("limit") == 0:
        kept["pids"] = {**kept["pids"], "limit": 1}
    memory = dict(kept.get("memory") or {})
    if mode == "v2" or _version(release) >= _KERNEL_MEMORY_ENDED:
        for key in _GONE.get(mode, ()):
            if (memory.pop(key, 0) or 0) > 0:
                kept["memory"] = memory
                warnings.append(
                    f"/linux/resources/memory/{key}: ignored, this kernel has no such limit any more"
                )
    return kept, warnings


def _version(release: str) -> tuple[int, int]:
    major, _, rest = release.partition(".")
    minor = rest.partition(".")[0].partition("-")[0]
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else (0, 0)
