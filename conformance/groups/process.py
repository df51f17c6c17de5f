"""process: what the program is given, who it is, what it may."""

from __future__ import annotations

import os

from conformance.catalogue import test
from conformance.claims import differs, equal, holds, includes, not_started
from conformance.place import Place
from tests.lib import facts, kernel

GROUP = "process"


@test(requirements=(29,), leaves=("process.args.*",))
def args(place: Place) -> None:
    """config.md, Process: args has similar semantics to execvp's argv."""
    words = ["report", "--", "echo", "two words", "--", "echo", "*"]
    equal(place.report(place.bundle().inside(*words)).argv, ["/inside", *words], "argv")


@test(requirements=(29,), leaves=("process.args.*",))
def args_are_looked_up_in_path(place: Place) -> None:
    """config.md, Process: args, like execvp: a name without a slash is looked up in PATH, that of process.env."""
    bundle = place.bundle().dir("/opt/tools")
    os.link(bundle.rootfs / "inside", bundle.rootfs / "opt/tools/by-name")
    bundle.set("process.env", ["PATH=/nowhere:/opt/tools"]).args("by-name", "report")
    equal(place.report(bundle).argv, ["by-name", "report"], "argv")


@test(requirements=(29,), leaves=("process.args.*",))
def args_without_an_entry(place: Place) -> None:
    """config.md, Process: this specification extends the IEEE standard in that at least one entry is REQUIRED."""
    with place.container(place.bundle().set("process.args", [])) as box:
        not_started(box, "no args")


@test(leaves=("process.env.*",), requirements=(15,))
def env(place: Place) -> None:
    """config.md, Process: env has the same semantics as environ."""
    entries = ["PATH=/bin", "A=b", "EMPTY=", "TWO=a=b", "LONG=" + "x" * 5000]
    found = place.report(place.bundle().set("process.env", entries)).env
    includes(found, entries, "variables")
    extra = {entry.partition("=")[0] for entry in found} - {e.partition("=")[0] for e in entries}
    holds(extra <= {"HOME"}, "nothing of the runtime's own environment", sorted(extra))


@test(requirements=(28,), leaves=("process.cwd",))
def cwd(place: Place) -> None:
    """config.md, Process: cwd is the working directory that will be set for the executable."""
    bundle = place.bundle().dir("/a/b").set("process.cwd", "/a/b")
    equal(place.report(bundle).cwd, "/a/b", "the working directory")


@test(requirements=(28,), leaves=("process.cwd",), each=("relative", "empty", "missing member"))
def cwd_that_is_wrong(place: Place, label: str) -> None:
    """config.md, Process: cwd is REQUIRED, this value MUST be an absolute path."""
    bundle = place.bundle().dir("/a")
    if label == "missing member":
        bundle.unset("process.cwd")
    else:
        bundle.set("process.cwd", {"relative": "a", "empty": ""}[label])
    with place.container(bundle) as box:
        not_started(box, f"a cwd that is {label}")


@test(leaves=("process.user.uid", "process.user.gid"), requirements=(15,))
def user(place: Place) -> None:
    """config.md, User: uid and gid in the container namespace."""
    bundle = place.bundle().set("process.user", {"uid": 1234, "gid": 4321})
    seen = place.report(bundle)
    equal((seen.uid, seen.gid), ([1234] * 3, [4321] * 3), "real, effective and saved ids")
    equal(seen.groups, [], "additional groups")


@test(leaves=("process.user.additionalGids.*",), requirements=(15,))
def additional_groups(place: Place) -> None:
    """config.md, User: additionalGids specifies additional group IDs to be added to the process."""
    bundle = place.bundle().set(
        "process.user", {"uid": 5, "gid": 6, "additionalGids": [77, 88888, 9]}
    )
    equal(sorted(place.report(bundle).groups), [9, 77, 88888], "additional groups")


@test(requirements=(36,), leaves=("process.user.umask",))
def umask(place: Place) -> None:
    """config.md, User: umask specifies the umask of the user."""
    equal(place.report(place.bundle().set("process.user.umask", 0o27)).umask, 0o27, "umask")
    equal(place.report(place.bundle().set("process.user.umask", 0)).umask, 0, "umask")


