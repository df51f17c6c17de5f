"""mounts: what is mounted where and in which order; masked and read-only paths; propagation; the links in /dev."""

from __future__ import annotations

import os
from pathlib import Path

from conformance.catalogue import test
from conformance.claims import equal, excludes, holds, includes, not_created
from conformance.place import Place
from tests.lib import kernel
from tests.lib.bundle import Bundle

GROUP = "mounts"


def source_with(place: Place, name: str, text: str) -> Path:
    """A directory with a file `mark`."""
    directory = place.directory / name
    directory.mkdir()
    (directory / "mark").write_text(text)
    return directory


@test(requirements=(22,), leaves=("mounts.*.destination",))
def listed_order(place: Place) -> None:
    """config.md, Mounts: the runtime MUST mount entries in the listed order."""
    bundle = place.bundle().dir("/data")
    for name in ("first", "second", "third"):
        bundle.bind(source_with(place, name, name), "/data")
    (place.directory / "third/deep").mkdir()
    bundle.bind(source_with(place, "deeper", "deeper"), "/data/deep")
    upper, lower = place.lines(bundle, "cat", "/data/mark", "--", "cat", "/data/deep/mark")
    equal(upper["data"], "third", "the uppermost of three mounts on one place")
    equal(lower["data"], "deeper", "the mount inside of it")


@test(requirements=(22,), leaves=("mounts.*.destination",))
def a_later_mount_covers(place: Place) -> None:
    """config.md, Mounts: the runtime MUST mount entries in the listed order: the parent last hides the child."""
    bundle = place.bundle().bind(source_with(place, "child", "child"), "/data/deep")
    parent = source_with(place, "parent", "parent")
    (parent / "deep").mkdir()
    line = place.line(bundle.bind(parent, "/data"), "ls", "/data/deep")
    equal(line["entries"], {}, "what is seen at the child's place")


@test(requirements=(23,), leaves=("mounts.*.destination",))
def relative_destination(place: Place) -> None:
    """config.md, Mounts: it MAY be a relative path, in which case it MUST be interpreted as relative to "/"."""
    bundle = place.bundle().dir("/work").set("process.cwd", "/work")
    bundle.bind(source_with(place, "source", "yes"), "data/deep")
    equal(place.line(bundle, "cat", "/data/deep/mark")["data"], "yes", "the file below /data/deep")


@test(
    leaves=("mounts.*.type", "mounts.*.source"),
    requirements=(15, 49),
    each=("proc", "sysfs", "devpts", "tmpfs", "mqueue"),
)
def file_systems(place: Place, label: str) -> None:
    """config-linux.md, Default Filesystems: proc, sysfs, devpts, tmpfs (for /dev/shm) SHOULD be made available."""
    bundle = place.bundle().mount("/m", label, f"source-of-{label}")
    if label == "proc":
        bundle.set("mounts", bundle.get("mounts")[1:]).mount("/proc", "proc", "source-of-proc")
    seen = place.report(bundle).mount("/proc" if label == "proc" else "/m")
    equal(seen.kind, label, "the file system")
    equal(seen.source, f"source-of-{label}", "its source")


@test(requirements=(49,), leaves=("mounts.*.options.*",))
def default_file_systems(place: Place) -> None:
    """config-linux.md, Default Filesystems: /proc, /sys, /dev/pts and /dev/shm as engines ask for them."""
    bundle = place.bundle().mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro")
    bundle.mount(
        "/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"
    )
    facts = place.report(bundle)
    kinds = {point: facts.mount(point).kind for point in ("/proc", "/sys", "/dev/pts", "/dev/shm")}
    equal(list(kinds.values()), ["proc", "sysfs", "devpts", "tmpfs"], "file systems")
    includes(facts.mount("/sys").options, {"ro", "nosuid", "noexec", "nodev"}, "options of /sys")
    equal(facts.dev["shm"]["mode"], 0o1777, "mode of /dev/shm")
    includes(facts.mount("/dev/shm").super_options, {"size=65536k"}, "options of /dev/shm")


@test(leaves=("mounts.*.source",), requirements=(15,), each=("directory", "file"))
def bind_mounts(place: Place, label: str) -> None:
    """config.md, Mounts: source is a device name, but can also be a file or directory name for bind mounts."""
    source = source_with(place, "source", "yes")
    bundle = place.bundle()
    if label == "directory":
        line = place.line(bundle.bind(source, "/new/place"), "cat", "/new/place/mark")
    else:
        line = place.line(bundle.bind(source / "mark", "/new/file"), "cat", "/new/file")
    equal(line["data"], "yes", "the file in the container")


@test(leaves=("mounts.*.source",), requirements=(15,))
def bind_source_relative_to_the_bundle(place: Place) -> None:
    """config.md, Mounts: path values for bind mounts are either absolute or relative to the bundle."""
    bundle = place.bundle()
    (bundle.directory / "own").mkdir()
    (bundle.directory / "own/mark").write_text("yes")
    equal(place.line(bundle.bind("own", "/data"), "cat", "/data/mark")["data"], "yes", "the file")


@test(leaves=("mounts.*.source",), requirements=(16,))
def bind_source_that_is_missing(place: Place) -> None:
    """runtime.md, Create: a bind mount of nothing cannot be applied."""
    with place.container(place.bundle().bind("/nowhere/at/all", "/data")) as box:
        not_created(box, "a source that is missing")


