"""linux.cgroupsPath and the view of the cgroups from inside, on every layout."""

from __future__ import annotations

from conformance.catalogue import test
from conformance.claims import differs, equal, holds
from conformance.place import Place
from tests.lib.box import unique_id
from tests.lib.hierarchies import joined, places

GROUP = "lifecycle-and-errors"


@test(requirements=(52,), leaves=("linux.cgroupsPath",))
def cgroups_path(place: Place) -> None:
    """config-linux.md, Cgroups Path: an absolute path is relative to the cgroups mount point."""
    name = unique_id()
    bundle = place.bundle().set("linux.cgroupsPath", f"/{name}-top/deep").inside("wait")
    with place.container(bundle) as box:
        box.create()
        equal(set(places(box.pid).values()), {f"/{name}-top/deep"}, "groups of the process")
        for hierarchy, top in joined().items():
            holds(
                (top / f"{name}-top/deep").is_dir(), f"the directory in {hierarchy or 'cgroup v2'}"
            )


@test(requirements=(52,), leaves=("linux.cgroupsPath",))
def cgroups_path_is_one_place(place: Place) -> None:
    """config-linux.md, Cgroups Path: the runtime MUST consistently attach to the same place given the same value."""
    value = f"{unique_id()}-relative"
    found = []
    for number in range(2):
        bundle = place.bundle(f"bundle-{number}").set("linux.cgroupsPath", value)
        with place.container(bundle) as box:
            box.create()
            found.append(places(box.pid))
    equal(found[1], found[0], "groups of the second container with the same path")


@test(requirements=(52,), leaves=("linux.cgroupsPath",))
def cgroups_path_tells_apart(place: Place) -> None:
    """config-linux.md, Cgroups Path: another value is another place."""
    found = []
    for number in range(2):
        bundle = place.bundle(f"bundle-{number}").set(
            "linux.cgroupsPath", f"/{unique_id()}-{number}"
        )
        with place.container(bundle) as box:
            box.create()
            found.append(places(box.pid))
    differs(found[1], found[0], "groups of a container with another path")
