"""mounts[].options: every option of config.md's table, read back from mountinfo or by what it does."""

from __future__ import annotations

from pathlib import Path

from conformance.catalogue import test
from conformance.claims import equal, excludes, holds, includes, not_created
from conformance.place import Place
from tests.lib import kernel
from tests.lib.facts import Mount, own_mounts

GROUP = "mounts"
LEAF = ("mounts.*.options.*",)

# option: options before it, what mountinfo must show then, what it must not
FLAGS: dict[str, tuple[str, str, str]] = {
    "ro": ("", "ro", "rw"),
    "rw": ("ro", "rw", "ro"),
    "nosuid": ("", "nosuid", ""),
    "suid": ("nosuid", "", "nosuid"),
    "nodev": ("", "nodev", ""),
    "dev": ("nodev", "", "nodev"),
    "noexec": ("", "noexec", ""),
    "exec": ("noexec", "", "noexec"),
    "noatime": ("", "noatime", "relatime"),
    "atime": ("noatime", "", "noatime"),
    "relatime": ("", "relatime", "noatime"),
    "norelatime": ("", "", "noatime"),
    "strictatime": ("", "", "noatime relatime"),
    "nostrictatime": ("strictatime", "relatime", "noatime"),
    "nodiratime": ("", "nodiratime", ""),
    "diratime": ("nodiratime", "", "nodiratime"),
    "nosymfollow": ("", "nosymfollow", ""),
    "symfollow": ("nosymfollow", "", "nosymfollow"),
    "defaults": ("", "rw relatime", "nosuid noexec nodev sync"),
}
SUPER: dict[str, tuple[str, str, str]] = {
    "sync": ("", "sync", ""),
    "async": ("sync", "", "sync"),
    "dirsync": ("", "dirsync", ""),
    "lazytime": ("", "lazytime", ""),
    "nolazytime": ("lazytime", "", "lazytime"),
}
SILENT = ("silent", "loud", "mand", "nomand", "iversion", "noiversion")


@test(requirements=(24, 26), leaves=LEAF, each=FLAGS)
def option(place: Place, label: str) -> None:
    """config.md, Linux mount options: runtimes MUST/SHOULD implement the option; as in mount(8) the last one wins."""
    before, present, absent = FLAGS[label]
    bundle = place.bundle().mount("/m", "tmpfs", "tmpfs", *before.split(), label)
    found = place.report(bundle).mount("/m").options
    includes(found, present.split(), "options")
    excludes(found, absent.split(), "options")


@test(requirements=(24, 26), leaves=LEAF, each=SUPER)
def option_of_the_file_system(place: Place, label: str) -> None:
    """config.md, Linux mount options: runtimes MUST implement the option; as in mount(8) the last one wins."""
    before, present, absent = SUPER[label]
    bundle = place.bundle().mount("/m", "tmpfs", "tmpfs", *before.split(), label)
    found = place.report(bundle).mount("/m").super_options
    includes(found, present.split(), "options")
    excludes(found, absent.split(), "options")


@test(requirements=(24,), leaves=LEAF, each=SILENT)
def option_that_leaves_no_trace(place: Place, label: str) -> None:
    """config.md, Linux mount options: runtimes MUST implement the option; a file system that does not know the word, as
    tmpfs, must not be handed it."""
    equal(
        place.report(place.bundle().mount("/m", "tmpfs", "tmpfs", label)).mount("/m").kind,
        "tmpfs",
        "/m",
    )


@test(requirements=(24,), leaves=LEAF, each=("bind", "rbind"))
def bind_options(place: Place, label: str) -> None:
    """config.md, Linux mount options: bind MUST be a bind mount, rbind a recursive one."""
    tree = made_tree(place, 0)
    found = {m.point for m in place.report(place.bundle().mount("/m", "none", tree, label)).mounts}
    equal("/m" in found, True, "the tree is mounted")
    equal("/m/sub" in found, label == "rbind", "and so is what is mounted in it")


@test(requirements=(24,), leaves=LEAF)
def remount(place: Place) -> None:
    """config.md, Linux mount options: runtimes MUST implement remount."""
    bundle = place.bundle().mount("/m", "tmpfs", "tmpfs", "size=64k")
    bundle.mount("/m", "tmpfs", "tmpfs", "remount", "ro", "nosuid")
    facts = place.report(bundle)
    equal(len([mount for mount in facts.mounts if mount.point == "/m"]), 1, "mounts on /m")
    includes(facts.mount("/m").options, {"ro", "nosuid"}, "options")


@test(requirements=(24,), leaves=LEAF, each=("ro", "nosuid", "nodev", "noexec", "noatime"))
def option_of_a_bind_mount(place: Place, label: str) -> None:
    """config.md, Linux mount options: the options of a bind mount are its own."""
    tree = made_tree(place, 0)
    facts = place.report(place.bundle().mount("/m", "none", tree, "bind", label))
    includes(facts.mount("/m").options, {label}, "options")
    holds(label not in mount_at(tree).options, "the source's own options", mount_at(tree))


def mount_at(path: Path) -> Mount:
    return next(mount for mount in own_mounts() if mount.point == str(path))


