"""delete, and a failed create, leave the host as it was; and touch nothing that is not theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from conformance.catalogue import test
from conformance.claims import absent, equal, holds, not_created, nothing_new, succeeded
from conformance.place import Place
from tests.lib import leaks
from tests.lib.bundle import Bundle
from tests.lib.hierarchies import joined
from tests.lib.namespaces import SUBORDINATE, Keeper, map_users

GROUP = "delete-leaves-nothing"


def plain(place: Place) -> Bundle:
    return place.bundle()


def with_mounts(place: Place) -> Bundle:
    source = place.directory / "source"
    source.mkdir()
    return (
        place.bundle()
        .bind(source, "/data")
        .mount("/t", "tmpfs", "tmpfs")
        .mount("/sys", "sysfs", "sysfs")
    )


def with_limits(place: Place) -> Bundle:
    bundle = place.bundle().set(
        "linux.resources", {"memory": {"limit": 64 << 20}, "pids": {"limit": 50}}
    )
    return bundle.set("linux.resources.devices", [{"allow": False, "access": "rwm"}])


def with_users(place: Place) -> Bundle:
    return map_users(place.bundle(), SUBORDINATE)


def with_view(place: Place) -> Bundle:
    return place.bundle().namespace("cgroup").mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro")


def with_hooks(place: Place) -> Bundle:
    bundle = place.bundle()
    for kind in ("prestart", "createRuntime", "createContainer", "poststart", "poststop"):
        bundle.hook(kind, "/bin/sh", "-c", "cat > /dev/null")
    return bundle


KINDS: dict[str, Any] = {
    "plain": plain,
    "mounts": with_mounts,
    "limits": with_limits,
    "users": with_users,
    "cgroup view": with_view,
    "hooks": with_hooks,
}


def state_files(root: Path) -> list[str]:
    """What is below the runtime's root directory for its state, but for empty directories of its own."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())


@test(requirements=(19,), leaves=("linux.cgroupsPath",), each=KINDS)
def delete(place: Place, label: str) -> None:
    """runtime.md, Delete: deleting a container MUST delete the resources that were created during create."""
    bundle = KINDS[label](place)
    before = leaks.Host.now()
    with place.container(bundle) as box:
        equal(box.finish_all(), 0, "the exit status")
        succeeded(box.delete(check=False), "delete")
        absent(box)
        nothing_new(before, "what is on the host that was not before")
        holds(not any(box.id in name for name in state_files(box.root)), "files of its state")
    nothing_new(before, "what is on the host that was not before")


@test(requirements=(19,))
def delete_ends_what_is_left(place: Place) -> None:
    """runtime.md, Delete: the container's other processes live on in its cgroup where it has no pid namespace; the
    resources that create made cannot be deleted before they are gone."""
    bundle = place.bundle().without_namespace("pid").inside("spawn", "--", "exit", "0")
    before = leaks.Host.now()
    with place.container(bundle) as box:
        equal(box.finish_all(), 0, "the exit status")
        succeeded(box.delete(check=False), "delete")
        absent(box)
        leaks.reap_ended(before)
        equal(sorted(leaks.marked_cgroups() - before.cgroups), [], "cgroups that are left")


@test(requirements=(19,))
def what_others_made_stays(place: Place) -> None:
    """runtime.md, Delete: resources associated with the container, but not created by this container, MUST NOT be
    deleted: a namespace it joined, files it mounted, a group beside its own."""
    source = place.directory / "source"
    source.mkdir()
    (source / "file").write_text("kept")
    keeper = place.stack.enter_context(Keeper("network"))
    bundle = place.bundle().namespace("network", keeper.path("network")).bind(source, "/data")
    with place.container(bundle) as box:
        beside = [top / f"{box.id}-beside" for top in joined().values()]
        for path in beside:
            path.mkdir()
            place.stack.callback(path.rmdir)
        equal(box.finish_all(), 0, "the exit status")
        succeeded(box.delete(check=False), "delete")
    equal((source / "file").read_text(), "kept", "a file that was mounted")
    holds(Path(keeper.path("network")).exists(), "the namespace that it joined")
    equal([str(path) for path in beside if not path.exists()], [], "groups of others that are gone")
    holds(
        (bundle.rootfs / "inside").exists() and (bundle.directory / "config.json").exists(),
        "the bundle",
    )


FAILING: dict[str, tuple[str, Any]] = {
    "a mount": ("mounts.2.type", "nonsensefs"),
    "a namespace": ("linux.namespaces.0.path", "/nowhere"),
    "a limit": ("linux.resources", {"cpu": {"cpus": "4095"}}),
    "a sysctl": ("linux.sysctl", {"no.such.key": "1"}),
    "a hook": ("hooks", {"createRuntime": [{"path": "/bin/false"}]}),
    "a filter": ("linux.seccomp", {"defaultAction": "SCMP_ACT_NONSENSE"}),
    "a device": ("linux.devices", [{"path": "/dev/x", "type": "z", "major": 1, "minor": 1}]),
}


@test(requirements=(11, 16), each=FAILING)
def failed_create(place: Place, label: str) -> None:
    """runtime.md, Errors: generating an error MUST leave the state of the environment as if the operation were never
    attempted."""
    path, wrong = FAILING[label]
    bundle = with_mounts(place).set(path, wrong)
    names = sorted(str(name) for name in bundle.rootfs.iterdir())
    before = leaks.Host.now()
    with place.container(bundle) as box:
        not_created(box, f"{label} that cannot be")
        nothing_new(before, "what is on the host that was not before")
        holds(not any(box.id in name for name in state_files(box.root)), "files of its state")
    holds(set(names) <= {str(name) for name in bundle.rootfs.iterdir()}, "the root file system")


@test(requirements=(11, 19), each=("state", "start", "kill", "delete"))
def operations_on_nothing(place: Place, label: str) -> None:
    """runtime.md, Errors: as if the operation were never attempted, also where there is no container."""
    before = leaks.Host.now()
    with place.container(place.bundle()) as box:
        outcome = box.call(label, box.id)
        holds(outcome.code != 0, f"{label} of nothing", str(outcome))
        nothing_new(before, "what is on the host that was not before")
        equal(state_files(box.root) if box.root.exists() else [], [], "files of state")
