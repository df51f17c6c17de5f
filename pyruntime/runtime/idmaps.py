"""Writes and compares the id maps of a user namespace, from outside (user_namespaces(7); config-linux.md, User
namespace mappings).

What is allowed is found out by trying: with CAP_SETUID and CAP_SETGID over our own user namespace the kernel takes
any map; without, it takes one id, our own, and of the groups only once setgroups is denied (CVE-2014-8989); for
anything else there are newuidmap and newgidmap, which may map what /etc/subuid and /etc/subgid give to a user. They
are taken from a fixed list of directories, never from PATH, get no environment and no word but numbers, and are
not believed: what counts is what the kernel shows afterwards (security: R-16, R-53).
"""

from __future__ import annotations

import errno
import posix

from pyruntime.errors import StepError
from pyruntime.lib.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.spec.types import IDMapping

    Mappings = list[IDMapping]

# /run/wrappers: where NixOS keeps set-uid programs. Only the administrator can write to any of them.
DIRECTORIES = (
    "/usr/bin", "/usr/local/bin", "/bin", "/usr/sbin", "/usr/local/sbin", "/sbin", "/run/wrappers/bin",
)  # fmt: skip
LINUX = "/linux"
"""Where the maps of the container's own user namespace stand in config.json; those of a mount: /mounts/N."""
OUTPUT_LIMIT = 4096  # bytes kept of what a mapping program says
PATIENCE_S = 30  # seconds a mapping program may take
MAP_LIMIT = 1 << 16  # 340 lines of three numbers
_OTHERS = 0o022  # a program that others than root may write to is not run
_SET_UID = 0o4000


def write(pid: int, uid_mappings: Mappings, gid_mappings: Mappings, place: str = LINUX) -> None:
    """Gives the new user namespace of `pid` its maps, and proves that it has them.

    `pid` is a child of ours that was not waited for, and dumpable if we are not privileged. Mappings are as in
    config.json, beneath `place`. Raises StepError, which names the property.
    """
    _write("gid", pid, gid_mappings, place)
    _write("uid", pid, uid_mappings, place)
    compare(pid, uid_mappings, gid_mappings, place)


def compare(pid: int, uid_mappings: Mappings, gid_mappings: Mappings, place: str = LINUX) -> None:
    """StepError unless the user namespace of `pid` has exactly these maps, however they are cut into lines."""
    for kind, mappings in (("gid", gid_mappings), ("uid", uid_mappings)):
        found = read_map(f"/proc/{pid}/{kind}_map", kind, place)
        if _joined(found) != _joined(_rows(mappings)):
            shown = ", ".join(" ".join(map(str, row)) for row in found) or "empty"
            pointer = _pointer(kind, place)
            raise StepError(
                f"the {kind} map of the user namespace is another one: {shown}",
                pointer,
                errno=errno.EINVAL,
            )


def read_map(path: str, kind: str, place: str = LINUX) -> list[tuple[int, int, int]]:
    """Rows of (first id inside, first id outside, how many) of a /proc/PID/uid_map or gid_map."""
    try:
        lines = read_file(path, MAP_LIMIT).splitlines()
    except OSError as error:
        pointer = _pointer(kind, place)
        raise StepError(f"read the {kind} map", pointer, errno=error.errno or 0) from error
    rows = []
    for line in lines:
        inside, outside, size = line.split()
        rows.append((int(inside), int(outside), int(size)))
    return rows


def missing_helper(kind: str) -> str:
    """Why ranges of this kind (uid, gid) cannot be had through newuidmap or newgidmap; empty if they can."""
    name = f"new{kind}map"
    path, problem = _find(name)
    return _powerless(kind, path) if path else f"{name} {problem}"


def _write(kind: str, pid: int, mappings: Mappings, place: str) -> None:
    rows = _rows(mappings)
    text = "".join("%d %d %d\n" % row for row in rows).encode()
    try:
        _put(f"/proc/{pid}/{kind}_map", text)
        return
    except PermissionError:
        pass
    except OSError as error:
        raise _failed(kind, error, _size_hint(text), place) from error
    own = posix.getegid() if kind == "gid" else posix.geteuid()
    if len(rows) == 1 and rows[0][1:] == (own, 1):
        _write_own(kind, pid, text, place)
    else:
        _ask_helper(kind, pid, rows, place)


def _write_own(kind: str, pid: int, text: bytes, place: str) -> None:
    """The one id an ordinary user may always map; for a group the kernel wants setgroups denied before."""
    try:
        if kind == "gid":
            _put(f"/proc/{pid}/setgroups", b"deny")
            denied = read_file(f"/proc/{pid}/setgroups", 64).strip()
            if denied != b"deny":
                raise OSError(errno.EINVAL, "setgroups is still allowed")
        _put(f"/proc/{pid}/{kind}_map", text)
    except OSError as error:
        raise _failed(kind, error, _restriction(), place) from error


