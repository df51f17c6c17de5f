"""/etc/subuid and /etc/subgid: the ids a user may map into user namespaces of his own (subuid(5), subgid(5)).

A line is `user:first:count`, the user by name or by number, and both files list users, never groups. A line that
is none is skipped, as by newuidmap, whose word counts in the end.
"""

from __future__ import annotations

import posix

FILES = {"uid": "/etc/subuid", "gid": "/etc/subgid"}
PASSWD = "/etc/passwd"
LIMIT = 1 << 24  # bytes: a host may have many users, and what comes after is not read
LAST_ID = 4294967294  # one more means "no id"


def ranges(kind: str, uid: int | None = None) -> list[tuple[int, int]]:
    """(first, count) of each range of a user, in the file's order; none when there is no file. `kind` is uid or gid."""
    try:
        data = _read(FILES[kind])
    except OSError:
        return []
    return parse(data, owners(uid))


def parse(data: bytes, names: list[bytes]) -> list[tuple[int, int]]:
    """The ranges of whoever goes by one of these names."""
    found = []
    for line in data.splitlines():
        fields = line.split(b":")
        if len(fields) != 3 or fields[0] not in names:
            continue
        if not (_is_number(fields[1]) and _is_number(fields[2])):
            continue
        first, count = int(fields[1]), int(fields[2])
        if count and first + count - 1 <= LAST_ID:
            found.append((first, count))
    return found


def owners(uid: int | None = None) -> list[bytes]:
    """The user's number, and the names /etc/passwd knows for it."""
    number = b"%d" % (posix.geteuid() if uid is None else uid)
    return [number, *_names(number)]


def user_name(uid: int | None = None) -> str:
    """The user's name, empty when /etc/passwd has none."""
    names = owners(uid)[1:]
    return names[0].decode("utf-8", "backslashreplace") if names else ""


def _names(number: bytes) -> list[bytes]:
    try:
        data = _read(PASSWD)
    except OSError:
        return []
    rows = (line.split(b":") for line in data.splitlines())
    return [row[0] for row in rows if len(row) > 3 and row[2] == number and row[0]]


def _read(path: str) -> bytes:
    """These files are the administrator's, who may have made them links."""
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NOCTTY | posix.O_NONBLOCK)
    parts: list[bytes] = []
    try:
        while len(parts) < LIMIT >> 16 and (data := posix.read(fd, 1 << 16)):
            parts.append(data)
    finally:
        posix.close(fd)
    return b"".join(parts)


def _is_number(text: bytes) -> bool:
    return text.isdigit() and len(text) <= 10
