"""linux.uidMappings, linux.gidMappings: which ids of a user namespace are which of the host's (config-linux.md, User
namespace mappings).

What the kernel thinks of a map is in id_maps.py. The maps of a new namespace are written by runtime/idmaps.py while its first
process waits; of a joined one they are compared with the real ones there.
"""

from __future__ import annotations

from pyruntime.features import id_maps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyruntime.features.site import Site
    from pyruntime.plan.step import Step
    from pyruntime.spec.types import Config, IDMapping, ProcessUser

PROPERTIES = ("linux.uidMappings", "linux.gidMappings")


def rules(spec: Config) -> Iterator[tuple[str, str]]:
    linux = spec.get("linux", {})
    user = [row for row in linux.get("namespaces") or () if row["type"] == "user"]
    is_new = bool(user) and not user[0].get("path")
    maps = {
        "uidMappings": linux.get("uidMappings") or [],
        "gidMappings": linux.get("gidMappings") or [],
    }
    for name, rows in maps.items():
        if rows and not user:
            yield f"/linux/{name}", "mappings are for a user namespace, and the config has none"
        elif not rows and user and (is_new or any(maps.values())):
            words = name.removesuffix("Mappings") + " mappings"
            yield f"/linux/{name}", f"user namespaces enabled, but no {words} found"
        yield from id_maps.rules(f"/linux/{name}", rows)
    yield from _rules_of_user(spec.get("process", {}).get("user", {}), maps)


def _rules_of_user(
    user: ProcessUser, maps: dict[str, list[IDMapping]]
) -> Iterator[tuple[str, str]]:
    """An id outside the map does not exist in the container; the kernel would say EINVAL of all three alike."""
    wanted = [("uid", "uid", user.get("uid", 0)), ("gid", "gid", user.get("gid", 0))]
    for index, group in enumerate(user.get("additionalGids") or ()):
        wanted.append((f"additionalGids/{index}", "gid", group))
    for name, kind, number in wanted:
        rows = maps[f"{kind}Mappings"]
        if rows and not any(0 <= number - row["containerID"] < row["size"] for row in rows):
            yield f"/process/user/{name}", f"{kind} {number} is not in /linux/{kind}Mappings"


def plan(spec: Config, site: Site) -> Iterator[Step]:
    """Written from outside, so no step of the init's."""
    return iter(())