def _ask_helper(kind: str, pid: int, rows: list[tuple[int, int, int]], place: str) -> None:
    name = f"new{kind}map"
    path, problem = _find(name)
    pointer = _pointer(kind, place)
    what = f"write the {kind} map"
    if not path:
        missing = _unmapped(kind, rows)
        raise StepError(
            what,
            pointer,
            errno=errno.EPERM,
            why=missing or f"{name} {problem}",
            hint=None if missing else _package_hint(kind),
        )
    from pyruntime.runtime import programs

    words = [path, str(int(pid)), *(str(number) for row in rows for number in row)]
    try:
        # A mapping program may ask the network who we are: a create must not hang with it.
        status, output = programs.answer(
            words, {}, limit_bytes=OUTPUT_LIMIT, patience_s=PATIENCE_S, stderr_too=True
        )
    except OSError as error:
        raise StepError(f"{what} by {path}", pointer, errno=error.errno or 0) from error
    if status:
        said = output.decode("utf-8", "backslashreplace").strip().removeprefix(f"{name}: ")
        ending = f"signal: {status & 0x7F}" if status & 0x7F else f"exit status {status >> 8}"
        raise StepError(
            what,
            pointer,
            why=f"{name}: {said or 'it said nothing'} ({ending})",
            hint=_helper_hint(kind, path, rows),
        )


def _find(name: str) -> tuple[str, str]:
    """(the program's path, ""), or ("", why there is none)."""
    problem = ""
    for directory in DIRECTORIES:
        path = f"{directory}/{name}"
        try:
            facts = posix.stat(path)
        except OSError:
            continue
        if facts.st_uid == 0 and not facts.st_mode & _OTHERS and posix.access(path, posix.X_OK):
            return path, ""
        if not problem:
            problem = f"in {directory} may not be executed or may be changed by others"
    return "", problem or "is not installed"


# What the reader can do. These look only when something has failed already.


def _package_hint(kind: str) -> str:
    return f"install the package uidmap or shadow-utils, which has new{kind}map, or map one id only: your own"


def _helper_hint(kind: str, path: str, rows: list[tuple[int, int, int]]) -> str | None:
    from pyruntime.lib import subids

    if missing := _unmapped(kind, rows):
        return missing
    if powerless := _powerless(kind, path):
        return powerless
    own = posix.getegid() if kind == "gid" else posix.geteuid()
    outer = [row for row in rows if row[1:] != (own, 1)]
    given = subids.ranges(kind)
    lists = f"/etc/sub{kind}"
    who = subids.user_name() or str(posix.geteuid())
    if not given:
        return f"{lists} has no range for {who}: {who}:100000:65536 would be one"
    for _, first, size in outer:
        if not any(start <= first and first + size <= start + count for start, count in given):
            return (
                f"{lists} does not give all of {first} to {first + size - 1} to {who}, but "
                + ", ".join(f"{start} to {start + count - 1}" for start, count in given)
            )
    return _restriction()


def _powerless(kind: str, path: str) -> str:
    """Why the program has no more rights than we have; empty if it has."""
    if not posix.stat(path).st_mode & _SET_UID and not _has_capabilities(path):
        return (
            f"{path} has neither the set-uid bit nor file capabilities: "
            f"chmod u+s {path}, or setcap cap_set{kind}+ep {path}"
        )
    if posix.statvfs(path).f_flag & posix.ST_NOSUID:
        return f"{path} is on a file system mounted nosuid"
    if b"\nNoNewPrivs:\t1\n" in read_file("/proc/self/status", 1 << 16):
        return f"no_new_privs is set for pyruntime, and so {path} gains no rights"
    return ""


def _unmapped(kind: str, rows: list[tuple[int, int, int]]) -> str:
    """Ids that do not exist in our own user namespace can be given to nobody."""
    try:
        ours = [(start, count) for start, _, count in read_map(f"/proc/self/{kind}_map", kind)]
    except StepError:
        return ""
    for _, first, size in rows:
        end = first
        for start, count in sorted(ours):  # neighbours may cover it together
            if start <= end < start + count:
                end = start + count
        if end < first + size:
            return f"{kind} {end} does not exist in the user namespace pyruntime runs in"
    return ""


def _has_capabilities(path: str) -> bool:
    try:
        return bool(posix.getxattr(path, "security.capability"))
    except OSError:
        return False


def _size_hint(text: bytes) -> str | None:
    page = posix.sysconf("SC_PAGE_SIZE")
    if len(text) < page:
        return None
    return (
        f"the kernel takes a map in one write of less than {page} bytes, this one has {len(text)}"
    )


def _restriction() -> str | None:
    """Distributions that keep user namespaces from ordinary users say so in a sysctl."""
    try:
        name = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
        if read_file(name, 64).strip() == b"1":
            return "kernel.apparmor_restrict_unprivileged_userns is 1: give pyruntime a profile with `userns,`"
    except OSError:
        pass
    return None


def _rows(mappings: Mappings) -> list[tuple[int, int, int]]:
    return [(row["containerID"], row["hostID"], row["size"]) for row in mappings]


def _joined(rows: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """In order, neighbours made one: a map is the same however it is cut."""
    joined: list[tuple[int, int, int]] = []
    for inside, outside, size in sorted(rows):
        if joined:
            last = joined[-1]
            if (last[0] + last[2], last[1] + last[2]) == (inside, outside):
                joined[-1] = (last[0], last[1], last[2] + size)
                continue
        joined.append((inside, outside, size))
    return joined


def _put(path: str, data: bytes) -> None:
    """The kernel takes a map in one write at the beginning, and only once."""
    fd = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW)
    try:
        posix.write(fd, data)
    finally:
        posix.close(fd)


def _failed(kind: str, error: OSError, hint: str | None, place: str) -> StepError:
    number, pointer = error.errno or 0, _pointer(kind, place)
    return StepError(f"write the {kind} map", pointer, errno=number, hint=hint)


def _pointer(kind: str, place: str) -> str:
    return f"{place}/{kind}Mappings"
