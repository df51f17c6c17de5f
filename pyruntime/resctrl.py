"""Groups of the resctrl file system: shares of caches and memory bandwidth, and their monitoring.

Kernel documentation: filesystems/resctrl.rst. A directory beneath the mount is a group: `schemata` says what its tasks
get, `tasks` who they are, `mon_groups/NAME` counts some of them apart. Knows groups, not containers: the rules of
linux.intelRdt are in features/intel_rdt.py. Everything is reached by single names from the proved mount down.

A holding has this shape: {"kind": "resctrl", "group": name or "/", "made": whether it is ours to remove, "monitor":
name or ""}.
"""

from __future__ import annotations

import posix
from errno import EINVAL

from pyruntime.errors import PyruntimeError, StepError, UnsupportedError
from pyruntime.lib import mountinfo
from pyruntime.lib.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

ROOT = "/"
RESERVED = frozenset(("info", "mon_groups", "mon_data", ".", ".."))
"""What stands beneath the mount and is no group."""
SHARED = (
    ("L3", "l3_cache", ("cbm_mask", "min_cbm_bits", "num_closids")),
    ("MB", "mem_bw", ("bandwidth_gran", "delay_linear", "min_bandwidth", "num_closids")),
)
COUNTED = (("mbm_stats", ("mbm_total_bytes", "mbm_local_bytes")), ("cmt_stats", ("llc_occupancy",)))
GONE = (2, 19)  # ENOENT, ENODEV
LIMIT = 65536  # bytes of a file
POINTER = "/linux/intelRdt"
_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC


