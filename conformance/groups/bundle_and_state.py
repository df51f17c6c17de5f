"""The bundle, the state, annotations, and what becomes of properties and values that are not the specification's."""

from __future__ import annotations

import shutil
from typing import Any

from conformance.catalogue import test
from conformance.claims import absent, equal, failed, holds, includes, not_created, succeeded
from conformance.place import Container, Place
from tests.lib.bundle import Bundle

GROUP = "bundle-and-state"
STATUSES = {"creating", "created", "running", "stopped"}


@test(requirements=(1,))
def config_is_at_the_root(place: Place) -> None:
    """bundle.md: config.json MUST reside in the root of the bundle directory and MUST be named config.json."""
    bundle = place.bundle()
    with place.container(bundle) as box:
        bundle.write(box.id)
        (bundle.directory / "config.json").rename(bundle.directory / "spec.json")
        failed(create(box), "create of a bundle without config.json")
        absent(box)
        (bundle.rootfs / "config.json").write_text((bundle.directory / "spec.json").read_text())
        failed(create(box), "create of a bundle whose config.json is elsewhere")
        absent(box)


def create(box: Container, *more: str) -> Any:
    """Without writing config.json first."""
    return box.call("create", "--bundle", str(box.bundle.directory), *more, box.id)


@test(requirements=(1,))
def config_that_is_no_json(place: Place) -> None:
    """config.md: the configuration file is JSON; one that cannot be read cannot be applied."""
    bundle = place.bundle()
    with place.container(bundle) as box:
        for text in ("", "{", "[]", "nonsense"):
            (bundle.directory / "config.json").write_text(text)
            failed(create(box), f"create with the config.json {text!r}")
            absent(box)


@test(requirements=(2, 3, 20))
def state_has_its_members(place: Place) -> None:
    """runtime.md, State: ociVersion, id, status, bundle are REQUIRED, pid when created or running."""
    bundle = place.bundle().inside("wait")
    with place.container(bundle) as box:
        box.create()
        for status in ("created", "running", "stopped"):
            state = box.state()
            includes(state, ("ociVersion", "id", "status", "bundle"), f"members when {status}")
            equal(state["id"], box.id, "id")
            equal(state["status"], status, "status")
            equal(state["bundle"], str(bundle.directory), "the absolute path of the bundle")
            holds(isinstance(state["ociVersion"], str), "ociVersion is a string", state)
            if status == "created":
                equal(state.get("pid"), box.pid, "pid when created")
                box.start()
                box.expect("wait")
            elif status == "running":
                equal(state.get("pid"), box.pid, "pid when running")
                box.kill("TERM")
                box.wait()


@test(requirements=(2,))
def version_of_the_state(place: Place) -> None:
    """runtime.md, State: ociVersion is the version of the specification with which the state complies."""
    with place.container(place.bundle()) as box:
        box.create()
        parts = box.state()["ociVersion"].partition("-")[0].partition("+")[0].split(".")
        holds(len(parts) == 3 and all(part.isdigit() for part in parts), "SemVer", parts)


@test(requirements=(42,), leaves=("annotations",))
def annotations_are_in_the_state(place: Place) -> None:
    """config.md, Annotations; runtime.md, State: annotations contains the list of annotations of the container."""
    wanted = {"org.example.key": "value", "org.example.empty": "", "org.example.grün": "ö\n\u2028"}
    with place.container(place.bundle().set("annotations", wanted)) as box:
        box.create()
        equal(box.state().get("annotations"), wanted, "annotations in the state")


@test(requirements=(42, 44), leaves=("annotations",), each=("empty key", "a number", "an object"))
def annotations_that_are_invalid(place: Place, label: str) -> None:
    """config.md, Annotations: keys MUST NOT be an empty string; values MUST be strings."""
    wrong = {"empty key": {"": "x"}, "a number": {"a": 5}, "an object": {"a": {}}}[label]
    with place.container(place.bundle().set("annotations", wrong)) as box:
        not_created(box, f"annotations with {label}")


@test(requirements=(42,), leaves=("annotations",))
def annotations_that_are_unknown(place: Place) -> None:
    """config.md, Annotations: unknown keys are handled like unknown properties."""
    place.run(place.bundle().set("annotations", {"com.example.unheard-of": "yes"}))


@test(requirements=(21,), leaves=("root.path",), each=("missing", "not there", "a file"))
def root_that_is_wrong(place: Place, label: str) -> None:
    """config.md, Root: root is REQUIRED, a directory MUST exist at the path declared by the field."""
    bundle = place.bundle()
    (bundle.directory / "file").write_text("")
    if label == "missing":
        bundle.unset("root")
    else:
        bundle.set("root.path", {"not there": "nowhere", "a file": "file"}[label])
    with place.container(bundle) as box:
        not_created(box, f"a root that is {label}")


@test(requirements=(21,), leaves=("root.path",), each=("relative", "absolute", "nested"))
def root_is_the_path_given(place: Place, label: str) -> None:
    """config.md, Root: path is either an absolute path or a path relative to the bundle."""
    bundle = place.bundle().file("/mark", "wrong")
    other = bundle.directory / "deep/other"
    shutil.copytree(bundle.rootfs, other, symlinks=True)
    (other / "mark").write_text("right")
    paths = {"relative": "deep/other", "absolute": str(other), "nested": "./deep/../deep/other"}
    line = place.line(bundle.set("root.path", paths[label]), "cat", "/mark")
    equal(line["data"], "right", "the root file system that the program saw")


@test(requirements=(21,), leaves=("root.readonly",))
def root_readonly(place: Place) -> None:
    """config.md, Root: if readonly is true then the root filesystem MUST be read-only inside the container."""
    line = place.line(place.bundle().set("root.readonly", True), "create", "/new", "x")
    equal(line["errno"], "EROFS", "writing into a read-only root")


