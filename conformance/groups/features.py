"""features.md: the document, and that what it lists is so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from conformance.catalogue import test
from conformance.claims import equal, excludes, holds, includes
from conformance.place import Place
from tests.lib import facts

GROUP = "features"
TOP = {
    "ociVersionMin",
    "ociVersionMax",
    "hooks",
    "mountOptions",
    "linux",
    "annotations",
    "potentiallyUnsafeConfigAnnotations",
}
LINUX = {
    "namespaces",
    "capabilities",
    "cgroup",
    "seccomp",
    "apparmor",
    "selinux",
    "intelRdt",
    "memoryPolicy",
    "mountExtensions",
    "netDevices",
}
CGROUP = {"v1", "v2", "systemd", "systemdUser", "rdma"}
SECCOMP = {"enabled", "actions", "operators", "archs", "knownFlags", "supportedFlags"}


def numbers(version: str) -> tuple[int, ...]:
    """1.2.3-dev is less than 1.2.3, which does not matter here."""
    return tuple(int(part) for part in version.partition("-")[0].partition("+")[0].split("."))


@test(requirements=(67,), leaves=("ociVersion",))
def versions(place: Place) -> None:
    """features.md: ociVersionMin, ociVersionMax: the runtime MUST accept both as the ociVersion of config.json; the
    second MUST NOT be less than the first."""
    document = place.features()
    least, most = document["ociVersionMin"], document["ociVersionMax"]
    holds(numbers(least) <= numbers(most), "the maximum is not below the minimum", [least, most])
    for number, version in enumerate((least, most)):
        place.run(place.bundle(f"bundle-{number}").set("ociVersion", version))


@test(requirements=(67,))
def nothing_undefined(place: Place) -> None:
    """features.md: the Features structure MUST NOT contain properties that are not defined in this version."""
    document = place.features()
    excludes(document, set(document) - TOP, "properties")
    linux: dict[str, Any] = document.get("linux") or {}
    excludes(linux, set(linux) - LINUX, "properties of linux")
    for name, defined in (("cgroup", CGROUP), ("seccomp", SECCOMP)):
        part: dict[str, Any] = linux.get(name) or {}
        excludes(part, set(part) - defined, f"properties of linux.{name}")


@test(requirements=(67,))
def hooks_are_supported(place: Place) -> None:
    """features.md: the runtime MUST support the elements of hooks."""
    listed = place.features().get("hooks") or []
    kinds = (
        "prestart",
        "createRuntime",
        "createContainer",
        "startContainer",
        "poststart",
        "poststop",
    )
    excludes(listed, set(listed) - set(kinds), "hooks")
    log = place.directory / "log"
    bundle = place.bundle()
    outer = [kind for kind in kinds if kind in listed and kind != "startContainer"]
    for kind in outer:
        bundle.hook(kind, "/bin/sh", "-c", f"cat > /dev/null; echo {kind} >> {log}")
    with place.container(bundle) as box:
        box.live().wait()
        box.delete()
    equal(log.read_text().split() if outer else [], outer, "hooks that ran")


DATA = ("size=", "mode=", "uid=", "gid=", "nr_inodes=", "newinstance", "ptmxmode=")


@test(requirements=(67, 24))
def mount_options_are_recognised(place: Place) -> None:
    """features.md: the runtime MUST recognize the elements of mountOptions; no filesystem-specific options."""
    listed = place.features().get("mountOptions") or []
    excludes(listed, {word for word in listed if word.startswith(DATA)}, "mountOptions")
    with_source = {"bind", "rbind", "remount", "idmap", "ridmap"}
    bundle = place.bundle()
    for number, word in enumerate(sorted(set(listed) - with_source)):
        bundle.mount(f"/m{number}", "tmpfs", "tmpfs", word)
    place.run(bundle)


MUST_OPTIONS = (
    "async atime bind defaults dev diratime dirsync exec iversion lazytime loud noatime nodev nodiratime noexec "
    "noiversion nolazytime norelatime nostrictatime nosuid private rbind relatime remount ro rprivate rshared rslave "
    "runbindable rw shared silent slave strictatime suid sync unbindable"
).split()


@test(requirements=(67, 24))
def mount_options_are_listed(place: Place) -> None:
    """config.md, Linux mount options: what runtimes MUST implement is recognised, and so in the list if there is one."""
    listed = place.features().get("mountOptions")
    if listed is not None:
        includes(listed, MUST_OPTIONS, "mountOptions")


def parse_capabilities() -> set[str]:
    """What this process, and so the runtime, has to give."""
    status = facts.parse_status(Path("/proc/self/status").read_text())
    bits = int(status["CapBnd"], 16)
    return {
        f"CAP_{name}" for number, name in enumerate(facts.CAPABILITY_NAMES) if bits >> number & 1
    }


@test(requirements=(67, 32))
def capabilities_are_recognised(place: Place) -> None:
    """features-linux.md: the runtime MUST recognize the elements of capabilities."""
    listed = (place.features().get("linux") or {}).get("capabilities") or []
    ours = parse_capabilities()
    seen = place.report(place.bundle().capabilities(*sorted(ours & set(listed))))
    equal(seen.capabilities("bounding"), ours & set(listed), "capabilities that were granted")
    includes(listed, {"CAP_KILL", "CAP_CHOWN", "CAP_SYS_ADMIN"}, "capabilities")


@test(requirements=(67, 45))
def namespaces_are_recognised(place: Place) -> None:
    """features-linux.md: the runtime MUST recognize the elements of namespaces."""
    listed = (place.features().get("linux") or {}).get("namespaces") or []
    bundle = place.bundle()
    for kind in set(listed) - {"user"}:
        bundle.namespace(kind)
    place.run(bundle)
    includes(listed, {"mount", "pid", "network", "ipc", "uts"}, "namespaces")


# One filter cannot hold architectures of different byte orders.
NATIVE = (
    "SCMP_ARCH_X86_64",
    "SCMP_ARCH_X86",
    "SCMP_ARCH_X32",
    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_ARM",
)


@test(requirements=(67, 62))
def seccomp_is_recognised(place: Place) -> None:
    """features-linux.md: the runtime MUST recognize the elements of seccomp.actions, operators, archs."""
    seccomp = (place.features().get("linux") or {}).get("seccomp") or {}
    holds(seccomp.get("enabled") is not False, "seccomp", seccomp)
    actions = [
        word
        for word in seccomp.get("actions") or ()
        if word not in ("SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE")
    ]
    rules: list[dict[str, Any]] = [
        {"names": ["mbind"], "action": word} for word in actions if word != "SCMP_ACT_ALLOW"
    ]
    for number, operator in enumerate(seccomp.get("operators") or ()):
        argument = {"index": 0, "value": number + 50, "valueTwo": number + 50, "op": operator}
        rules.append({"names": ["set_mempolicy"], "action": "SCMP_ACT_ERRNO", "args": [argument]})
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": [word for word in seccomp.get("archs") or () if word in NATIVE],
        "flags": [
            flag
            for flag in seccomp.get("supportedFlags") or ()
            if "LISTENER" not in flag and "WAIT" not in flag
        ],
        "syscalls": rules[:1] + rules[len(actions) - 1 :],
    }
    place.run(place.bundle().set("linux.seccomp", profile))


@test(requirements=(67,))
def the_same_every_time(place: Place) -> None:
    """features.md: the content SHOULD be determined on the compilation time of the runtime, not on execution time."""
    equal(place.features(), place.features(), "a second document")