@test(leaves=("mounts.*.type",), requirements=(15,))
def bind_type_is_ignored(place: Place) -> None:
    """config.md, Linux mounts: for bind mounts the type is a dummy, often none, not listed in /proc/filesystems."""
    source = source_with(place, "source", "yes")
    bundle = place.bundle().mount("/data", "none", source, "bind")
    equal(place.line(bundle, "cat", "/data/mark")["data"], "yes", "the file")


@test(requirements=(66,), each=("fd", "stdin", "stdout", "stderr"))
def links_in_dev(place: Place, label: str) -> None:
    """runtime-linux.md, Dev symbolic links: runtimes MUST create the symlinks if the source file exists after mounts."""
    target = {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}[label]
    found = place.report(place.bundle()).dev
    includes(found, [label], "names in /dev")
    equal((found[label]["type"], found[label]["link"]), ("link", f"/proc/self/fd{target}"), label)


@test(requirements=(63,), leaves=("linux.maskedPaths.*",))
def masked_paths(place: Place) -> None:
    """config-linux.md, Masked Paths: mask over the provided paths inside the container so that they cannot be read."""
    bundle = place.bundle().file("/secret/file", "secret").file("/single", "secret")
    bundle.set("linux.maskedPaths", ["/secret", "/single", "/not/there", "/proc/filesystems"])
    directory, single, proc, made = place.lines(
        bundle,
        *("ls", "/secret", "--", "cat", "/single", "--", "cat", "/proc/filesystems"),
        *("--", "create", "/secret/new", "x"),
    )
    equal(directory["entries"], {}, "entries of a masked directory")
    equal(single["data"], "", "contents of a masked file")
    equal(proc["data"], "", "contents of a masked file of proc")
    holds(made["errno"] in ("EROFS", "ENOSPC", "EACCES", "EPERM"), "writing there", made)
    equal((bundle.rootfs / "secret/file").read_text(), "secret", "the file itself")


@test(requirements=(63,), leaves=("linux.readonlyPaths.*",))
def readonly_paths(place: Place) -> None:
    """config-linux.md, Readonly Paths: set the provided paths as readonly inside the container."""
    bundle = place.bundle().file("/kept/file", "x").file("/single", "x").file("/other", "x")
    bundle.set("linux.readonlyPaths", ["/kept", "/single", "/not/there", "/proc/sys"])
    commands = ("create /kept/new x", "write /kept/file y", "write /single y", "write /other y")
    words = [word for each in commands for word in (*each.split(), "--")]
    lines = place.lines(
        bundle, *words, "cat", "/kept/file", "--", "write", "/proc/sys/kernel/hostname", "x"
    )
    errnos = [line["errno"] for line in lines]
    equal(errnos, ["EROFS", "EROFS", "EROFS", "", "", "EROFS"], "what was tried")


@test(requirements=(63, 44), leaves=("linux.{}.*",), each=("maskedPaths", "readonlyPaths"))
def relative_paths(place: Place, label: str) -> None:
    """config-linux.md, Masked Paths, Readonly Paths: the values MUST be absolute paths in the container namespace."""
    with place.container(place.bundle().dir("/here").set(f"linux.{label}", ["here"])) as box:
        not_created(box, f"a relative path of {label}")


PROPAGATION = {
    "private": set(),
    "slave": {"master"},
    "shared": {"shared"},
    "unbindable": {"unbindable"},
}


@test(leaves=("linux.rootfsPropagation",), requirements=(15,), each=PROPAGATION)
def rootfs_propagation(place: Place, label: str) -> None:
    """config-linux.md, Rootfs Mount Propagation: sets the rootfs's mount propagation."""
    above = place.directory / "shared"
    above.mkdir()
    kernel.mount("above", str(above), "tmpfs")
    place.stack.callback(kernel.umount, str(above))
    kernel.mount("", str(above), flags=kernel.MS_SHARED)
    bundle = Bundle(above / "bundle").set("linux.rootfsPropagation", label)
    found = place.report(bundle).mount("/").propagation
    if label == "slave":
        excludes(found, {"shared"}, "propagation of the root")
        holds("master" in found or not found, "propagation of the root", sorted(found))
    elif label == "shared":  # it may be a slave of the runtime's as well
        includes(found, {"shared"}, "propagation of the root")
    else:
        equal(set(found), PROPAGATION[label], "propagation of the root")


@test(requirements=(15,), leaves=("linux.rootfsPropagation",))
def nothing_comes_back(place: Place) -> None:
    """config-linux.md, Rootfs Mount Propagation: what is mounted in the container does not reach the runtime's mounts."""
    above = place.directory / "shared"
    above.mkdir()
    kernel.mount("above", str(above), "tmpfs")
    place.stack.callback(kernel.umount, str(above))
    kernel.mount("", str(above), flags=kernel.MS_SHARED)
    before = Path("/proc/self/mountinfo").read_text()
    bundle = Bundle(above / "bundle").mount("/inner", "tmpfs", "inner").inside("wait")
    with place.container(bundle) as box:
        box.live()
        box.expect("wait")
        equal(Path("/proc/self/mountinfo").read_text(), before, "the runtime's own mounts")


@test(requirements=(21, 15), leaves=("root.path",))
def the_host_is_out_of_reach(place: Place) -> None:
    """glossary.md, Container namespace; config.md, Root: the container's root is the root file system."""
    facts = place.report(place.bundle())
    root = facts.mount("/")
    equal(facts.cwd, "/", "the working directory")
    own = {mount.id for mount in facts.mounts if mount.point == "/"}
    holds(own, "a mount at /", root)
    hosts = os.stat("/")
    holds((facts.root["dev"], facts.root["ino"]) != (hosts.st_dev, hosts.st_ino), "not the host's")