@test(requirements=(21,), leaves=("root.readonly",))
def root_writable(place: Place) -> None:
    """config.md, Root: readonly defaults to false."""
    bundle = place.bundle().unset("root.readonly")
    equal(place.line(bundle, "create", "/new", "x")["errno"], "", "writing into the root")
    equal((bundle.rootfs / "new").read_text(), "x", "what was written")


PLACES = (
    "",
    "root",
    "process",
    "process.user",
    "linux",
    "linux.namespaces.0",
    "linux.resources",
    "linux.resources.memory",
    "mounts.0",
)


@test(requirements=(43,), each=[path or "top" for path in PLACES])
def unknown_properties_are_ignored(place: Place, label: str) -> None:
    """config.md, Extensibility: implementations MUST NOT generate an error if they encounter an unknown property."""
    path = "" if label == "top" else f"{label}."
    bundle = place.bundle().set("linux.resources", {"memory": {}})
    place.run(bundle.set(f"{path}unheardOf", {"x": [1, "y", None]}))


WRONG: dict[str, Any] = {
    "process.cwd": 5,
    "process.env": "A=B",
    "process.terminal": "yes",
    "root.readonly": "no",
    "hostname": {},
    "mounts": {},
    "linux.namespaces": [{"type": "nonsense"}],
    "linux.maskedPaths": "/proc/kcore",
    "linux.rootfsPropagation": "sideways",
    "linux.devices": [{"type": "z", "path": "/dev/z", "major": 1, "minor": 1}],
    "linux.seccomp": {"defaultAction": "SCMP_ACT_NONSENSE"},
    "linux.resources": {"pids": {"limit": "many"}},
    "linux.personality": {"domain": "WINDOWS"},
}


@test(requirements=(16, 44), leaves=("linux.rootfsPropagation",), each=WRONG)
def values_that_are_invalid(place: Place, label: str) -> None:
    """config.md, Valid values: runtimes MUST generate an error when invalid or unsupported values are encountered."""
    with place.container(place.bundle().set(label, WRONG[label])) as box:
        not_created(box, f"{label} = {WRONG[label]!r}")


@test(requirements=(44,), leaves=("ociVersion",), each=("no version", "1.0", "", "99.0.0"))
def version_that_is_wrong(place: Place, label: str) -> None:
    """config.md, Specification version: ociVersion MUST be in SemVer v2.0.0 format."""
    with place.container(place.bundle().set("ociVersion", label)) as box:
        not_created(box, f"ociVersion {label!r}")


@test(requirements=(44,), leaves=("ociVersion",))
def version_that_is_missing(place: Place) -> None:
    """config.md, Specification version: ociVersion is REQUIRED."""
    with place.container(place.bundle().unset("ociVersion")) as box:
        not_created(box, "no ociVersion")


@test(requirements=(13,))
def state_of_nothing(place: Place) -> None:
    """runtime.md, Query State: an error without an ID, and for a container that does not exist."""
    with place.container(place.bundle()) as box:
        failed(box.call("state"), "state without an id")
        failed(box.call("state", "nobody"), "state of a container that does not exist")
        failed(box.call("state", ""), "state of the empty id")


@test(requirements=(14,))
def create_needs_id_and_bundle(place: Place) -> None:
    """runtime.md, Create: an error if it is not provided a path to the bundle and the container ID."""
    with place.container(place.bundle()) as box:
        box.bundle.write(box.id)
        failed(box.call("create", "--bundle", str(box.bundle.directory)), "create without an id")
        failed(box.call("create", "--bundle", "/nowhere", box.id), "create without a bundle")
        absent(box)


@test(requirements=(4, 14, 11))
def create_of_what_is_there(place: Place) -> None:
    """runtime.md, Create: an ID that is not unique MUST be an error and a new container MUST NOT be created."""
    with place.container(place.bundle().inside("pause")) as box:
        box.live()
        box.expect("pause")
        before = box.state()
        other = Bundle(place.directory / "other")
        other.write(box.id)
        failed(box.call("create", "--bundle", str(other.directory), box.id), "a duplicate id")
        equal(box.state(), before, "the state of the container that has the id")
        holds(not box.ended(0), "the first container's program was ended")


@test(requirements=(14,), each=("..", "a/b", "../x", "/x", "."))
def ids_that_are_invalid(place: Place, label: str) -> None:
    """runtime.md, Create: an ID that is not valid in any other way MUST be an error; these would leave the directory of
    the runtime's state."""
    bundle = place.bundle()
    before = sorted(place.directory.rglob("*"))
    with place.container(bundle, root=place.directory / "state") as box:
        bundle.set("linux.cgroupsPath", f"/{box.id}").write(None)
        failed(box.call("create", "--bundle", str(bundle.directory), label), f"the id {label!r}")
        failed(box.call("state", label), f"a container of the id {label!r} is there")
    new = {path for path in place.directory.rglob("*") if "box-" not in str(path)} - set(before)
    new -= {place.directory / "state", bundle.directory / "config.json"}
    equal(sorted(map(str, new)), [], "files made for a container that was refused")


@test(requirements=(20,))
def all_operations_work(place: Place) -> None:
    """runtime.md, Scope: who creates a container MUST be able to use the operations defined against that container."""
    with place.container(place.bundle().inside("wait", "3")) as box:
        succeeded(box.create(check=False), "create")
        succeeded(box.start(check=False), "start")
        box.expect("wait")
        succeeded(box.call("state", box.id), "state")
        succeeded(box.kill("TERM", check=False), "kill")
        equal(box.wait(), 3, "the program's exit status")
        succeeded(box.delete(check=False), "delete")
        absent(box)
