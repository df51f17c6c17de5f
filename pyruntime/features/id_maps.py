"""The kernel's rules for a map of ids (user_namespaces(7)), wherever config.json has one: a wrong map is refused before
anything exists rather than by an EINVAL of the write.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


MOST_LINES = 340  # UID_GID_MAP_MAX_EXTENTS of the kernel
LAST_ID = 4294967294  # one more is (uid_t)-1, "no id"


def rules(pointer: str, rows: Any) -> Iterator[tuple[str, str]]:
    if len(rows) > MOST_LINES:
        yield pointer, f"{len(rows)} mappings; the kernel takes {MOST_LINES}"
    for index, row in enumerate(rows):
        if not row["size"]:
            yield f"{pointer}/{index}/size", "a mapping of nothing"
        for name in ("containerID", "hostID"):
            if row[name] + row["size"] - 1 > LAST_ID:
                yield f"{pointer}/{index}/{name}", f"the mapping goes beyond id {LAST_ID}"
    for name in ("containerID", "hostID"):
        order = sorted(range(len(rows)), key=lambda index: int(rows[index][name]))
        for place in range(1, len(order)):
            first, second = sorted(order[place - 1 : place + 1])
            low, high = sorted((rows[first], rows[second]), key=lambda row: int(row[name]))
            if low[name] + low["size"] > high[name]:
                yield f"{pointer}/{second}", f"overlaps with mapping {first} ({name})"