@test(requirements=(25,), leaves=LEAF, each=("size=8k", "nr_inodes=7", "mode=700"))
def unknown_option_is_the_file_systems(place: Place, label: str) -> None:
    """config.md, Linux mount options: runtimes SHOULD treat unknown options as filesystem-specific ones."""
    found = place.report(place.bundle().mount("/m", "tmpfs", "tmpfs", label)).mount("/m")
    includes(found.super_options, {label}, "options")


@test(requirements=(25, 16), leaves=LEAF)
def option_that_nobody_knows(place: Place) -> None:
    """config.md, Linux mount options: a filesystem-specific option that the file system does not know is an error."""
    with place.container(place.bundle().mount("/m", "tmpfs", "tmpfs", "nonsense=1")) as box:
        not_created(box, "an option that tmpfs does not know")


@test(requirements=(24,), leaves=LEAF)
def tmpcopyup(place: Place) -> None:
    """config.md, Linux mount options: tmpcopyup (MAY) copies up the contents to a tmpfs."""
    bundle = place.bundle().file("/m/file", "x").mount("/m", "tmpfs", "tmpfs", "tmpcopyup")
    with place.container(bundle) as box:
        if box.create(check=False).code != 0:
            excludes(
                place.features().get("mountOptions") or (), ["tmpcopyup"], "what `features` lists"
            )
            return
    one, two = place.lines(bundle, "cat", "/m/file", "--", "create", "/m/new", "x")
    equal((one["data"], two["errno"]), ("x", ""), "the file that was there, and a new one")
    holds(not (bundle.rootfs / "m/new").exists(), "the new file is on the tmpfs alone")


MS = {
    "ro": 1,
    "nosuid": kernel.MS_NOSUID,
    "nodev": kernel.MS_NODEV,
    "noexec": kernel.MS_NOEXEC,
    "noatime": 1024,
    "nodiratime": 2048,
    "strictatime": 1 << 24,
    "nosymfollow": 256,
}


def made_tree(place: Place, flags: int) -> Path:
    """A tmpfs with another below it, both with these flags."""
    tree = place.directory / "tree"
    tree.mkdir()
    for point in (tree, tree / "sub"):
        if point != tree:
            point.mkdir()
        kernel.mount("tree", str(point), "tmpfs")
    place.stack.callback(kernel.umount, str(tree))
    if flags:
        for point in (tree / "sub", tree):
            kernel.mount("", str(point), flags=kernel.MS_REMOUNT | kernel.MS_BIND | flags)
    return tree


# option: flags the source has, what both mounts must show, what they must not
RECURSIVE: dict[str, tuple[str, str, str]] = {
    "rro": ("", "ro", "rw"),
    "rrw": ("ro", "rw", "ro"),
    "rnosuid": ("", "nosuid", ""),
    "rsuid": ("nosuid", "", "nosuid"),
    "rnodev": ("", "nodev", ""),
    "rdev": ("nodev", "", "nodev"),
    "rnoexec": ("", "noexec", ""),
    "rexec": ("noexec", "", "noexec"),
    "rnoatime": ("", "noatime", "relatime"),
    "ratime": ("noatime", "", "noatime"),
    "rrelatime": ("noatime", "relatime", "noatime"),
    "rnorelatime": ("", "", "noatime"),
    "rstrictatime": ("", "", "noatime relatime"),
    "rnostrictatime": ("strictatime", "relatime", "noatime"),
    "rnodiratime": ("", "nodiratime", ""),
    "rdiratime": ("nodiratime", "", "nodiratime"),
    "rnosymfollow": ("", "nosymfollow", ""),
    "rsymfollow": ("nosymfollow", "", "nosymfollow"),
}


@test(requirements=(24,), leaves=LEAF, each=RECURSIVE)
def recursive_option(place: Place, label: str) -> None:
    """config.md, Linux mount options: runtimes SHOULD implement the option by mount_setattr(2) with AT_RECURSIVE."""
    flags, present, absent = RECURSIVE[label]
    tree = made_tree(place, sum(MS[word] for word in flags.split()))
    facts = place.report(place.bundle().mount("/m", "none", tree, "rbind", label))
    for point in ("/m", "/m/sub"):
        found = facts.mount(point).options
        includes(found, present.split(), f"options of {point}")
        excludes(found, absent.split(), f"options of {point}")


PROPAGATION = {"private": "", "slave": "master", "shared": "shared", "unbindable": "unbindable"}


@test(requirements=(24,), leaves=LEAF, each=[*PROPAGATION, *(f"r{name}" for name in PROPAGATION)])
def propagation_option(place: Place, label: str) -> None:
    """config.md, Linux mount options: runtimes MUST implement bind mount propagation."""
    name = label if label in PROPAGATION else label[1:]
    tree = made_tree(place, 0)
    if name in (
        "slave",
        "private",
    ):  # of something that is shared, lest it be so without the option
        kernel.mount("", str(tree), flags=kernel.MS_SHARED | kernel.MS_REC)
    facts = place.report(place.bundle().mount("/m", "none", tree, "rbind", label))
    wanted = set(PROPAGATION[name].split())
    equal(set(facts.mount("/m").propagation), wanted, "propagation of the mount")
    if label != name:
        equal(set(facts.mount("/m/sub").propagation), wanted, "propagation of the mount in it")
