"""A plan as a test reads it: a small document, a host made up by hand, steps found by moment or property.

plan = planned(spec(hostname="web"))
assert plan.calls("/hostname") == [("sethostname", b"web", 3)]
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, cast

from pyruntime import features
from pyruntime.cgroup import detect
from pyruntime.features.site import Site
from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.plan import step as steps
from pyruntime.plan.step import At, Buffer, Pointers, Reg, Step
from pyruntime.plan.tape import Tape
from tests.lib import tapes

if TYPE_CHECKING:
    from pyruntime.spec.types import Config

CALLS = {getattr(lib, name): name[3:] for name in dir(lib) if name.startswith("NR_")}

HEAD = b"23 1 0:22 / / rw - ext4 /dev/root rw\n31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
V1_MOUNTS = HEAD + b"".join(
    b"%d 31 0:%d / /sys/fs/cgroup/%s rw - cgroup cgroup rw,%s\n" % (number, number, place, options)
    for number, place, options in (
        (40, b"memory", b"memory"),
        (41, b"cpu,cpuacct", b"cpu,cpuacct"),
        (42, b"systemd", b"name=systemd"),
    )
)
V1_OWN = b"3:memory:/\n2:cpu,cpuacct:/\n1:name=systemd:/\n"
V2_MOUNTS = b"31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"

BASE: dict[str, Any] = {
    "ociVersion": "1.0.2",
    "process": {"user": {"uid": 0, "gid": 0}, "args": ["sh"], "env": ["PATH=/bin"], "cwd": "/"},
    "root": {"path": "rootfs"},
    "linux": {"namespaces": [{"type": name} for name in ("pid", "network", "ipc", "uts", "mount")]},
}


def spec(**changes: Any) -> dict[str, Any]:
    """The small document with some members replaced; `linux__sysctl={}` reaches below `linux`."""
    document = copy.deepcopy(BASE)
    for path, value in changes.items():
        *parents, last = path.split("__")
        here = document
        for name in parents:
            here = here.setdefault(name, {})
        here[last] = value
    return document


def without_namespace(*kinds: str) -> list[dict[str, str]]:
    return [entry for entry in BASE["linux"]["namespaces"] if entry["type"] not in kinds]


def site(*, v2: bool = False, **facts: Any) -> Site:
    """A host that can do everything, with its bundle in /b."""
    made = Site("/b", "web", "/b/rootfs", preserve_fds=facts.pop("preserve_fds", 0))
    made.layout = detect.layout(V2_MOUNTS, b"0::/\n") if v2 else detect.layout(V1_MOUNTS, V1_OWN)
    for name, value in facts.items():
        setattr(made, name, value)
    return made


def plain(value: Any) -> Any:
    """Blocks as tuples, buffers as their bytes, registers as `<name>`."""
    if isinstance(value, Pointers):
        return tuple(plain(word) for word in value.words)
    if isinstance(value, Buffer):
        return value.data
    if isinstance(value, At):
        return (plain(value.buffer), value.offset)
    if isinstance(value, Reg):
        return f"<{value.name}>"
    return value


def words(op: Any) -> tuple[Any, ...]:
    """An instruction as its name and arguments."""
    kind, nr, args = op[:3]
    name = CALLS[nr] if kind == steps.SYSCALL else tapes.NAMES[kind]
    return (name, *(plain(argument) for argument in args))


class Plan:
    """The steps of a document on a host."""

    def __init__(self, document: dict[str, Any], host: Site) -> None:
        self.spec = document
        self.site = host
        self.steps: list[Step] = features.plan(cast("Config", document), host)

    def at(self, moment: int) -> list[Step]:
        return [step for step in self.steps if step.moment == moment]

    def of(self, pointer: str) -> list[Step]:
        return [step for step in self.steps if step.pointer == pointer]

    def calls(self, pointer: str, moment: int | None = None) -> list[tuple[Any, ...]]:
        """Everything the init does for one property, in order."""
        chosen = [step for step in self.of(pointer) if moment in (None, step.moment)]
        return [words(op) for step in chosen for op in step.ops]

    def named(self, pointer: str, *names: str) -> list[tuple[Any, ...]]:
        """The arguments of those calls."""
        return [call[1:] for call in self.calls(pointer) if call[0] in names]

    @property
    def moments(self) -> list[str]:
        return [moments.NAMES[step.moment] for step in self.steps]

    def tape(self) -> tapes.Tape:
        return tapes.decode(Tape([step for step in self.steps if step.ops]).bytes)


def executed(document: dict[str, Any] | None = None, **facts: Any) -> list[Step]:
    """The steps of one more process in a container of that document."""
    host = Site("/b", "web", "/b/rootfs", joining=True)
    for name, value in {"join_count": 2, **facts}.items():
        setattr(host, name, value)
    return features.plan_exec(cast("Config", spec() if document is None else document), host)


def planned(document: dict[str, Any] | None = None, **facts: Any) -> Plan:
    return Plan(spec() if document is None else document, site(**facts))


def findings(document: dict[str, Any]) -> dict[str, str]:
    """Pointer → why, of every rule of every feature."""
    return dict(features.rules(cast("Config", document)))