@test(requirements=(36,), leaves=("process.user.umask",))
def umask_unset(place: Place) -> None:
    """config.md, User: if unspecified, the umask should not be changed from the calling process' umask."""
    seen = place.report(place.bundle(), prepare=lambda: os.umask(0o11) and None)
    equal(seen.umask, 0o11, "umask")


SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")


@test(leaves=[f"process.capabilities.{kind}.*" for kind in SETS], requirements=(15,))
def capabilities(place: Place) -> None:
    """config.md, Linux Process: the arrays of the capability sets kept for the process."""
    wanted = {
        "bounding": {"CAP_KILL", "CAP_CHOWN", "CAP_SYS_ADMIN", "CAP_MKNOD"},
        "permitted": {"CAP_KILL", "CAP_CHOWN", "CAP_MKNOD"},
        "effective": {"CAP_KILL", "CAP_MKNOD"},
        "inheritable": {"CAP_MKNOD", "CAP_KILL"},
        "ambient": {"CAP_MKNOD"},
    }
    bundle = place.bundle().set("process.user", {"uid": 1000, "gid": 1000})
    bundle.set("process.capabilities", {kind: sorted(names) for kind, names in wanted.items()})
    seen = place.report(bundle)
    # A user that is not root keeps over execve what is ambient (capabilities(7)).
    wanted["permitted"] = wanted["effective"] = {"CAP_MKNOD"}
    equal({kind: seen.capabilities(kind) for kind in SETS}, wanted, "the five sets")


@test(leaves=[f"process.capabilities.{kind}.*" for kind in SETS[:3]], requirements=(15,))
def capabilities_of_root(place: Place) -> None:
    """config.md, Linux Process: root gets over execve what its bounding set lets it."""
    seen = place.report(place.bundle().capabilities("CAP_KILL", "CAP_NET_RAW"))
    for kind in SETS[:3]:
        equal(seen.capabilities(kind), {"CAP_KILL", "CAP_NET_RAW"}, kind)
    for kind in SETS[3:]:
        equal(seen.capabilities(kind), set(), kind)


@test(leaves=("process.capabilities.permitted.*",), requirements=(15, 32))
def capabilities_permitted(place: Place) -> None:
    """config.md, Linux Process: permitted is the set of what can be used; what is in ambient alone cannot be granted
    (capabilities(7)), which is a warning."""
    bundle = place.bundle().set("process.user", {"uid": 1000, "gid": 1000})
    names = {"bounding": ["CAP_KILL", "CAP_CHOWN"], "permitted": ["CAP_KILL"], "effective": []}
    for kind in ("inheritable", "ambient"):
        names[kind] = ["CAP_KILL", "CAP_CHOWN"]
    seen = place.report(bundle.set("process.capabilities", names))
    equal(seen.capabilities("permitted"), {"CAP_KILL"}, "permitted")
    equal(seen.capabilities("ambient"), {"CAP_KILL"}, "ambient")


@test(leaves=("process.capabilities.effective.*",), requirements=(15,), each=("with", "without"))
def capabilities_effective(place: Place, label: str) -> None:
    """config.md, Linux Process: effective is what the process has while it executes the program; a program that only
    root may read can be executed with CAP_DAC_OVERRIDE in it, and not without."""
    bundle = place.bundle().set("process.user", {"uid": 1000, "gid": 1000})
    (bundle.rootfs / "inside").chmod(0o700)
    names = {kind: ["CAP_DAC_OVERRIDE"] for kind in SETS[:3]}
    bundle.set("process.capabilities", {**names, "inheritable": [], "ambient": []})
    if label == "with":
        equal(place.report(bundle).uid, [1000] * 3, "the user of the program")
        return
    bundle.set("process.capabilities.effective", [])
    with place.container(bundle) as box:
        not_started(box, "a program that the user may not execute")


