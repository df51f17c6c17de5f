"""A user namespace for whoever may not make containers without one (security: R-53).

`--map-root-user`, named after the option of unshare(1), adds to a config.json without a user namespace a new one:
its root is the caller, its further ids are what /etc/subuid and /etc/subgid give to the caller, one range after the
other from 1 on. Whoever has the rights, and a config that has a user namespace, get what config.json says. The flag
is asked for, never assumed: a container that silently sees other owners of its files would be another container.

A config.json that has a new user namespace and no mappings gets them as from crun: the caller is the user of the process,
the further ids fill the rest. runc refuses it.
"""

from __future__ import annotations

import posix
from errno import EPERM

from pyruntime.errors import SpecError, StepError
from pyruntime.features import user_mappings
from pyruntime.features.namespaces import is_unmapped
from pyruntime.kernel import calls
from pyruntime.kernel.native import lib
from pyruntime.lib import jsondoor, subids
from pyruntime.runtime import idmaps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyruntime.lib.log import Log
    from pyruntime.runtime.request import CreateRequest
    from pyruntime.spec.types import Config

FLAG = "--map-root-user"
MOST_LINES = 340  # of a map; user_namespaces(7)
POINTER = "/linux/namespaces"
CAPABILITIES = {"uid": lib.CAP_SETUID, "gid": lib.CAP_SETGID}
"""What spares the caller the mapping program."""

Range = tuple[int, int]
"""(first id, one beyond the last)"""


def prepare(spec: Config, data: bytes, request: CreateRequest) -> bytes:
    """For a caller without CAP_SYS_ADMIN: sees to a user namespace, in `spec` and in the bytes that are saved for
    `exec`, which are returned. StepError when neither config.json nor the flag asks for one."""
    linux = spec.setdefault("linux", {})
    namespaces = linux.get("namespaces") or []
    if any(entry["type"] == "user" for entry in namespaces):
        return _with_maps(spec, request) if is_unmapped(linux) else data
    if not request.map_root_user:
        raise StepError(
            "rootless container requires user namespaces",
            POINTER,
            errno=EPERM,
            why="config.json has none",
            hint=f"{FLAG} makes one, and `spec --rootless` writes a config.json that has one",
        )
    linux["namespaces"] = [*namespaces, {"type": "user"}]
    told = _map(spec, {"uid": 0, "gid": 0}, request.log, FLAG)
    request.log.debug(f"{FLAG}: a new user namespace, inside = outside: {told}")
    return jsondoor.dumps(spec).encode()


def _with_maps(spec: Config, request: CreateRequest) -> bytes:
    user = spec.get("process", {}).get("user", {})
    place = {"uid": user.get("uid", 0), "gid": user.get("gid", 0)}
    told = _map(spec, place, request.log, "a config without mappings")
    request.log.warning(
        f"{POINTER}: a new user namespace without mappings gets these, inside = outside: {told}"
    )
    return jsondoor.dumps(spec).encode()


def _map(spec: Config, place: dict[str, int], log: Log, asked: str) -> str:
    """Puts mappings with the caller at that place into the config, and tells them."""
    told = []
    linux: Any = spec["linux"]
    for kind, own in (("uid", posix.geteuid()), ("gid", posix.getegid())):
        ranges = _usable(kind, log)
        rows = mappings(own, ranges, place[kind] if ranges else 0)
        linux[f"{kind}Mappings"] = rows
        told += [f"{kind} {_shown(row)}" for row in rows]
    findings = [(pointer, why, "") for pointer, why in user_mappings.rules(spec)]
    if findings:
        raise SpecError(findings, hint=f"{asked} can have these ids: {', '.join(told)}")
    return ", ".join(told)


def mappings(own: int, ranges: list[Range], place: int = 0) -> list[dict[str, int]]:
    """`place` is `own`, and the other ids from 0 on are the ranges in their order; no id outside is taken twice."""
    rows = [_row(place, own, 1)]
    taken = [(own, own + 1)]
    following = 0
    for whole in ranges:
        for start, end in _without(whole, taken):
            while start < end:
                if following == place:
                    following += 1
                stop = place if following < place else subids.LAST_ID + 1
                count = min(end - start, stop - following)
                if len(rows) == MOST_LINES or not count:
                    return rows
                rows.append(_row(following, start, count))
                following += count
                start += count  # noqa: PLW2901
        taken.append(whole)
    return rows


def _usable(kind: str, log: Log) -> list[Range]:
    """The caller's ranges as far as they exist in the user namespace we are in: in a container, /etc/subuid is the
    image's and may speak of ids that only the host has."""
    ours = sorted(
        (first, first + size) for first, _, size in idmaps.read_map(f"/proc/self/{kind}_map", kind)
    )
    found = []
    for first, count in subids.ranges(kind):
        for low, high in ours:
            if max(first, low) < min(first + count, high):
                found.append((max(first, low), min(first + count, high)))
    direct = calls.permitted_capabilities() >> CAPABILITIES[kind] & 1
    problem = idmaps.missing_helper(kind) if found and not direct else ""
    if problem:
        log.warning(f"{problem}: {subids.FILES[kind]} is of no use, and one {kind} is mapped")
        return []
    return found


def _without(whole: Range, taken: list[Range]) -> list[Range]:
    """What of a range is in none of the others."""
    pieces, (start, end) = [], whole
    for low, high in sorted(taken):
        if low >= end or high <= start:
            continue
        if start < low:
            pieces.append((start, low))
        start = max(start, high)
    if start < end:
        pieces.append((start, end))
    return pieces


def _row(inside: int, outside: int, size: int) -> dict[str, int]:
    return {"containerID": inside, "hostID": outside, "size": size}


def _shown(row: dict[str, int]) -> str:
    inside, outside, size = row["containerID"], row["hostID"], row["size"]
    if size == 1:
        return f"{inside} = {outside}"
    return f"{inside}-{inside + size - 1} = {outside}-{outside + size - 1}"