class Groups:
    """The mounted file system; `with` closes it."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __enter__(self) -> Groups:
        return self

    def __exit__(self, *_: object) -> None:
        posix.close(self.fd)

    def open(self, *path: str) -> int:
        """The directory of a group, or what lies beneath it, name by name; the caller's to close, OSError."""
        fd = posix.dup(self.fd)
        try:
            for name in path:
                inner = posix.open("." if name == ROOT else name, _DIRECTORY, dir_fd=fd)
                fd, outer = inner, fd
                posix.close(outer)
        except BaseException:
            posix.close(fd)
            raise
        return fd

    def has(self, *path: str) -> bool:
        try:
            posix.close(self.open(*path))
        except FileNotFoundError:
            return False
        except OSError as error:  # a file of resctrl's own, such as `tasks`
            number = error.errno or 0
            raise StepError(
                f"open the resctrl group `{_title(path)}`", POINTER, errno=number
            ) from error
        return True

    def make(self, *path: str) -> None:
        """A group, or one for monitoring in a group."""
        try:
            above = self.open(*path[:-1])
            try:
                make_directory(path[-1], above)
            finally:
                posix.close(above)
        except OSError as error:
            raise self._failed(f"make the resctrl group `{_title(path)}`", error) from error

    def remove(self, *path: str) -> None:
        """Gone already, or never made, is success. Tasks left in it become those of the group above."""
        try:
            above = self.open(*path[:-1])
            try:
                remove_directory(path[-1], above)
            finally:
                posix.close(above)
        except OSError as error:
            if error.errno not in GONE and self._is_there(*path):
                raise self._failed(f"remove the resctrl group `{_title(path)}`", error) from error

    def _is_there(self, *path: str) -> bool:
        try:
            posix.close(self.open(*path))
        except OSError as error:
            return error.errno not in GONE
        return True

    def schemata(self, name: str) -> list[str]:
        """The lines, one per resource; none where the group is gone."""
        try:
            return [line.strip() for line in self._read("schemata", name).splitlines()]
        except FileNotFoundError:
            return []

    def write_schemata(self, name: str, lines: Iterable[str]) -> None:
        """Each line by one write(2), in their order."""
        for line in lines:
            self._write(f"write `{line}` to schemata", "schemata", line + "\n", name)

    def compare_schemata(self, name: str, lines: Iterable[str]) -> None:
        """StepError unless the group has just what the lines ask for."""
        have = parse_schemata(self._read("schemata", name))
        for resource, wanted in parse_schemata("\n".join(lines)).items():
            for domain, value in wanted.items():
                found = have.get(resource, {}).get(domain)
                if found != self._granted(resource, value):
                    raise StepError(
                        f"resctrl group `{name}`",
                        POINTER,
                        errno=EINVAL,
                        why=f"schemata do not match: {resource}:{domain} is {found or 'not there'} and not {value}",
                    )

    def _granted(self, resource: str, value: str) -> str:
        """Bandwidth is rounded up to what the hardware can keep apart."""
        if resource != "MB" or not value.isdigit():
            return value
        try:
            step = int(self._read("bandwidth_gran", "info", resource))
        except OSError:
            return value
        return str(-(-int(value) // step) * step) if step > 1 else value

    def tasks(self, name: str) -> list[int]:
        return [int(word) for word in self._read("tasks", name).split()]

    def assign(self, pid: int, *path: str) -> None:
        """The process is one of the group's tasks; what it starts later will be, too."""
        self._write(
            f"add process {pid} to the resctrl group `{_title(path)}`", "tasks", str(pid), *path
        )

    def stats(self, name: str, monitor: str) -> dict[str, Any]:
        """What the hardware can share, what the group gets of it, and what it has used, as `runc events` words it."""
        found: dict[str, Any] = {}
        for resource, key, facts in SHARED:
            if not self.has("info", resource):
                continue
            values = {fact: self._fact(fact, "info", resource) for fact in facts}
            found[f"{key}_info"] = {fact: value for fact, value in values.items() if value != ""}
            for ending, group in (("_schema_root", ROOT), ("_schema", name)):
                line = next(
                    (line for line in self.schemata(group) if line.startswith(f"{resource}:")), ""
                )
                found[key + ending] = line
        path = (name, "mon_groups", monitor) if monitor else (name,)
        for key, counters in COUNTED:
            rows = [row for row in self._counts(path, counters) if row]
            if rows:
                found[key] = rows
        return found

    def _counts(self, path: tuple[str, ...], counters: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        """Of each domain of the last cache, in their order."""
        try:
            fd = self.open(*path, "mon_data")
        except FileNotFoundError:
            return
        try:
            domains = sorted(row for row in posix.listdir(fd) if row.startswith("mon_L3_"))
        finally:
            posix.close(fd)
        for domain in domains:
            row = {name: self._fact(name, *path, "mon_data", domain) for name in counters}
            yield {name: value for name, value in row.items() if value.__class__ is int}

    def _fact(self, file: str, *path: str) -> int | str:
        """A number, or what is written instead: a mask, `Unavailable`; nothing where there is no such file."""
        try:
            text = self._read(file, *path).strip()
        except FileNotFoundError:
            return ""
        return int(text) if text.isdecimal() and file != "cbm_mask" else text

    def _read(self, file: str, *path: str) -> str:
        fd = self.open(*path)
        try:
            return read_file(file, LIMIT, fd).decode("ascii", "replace")
        finally:
            posix.close(fd)

    def _write(self, what: str, file: str, value: str, *path: str) -> None:
        try:
            above = self.open(*path)
            try:
                write_file(above, file, value)
            finally:
                posix.close(above)
        except OSError as error:
            raise self._failed(what, error) from error

    def _failed(self, what: str, error: OSError) -> StepError:
        """With what the file system itself has to say of its last refusal."""
        number, why = error.errno or 0, ""
        try:
            status = self._read("last_cmd_status", "info").split()
            why = "" if status == ["ok"] else " ".join(status)
        except OSError:
            pass  # none is told by kernels before 4.16
        return StepError(what, POINTER, errno=number, why=why)


def find() -> Groups | None:
    """The file system where it is mounted; None where it is not."""
    for place, device in mountinfo.find(b"resctrl"):
        try:
            fd = posix.open(place, _DIRECTORY)
        except OSError:
            continue
        if posix.fstat(fd).st_dev == device:
            return Groups(fd)
        posix.close(fd)  # something else was mounted over it
    return None


def need() -> Groups:
    groups = find()
    if groups is None:
        raise UnsupportedError(
            "intelRdt",
            POINTER,
            why="no resctrl file system is mounted: no such device",
            hint="on a processor with RDT: mount -t resctrl resctrl /sys/fs/resctrl",
        )
    return groups


def parse_schemata(text: str) -> dict[str, dict[str, str]]:
    """{resource: {domain: value}}, values without leading zeros, in lower case."""
    found: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        resource, _, rest = line.strip().partition(":")
        for pair in rest.split(";"):
            domain, equals, value = pair.partition("=")
            if equals:
                plain = value.strip().lower().lstrip("0") or "0"
                found.setdefault(resource.strip(), {})[domain.strip()] = plain
    return found


def release(holding: dict[str, Any]) -> None:
    """Removes what was made; gone already, with the mount perhaps, is success."""
    group, monitor = _names(holding)
    groups = find()
    if groups is None:
        return
    with groups:
        if monitor:
            groups.remove(group, "mon_groups", monitor)
        if holding.get("made"):
            groups.remove(group)


def _names(holding: dict[str, Any]) -> tuple[str, str]:
    """A holding is read by whoever may delete: nothing in it may lead out of the mount (security: R-51)."""
    group, monitor = holding.get("group"), holding.get("monitor")
    for name in (group, monitor):
        single = isinstance(name, str) and not {"/", "\0"}.intersection(name)
        if not (single or name == ROOT) or name in RESERVED:
            raise PyruntimeError("the record of the container's resctrl group is damaged")
    if monitor == ROOT or not group or (group == ROOT and holding.get("made")):
        raise PyruntimeError("the record of the container's resctrl group is damaged")
    return str(group), str(monitor)


def _title(path: tuple[str, ...]) -> str:
    return "/".join(path).replace("//", "/")


def make_directory(name: str, dir_fd: int) -> None:
    posix.mkdir(name, 0o755, dir_fd=dir_fd)


def remove_directory(name: str, dir_fd: int) -> None:
    posix.rmdir(name, dir_fd=dir_fd)


def write_file(dir_fd: int, name: str, value: str) -> None:
    """One write(2), or the value would be taken for two."""
    fd = posix.open(name, posix.O_WRONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW, dir_fd=dir_fd)
    try:
        posix.write(fd, value.encode("ascii"))
    finally:
        posix.close(fd)