@test(requirements=(32,), leaves=("process.capabilities.{}.*",), each=SETS)
def unknown_capability(place: Place, label: str) -> None:
    """config.md, Linux Process: any value which cannot be mapped to a relevant kernel interface, or cannot be granted
    otherwise MUST be logged as a warning. Runtimes SHOULD NOT fail."""
    bundle = place.bundle().capabilities("CAP_KILL", ambient=["CAP_KILL"])
    bundle.add(f"process.capabilities.{label}", "CAP_NONSENSE")
    equal(place.report(bundle).capabilities("bounding"), {"CAP_KILL"}, "the bounding set")


@test(requirements=(32,), leaves=("process.capabilities.bounding.*",))
def capability_that_cannot_be_granted(place: Place) -> None:
    """config.md, Linux Process: any value which cannot be granted otherwise MUST be logged as a warning. Runtimes SHOULD
    NOT fail. The runtime itself has no CAP_BLOCK_SUSPEND here."""
    drop, number = 24, facts.CAPABILITY_NAMES.index("BLOCK_SUSPEND")
    bundle = place.bundle().capabilities("CAP_KILL", "CAP_BLOCK_SUSPEND")
    found = place.report(
        bundle, prepare=lambda: kernel.check(kernel.libc.prctl(drop, number, 0, 0, 0), "drop")
    )
    equal(found.capabilities("bounding"), {"CAP_KILL"}, "the bounding set")


@test(leaves=("process.noNewPrivileges",), requirements=(15,))
def no_new_privileges(place: Place) -> None:
    """config.md, Linux Process: setting noNewPrivileges to true prevents the process from gaining privileges."""
    equal(place.report(place.bundle().set("process.noNewPrivileges", True)).no_new_privs, 1, "true")
    equal(
        place.report(place.bundle().set("process.noNewPrivileges", False)).no_new_privs, 0, "false"
    )


@test(requirements=(33,), leaves=("process.oomScoreAdj",), each=("100", "0", "1000"))
def oom_score_adj(place: Place, label: str) -> None:
    """config.md, Linux Process: if oomScoreAdj is set, the runtime MUST set oom_score_adj to the given value."""
    seen = place.report(place.bundle().set("process.oomScoreAdj", int(label)), prepare=adjusted)
    equal(seen.files["/proc/self/oom_score_adj"].strip(), label, "oom_score_adj")


def adjusted() -> None:
    """In the runtime before it is executed."""
    fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
    os.write(fd, b"77")
    os.close(fd)


@test(requirements=(33,), leaves=("process.oomScoreAdj",))
def oom_score_adj_unset(place: Place) -> None:
    """config.md, Linux Process: if oomScoreAdj is not set, the runtime MUST NOT change the value of oom_score_adj."""
    seen = place.report(place.bundle(), prepare=adjusted)
    equal(seen.files["/proc/self/oom_score_adj"].strip(), "77", "oom_score_adj, which was 77")


@test(requirements=(65,))
def only_stdio_is_open(place: Place) -> None:
    """runtime-linux.md, File descriptors: by default only stdin, stdout and stderr are kept open for the application."""

    def leaky() -> None:
        for number in (3, 7, 90):
            os.dup2(1, number)

    seen = place.report(place.bundle(), prepare=leaky)
    equal([row["fd"] for row in seen.fds], [0, 1, 2], "descriptors")


@test(leaves=("linux.personality.domain",), requirements=(15,))
def personality(place: Place) -> None:
    """config-linux.md, Personality: domain is the execution domain, LINUX or LINUX32."""
    seen = place.report(place.bundle().set("linux.personality", {"domain": "LINUX32"}))
    equal(seen.personality & 0xFF, 8, "the execution domain")
    differs(seen.machine, os.uname().machine, "the machine that uname shows")
    seen = place.report(place.bundle().set("linux.personality", {"domain": "LINUX"}))
    equal(seen.personality & 0xFF, 0, "the execution domain")


@test(leaves=("linux.personality.flags.*",), requirements=(16,))
def personality_flags(place: Place) -> None:
    """config-linux.md, Personality: additional flags to apply; currently no flag values are supported."""
    bundle = place.bundle().set("linux.personality", {"domain": "LINUX", "flags": ["NONSENSE"]})
    with place.container(bundle) as box:
        not_started(box, "a flag of personality that is none")
