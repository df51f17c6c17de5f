"""linux.namespaces: new, joined by path, inherited; hostname and domainname; what cannot be."""

from __future__ import annotations

import os

from conformance.catalogue import test
from conformance.claims import differs, equal, not_created
from conformance.place import Place
from tests.lib.bundle import Bundle
from tests.lib.namespaces import FILES, SUBORDINATE, Keeper, map_users

GROUP = "namespaces"
KINDS = tuple(FILES)


def with_namespace(bundle: Bundle, kind: str, path: str | None = None) -> Bundle:
    """A user namespace needs its maps; that of a path has its own."""
    if kind == "user" and path is None:
        return map_users(bundle, SUBORDINATE)
    if kind == "mount" and path is not None:  # it has what the keeper's mount namespace has
        bundle.set("mounts", bundle.get("mounts")[:1])
    return bundle.namespace(kind, path)


def own(kind: str) -> str:
    return os.readlink(f"/proc/self/ns/{FILES[kind]}")


@test(requirements=(45,), leaves=("linux.namespaces.*.type",), each=KINDS)
def new(place: Place, label: str) -> None:
    """config-linux.md, Namespaces: if path is not specified, the runtime MUST create a new container namespace of
    that type."""
    with place.container(
        with_namespace(place.bundle(), label).inside("report", "--", "wait")
    ) as box:
        box.create()
        equal(os.path.exists(f"/proc/{box.pid}"), True, "the process is there")
        box.start()
        box.expect("wait")
        differs(
            os.readlink(f"/proc/{box.pid}/ns/{FILES[label]}"), own(label), f"its {label} namespace"
        )
        if label == "pid":
            equal(box.facts.pid, 1, "its pid")
        box.kill("TERM")
        equal(box.wait(), 0, "the exit status")


@test(
    requirements=(45,),
    leaves=("linux.namespaces.*.type",),
    each=("pid", "network", "ipc", "uts", "cgroup", "user", "time"),
)
def inherited(place: Place, label: str) -> None:
    """config-linux.md, Namespaces: if a type is not specified, the container MUST inherit the runtime namespace."""
    bundle = place.bundle().without_namespace(label)
    seen = place.report(bundle).namespaces
    equal(seen[FILES[label]], own(label), f"its {label} namespace")


@test(
    requirements=(45,),
    leaves=("linux.namespaces.*.path", "linux.namespaces.*.type"),
    each=("pid", "network", "ipc", "uts", "cgroup", "time"),
)
def joined(place: Place, label: str) -> None:
    """config-linux.md, Namespaces: the runtime MUST place the container process in the namespace of that path."""
    keeper = place.stack.enter_context(Keeper(label))
    bundle = with_namespace(place.bundle(), label, keeper.path(label)).inside("wait")
    with place.container(bundle) as box:
        box.live()
        box.expect("wait")
        found = os.readlink(f"/proc/{box.pid}/ns/{FILES[label]}")
        equal(found, keeper.inode(label), f"its {label} namespace")


@test(requirements=(45,), leaves=("linux.namespaces.*.path",))
def joined_user(place: Place) -> None:
    """config-linux.md, Namespaces: the same for a user namespace and one that belongs to it."""
    keeper = place.stack.enter_context(Keeper("user", "network"))
    bundle = map_users(place.bundle(), keeper.maps, keeper.path("user"))
    bundle.namespace("network", keeper.path("network")).inside("wait")
    os.chmod(bundle.directory, 0o755)
    with place.container(bundle) as box:
        box.live()
        box.expect("wait")
        for kind in ("user", "network"):
            found = os.readlink(f"/proc/{box.pid}/ns/{FILES[kind]}")
            equal(found, keeper.inode(kind), f"its {kind} namespace")


@test(requirements=(45,), leaves=("linux.namespaces.*.path",))
def joined_mount(place: Place) -> None:
    """config-linux.md, Namespaces: the same for a mount namespace."""
    keeper = place.stack.enter_context(Keeper("mount"))
    with place.container(
        place.bundle().namespace("mount", keeper.path("mount")).inside("wait")
    ) as box:
        box.live()
        box.expect("wait")
        equal(os.readlink(f"/proc/{box.pid}/ns/mnt"), keeper.inode("mount"), "its mount namespace")


@test(
    requirements=(45, 16),
    leaves=("linux.namespaces.*.path",),
    each=("pid", "network", "ipc", "uts", "cgroup", "time"),
)
def path_of_another_type(place: Place, label: str) -> None:
    """config-linux.md, Namespaces: the runtime MUST generate an error if path is not associated with a namespace of
    type type."""
    other = "uts" if label != "uts" else "ipc"
    keeper = place.stack.enter_context(Keeper(other))
    with place.container(place.bundle().namespace(label, keeper.path(other))) as box:
        not_created(box, f"a {label} namespace with the path of a namespace of type {other}")


@test(
    requirements=(45, 16),
    leaves=("linux.namespaces.*.path",),
    each=("relative", "missing", "a file"),
)
def path_that_is_wrong(place: Place, label: str) -> None:
    """config-linux.md, Namespaces: this value MUST be an absolute path in the runtime mount namespace."""
    keeper = place.stack.enter_context(Keeper("network"))
    os.symlink(keeper.path("network"), place.directory / "net")
    (place.directory / "file").write_text("")
    relative = os.path.relpath(keeper.path("network"))
    paths = {
        "relative": relative,
        "missing": "/nowhere/net",
        "a file": str(place.directory / "file"),
    }
    with place.container(place.bundle().namespace("network", paths[label])) as box:
        not_created(box, f"a path that is {label}")


@test(requirements=(45,), leaves=("linux.namespaces.*.type",), each=KINDS)
def type_given_twice(place: Place, label: str) -> None:
    """config-linux.md, Namespaces: if namespaces contains duplicated namespaces with same type, the runtime MUST
    generate an error."""
    bundle = with_namespace(place.bundle(), label).add("linux.namespaces", {"type": label})
    with place.container(bundle) as box:
        not_created(box, f"two {label} namespaces")


@test(leaves=("hostname",), requirements=(15,))
def hostname(place: Place) -> None:
    """config.md, Hostname: the container's hostname as seen by processes running inside the container."""
    before = os.uname().nodename
    equal(
        place.report(place.bundle().hostname("a-name.example")).hostname,
        "a-name.example",
        "hostname",
    )
    equal(os.uname().nodename, before, "the runtime's own hostname")


@test(leaves=("domainname",), requirements=(15,))
def domainname(place: Place) -> None:
    """config.md, Domainname: the container's domainname as seen by processes running inside the container."""
    bundle = place.bundle().set("domainname", "example.org")
    equal(place.report(bundle).domainname, "example.org", "domainname")


@test(leaves=("hostname", "domainname"), requirements=(16,), each=("hostname", "domainname"))
def names_without_a_namespace(place: Place, label: str) -> None:
    """config.md, Hostname and Domainname: set in the container's UTS namespace; without one it would be the host's."""
    before = os.uname(), (open("/proc/sys/kernel/domainname").read())
    with place.container(place.bundle().without_namespace("uts").set(label, "x")) as box:
        not_created(box, f"{label} without a new UTS namespace")
    after = os.uname(), (open("/proc/sys/kernel/domainname").read())
    equal(after, before, "the names of the runtime's UTS namespace")
