"""process.rlimits, labels, and the terminal."""

from __future__ import annotations

import resource

from conformance.catalogue import test
from conformance.claims import equal, holds, not_created, not_started, skip
from conformance.place import Place
from tests.lib import facts
from tests.lib.console import ConsoleSocket

GROUP = "process"
LIMITS = (
    "AS CORE CPU DATA FSIZE LOCKS MEMLOCK MSGQUEUE NICE NOFILE NPROC RSS RTPRIO RTTIME SIGPENDING STACK"
).split()
NUMBERS = "CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO RTTIME"


def pair(name: str) -> tuple[int, int]:
    """Two values that this caller may set: a hard limit can be lowered by anybody."""
    allowed = resource.getrlimit(NUMBERS.split().index(name))[1]
    if allowed in (0, 1):
        skip(
            f"the hard limit of {name} is {allowed} here, and only a privileged caller may raise it"
        )
    hard = 3 << 30 if allowed == -1 else min(allowed, 3 << 30)
    return hard // 2, hard


@test(
    requirements=(31,),
    leaves=[f"process.rlimits.*.{key}" for key in ("type", "soft", "hard")],
    each=LIMITS,
)
def rlimits(place: Place, label: str) -> None:
    """config.md, POSIX process: for each entry getrlimit(3) MUST succeed, and rlim_cur and rlim_max MUST match."""
    soft, hard = pair(label)
    entry = {"type": f"RLIMIT_{label}", "soft": soft, "hard": hard}
    found = place.report(place.bundle().set("process.rlimits", [entry])).rlimits
    equal(found[label], [soft, hard], "soft and hard")


@test(requirements=(31,), leaves=("process.rlimits.*.type",))
def rlimits_of_unknown_type(place: Place) -> None:
    """config.md, POSIX process: the runtime MUST generate an error for any values which cannot be mapped."""
    entry = {"type": "RLIMIT_NONSENSE", "soft": 1, "hard": 1}
    with place.container(place.bundle().set("process.rlimits", [entry])) as box:
        not_started(box, "an unknown type of rlimit")


@test(requirements=(31,), leaves=("process.rlimits.*.type",))
def rlimits_of_one_type_twice(place: Place) -> None:
    """config.md, POSIX process: if rlimits contains duplicated entries with same type, the runtime MUST generate an
    error."""
    entry = {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 100}
    with place.container(place.bundle().set("process.rlimits", [entry, entry])) as box:
        not_started(box, "two rlimits of one type")


@test(requirements=(31, 16), leaves=("process.rlimits.*.soft",))
def rlimits_that_cannot_be(place: Place) -> None:
    """config.md, POSIX process: a soft limit above the hard one is refused by setrlimit(2)."""
    entry = {"type": "RLIMIT_NOFILE", "soft": 200, "hard": 100}
    with place.container(place.bundle().set("process.rlimits", [entry])) as box:
        not_started(box, "soft above hard")


LABELS = {
    "process.apparmorProfile": "no-such-profile",
    "process.selinuxLabel": "no:such:label",
    "linux.mountLabel": "no:such:label",
}


@test(requirements=(16,), leaves=("{}",), each=LABELS)
def labels_that_cannot_be(place: Place, label: str) -> None:
    """config.md, Linux Process; config-linux.md, Mount Label: a label that the kernel does not know, or knows no labels,
    cannot be applied."""
    bundle = place.bundle().set(label, LABELS[label]).mount("/labelled", "tmpfs", "tmpfs")
    with place.container(bundle) as box:
        not_started(box, f"{label} = {LABELS[label]}")


def on_a_terminal(place: Place, **size: int) -> facts.Facts:
    """The report of a program whose stdio is a terminal."""
    bundle = place.bundle().set("process.terminal", True)
    bundle.inside("report", "--", "winsize", "--", "echo", "the end", "--", "read")
    if size:
        bundle.set("process.consoleSize", size)
    path = place.directory / "socket"
    with ConsoleSocket(path) as console, place.container(bundle) as box:
        box.create("--console-socket", str(path))
        terminal = console.accept()
        box.start()
        lines = facts.parse_lines(terminal.read_until("the end\n"))
    report = next(line for line in lines if line.get("cmd") == "report")
    report["winsize"] = next((line for line in lines if line.get("cmd") == "winsize"), None)
    return facts.Facts(report)


@test(leaves=("process.terminal",), requirements=(15, 48))
def terminal(place: Place) -> None:
    """config.md, Process: terminal specifies whether a terminal is attached to the process; config-linux.md, Default
    Devices: /dev/console is set up if terminal is enabled by bind mounting the pseudoterminal."""
    seen = on_a_terminal(place)
    for number in (0, 1, 2):
        entry = seen.fd(number)
        holds(entry is not None and entry["tty"] == 1, f"descriptor {number} is a terminal", entry)
    equal(seen.controlling_tty, 1, "it is the controlling terminal")
    holds("console" in seen.dev, "/dev/console is there", sorted(seen.dev))
    standard = seen.fd(0) or {}
    found = tuple(seen.dev["console"][key] for key in ("type", "major", "minor"))
    equal(found, ("char", standard.get("major"), standard.get("minor")), "/dev/console is it")


@test(leaves=("process.terminal",), requirements=(15,))
def no_terminal(place: Place) -> None:
    """config.md, Process: terminal defaults to false."""
    seen = place.report(place.bundle())
    equal([row["tty"] for row in seen.fds], [0, 0, 0], "descriptors that are terminals")


@test(leaves=("process.consoleSize.height", "process.consoleSize.width"), requirements=(15,))
def console_size(place: Place) -> None:
    """config.md, Process: consoleSize specifies the console size in characters of the terminal."""
    seen = on_a_terminal(place, height=33, width=77)
    equal((seen.winsize["rows"], seen.winsize["columns"]), (33, 77), "rows and columns")


@test(leaves=("process.consoleSize.height",), requirements=(30,))
def console_size_without_a_terminal(place: Place) -> None:
    """config.md, Process: runtimes MUST ignore consoleSize if terminal is false or unset."""
    place.run(place.bundle().set("process.consoleSize", {"height": 33, "width": 77}))


RDT = {
    "closID": {"closID": "conformance"},
    "l3CacheSchema": {"l3CacheSchema": "L3:0=1"},
    "memBwSchema": {"memBwSchema": "MB:0=100"},
    "schemata.*": {"schemata": ["L3:0=1"]},
    "enableMonitoring": {"enableMonitoring": True},
}


@test(requirements=(61,), leaves=("linux.intelRdt.{}",), each=RDT)
def rdt_without_resctrl(place: Place, label: str) -> None:
    """config-linux.md, IntelRdt: if no mounted resctrl pseudo-filesystem is available in the runtime mount namespace,
    the runtime MUST generate an error."""
    if any(mount.kind == "resctrl" for mount in facts.own_mounts()):
        skip("resctrl is mounted here")
    with place.container(place.bundle().set("linux.intelRdt", RDT[label])) as box:
        not_created(box, f"linux.intelRdt.{label}")
