"""Containers that make groups of their own below theirs: nothing of them is left, whichever way the container ends."""

from __future__ import annotations

import operator
import os
import select
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lib import facts, kernel, leaks, programs
from tests.lib.box import Box
from tests.lib.bundle import Bundle
from tests.lib.groups import V2, joined
from tests.lib.patience import scaled
from tests.lib.units import DRIVERS, created_by, group_of

pytestmark = pytest.mark.covers("linux.cgroupsPath")

TOP = "/sys/fs/cgroup"
DEEP = 40
SYSTEMD = Path("/lib/systemd/systemd")
HALT = 37  # SIGRTMIN+3, systemd(1)
Kind = Callable[[str], list[str]]
End = Callable[..., None]
Pipe = tuple[int, int]


def by_force(box: Box, go: int, *, held: bool) -> None:
    box.delete("--force")


def by_kill(box: Box, go: int, *, held: bool) -> None:
    box.kill("KILL")
    box.wait()
    box.delete()


def by_itself(box: Box, go: int, *, held: bool) -> None:
    """Its init ends, and with the pid namespace everybody, but for those the v1 freezer holds."""
    os.write(go, b"go\n")
    if held:
        box.delete("--force")
        return
    assert box.wait() == 0
    box.delete()


ENDS = [by_force, by_kill, by_itself]


def controllers() -> list[str]:
    """Directories of /sys/fs/cgroup; on v2 there is one, which is the top itself. v1's cpuset takes nobody in before
    it has been told of processors."""
    names = {path.name for name, path in joined().items() if name != "cpuset"}
    return [TOP] if V2 else sorted(f"{TOP}/{name}" for name in names)


def deep(top: str) -> list[str]:
    """A group in a group in a group …, and a process in the last."""
    paths = [top + "/d" * depth for depth in range(1, DEEP + 1)]
    return [*made(*paths), "member", paths[-1], "--"]


def wide(top: str) -> list[str]:
    """Beside each other, names that are no easy ones among them."""
    paths = [f"{top}/{name}" for name in ("a", "b.slice", "-c", "d e", ".f", "*")]
    return [*made(*paths), *(word for path in paths for word in ("member", path, "--"))]


def made(*paths: str) -> list[str]:
    return [word for path in paths for word in ("mkdir", path, "--")]


def threaded(top: str) -> list[str]:
    """A thread apart from its process, whose cgroup.procs cannot be read any more."""
    group = f"{top}/t"
    return [
        *["mkdir", group, "--", "write", f"{group}/cgroup.type", "threaded", "--"],
        *["thread", f"{group}/cgroup.threads", "--"],
    ]


def stood_still(top: str) -> list[str]:
    """A group it froze itself, and one in that."""
    groups = [f"{top}/f", f"{top}/f/g"]
    out = [*made(*groups), *(word for path in groups for word in ("member", path, "--"))]
    file, word = ("cgroup.freeze", "1") if V2 else ("freezer.state", "FROZEN")
    for path in reversed(groups):
        out += ["write", f"{path}/{file}", word, "--"]
    return out


TOPS = {
    deep: controllers(),
    wide: controllers(),
    threaded: [TOP] if V2 else [],
    stood_still: [TOP if V2 else f"{TOP}/freezer"],
}
KINDS = [kind for kind, tops in TOPS.items() if tops]
NAME = operator.attrgetter("__name__")


@pytest.fixture
def go() -> Iterator[Pipe]:
    """What the container reads from, and what lets it end."""
    pipe = os.pipe()
    yield pipe
    for end in pipe:
        os.close(end)


def end_and_look(box: Box, groups: set[Path], end: End, writer: int, *, held: bool = False) -> None:
    """The groups below are gone, and the container's own."""
    below = made_below(groups)
    assert below
    end(box, writer, held=held)
    assert not [path for path in below if os.path.exists(path)]
    assert not [path for path in leaks.marked_cgroups() if box.id in path]


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("end", ENDS, ids=NAME)
@pytest.mark.parametrize("kind", KINDS, ids=NAME)
def test_what_the_payload_made(bundle: Bundle, driver: str, end: End, kind: Kind, go: Pipe) -> None:
    bundle.namespace("cgroup").mount(TOP, "cgroup", "cgroup", "rw").privileged()
    words = [word for top in TOPS[kind] for word in kind(top)]
    with created_by(driver, bundle, *words, "ids", "--", "read", stdin=go[0]) as box:
        groups = groups_of(box)
        box.start()
        box.expect("ids")
        assert {line["errno"] for line in box.lines[:-1]} == {""}
        end_and_look(box, groups, end, go[1], held=kind is stood_still and not V2)


@pytest.mark.parametrize("kind", KINDS, ids=NAME)
def test_those_who_outlive_the_init(bundle: Bundle, kind: Kind, go: Pipe) -> None:
    """Without a pid namespace nobody has ended them before delete does."""
    bundle.without_namespace("pid").namespace("cgroup").mount(TOP, "cgroup", "cgroup", "rw")
    bundle.privileged()
    words = [word for top in TOPS[kind] for word in kind(top)]
    with created_by("cgroupfs", bundle, *words, "ids", "--", "read", stdin=go[0]) as box:
        groups = groups_of(box)
        box.start()
        box.expect("ids")
        end_and_look(box, groups, by_itself, go[1])


def groups_of(box: Box) -> set[Path]:
    """In every hierarchy; asked before the payload moves its init."""
    return {group_of(box.pid, name) for name in joined()}


def made_below(groups: set[Path]) -> list[str]:
    return [
        os.path.join(path, name)
        for group in groups
        for path, names, _ in os.walk(group)
        for name in names
    ]


# Payloads that are a machine of their own


@pytest.fixture
def machine(bundle: Bundle, tmp_path: Path) -> Iterator[Path]:
    """The root of `bundle` is that of this machine; what is written to it is lost."""
    place = tmp_path / "machine"
    place.mkdir()
    kernel.mount("machine", str(place), "tmpfs")
    try:
        parts = [place / name for name in ("upper", "work", "root")]
        for part in parts:
            part.mkdir()
        upper, work, root = parts
        kernel.mount(
            "overlay", str(root), "overlay", 0, f"lowerdir=/,upperdir={upper},workdir={work}"
        )
        try:
            yield root
        finally:
            kernel.umount(str(root))
    finally:
        kernel.umount(str(place))


def furnish(bundle: Bundle, root: Path) -> Bundle:
    """All rights there are to be had, writable cgroups, and where programs expect to write."""
    bundle.set("root.path", str(root)).set("process.noNewPrivileges", False)
    held = int(facts.parse_status(Path("/proc/self/status").read_text())["CapBnd"], 16)
    names = [f"CAP_{name}" for bit, name in enumerate(facts.CAPABILITY_NAMES) if held >> bit & 1]
    bundle.capabilities(*names).namespace("cgroup")
    bundle.set("linux.resources.devices", [{"allow": True, "access": "rwm"}])
    bundle.mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro")
    bundle.mount(TOP, "cgroup", "cgroup", "rw")
    return bundle.mount("/run", "tmpfs", "tmpfs").mount("/tmp", "tmpfs", "tmpfs")


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("end", ENDS, ids=NAME)
@pytest.mark.slow
def test_a_container_in_a_container(
    bundle: Bundle, machine: Path, tmp_path: Path, driver: str, end: End, go: Pipe
) -> None:
    inner = Bundle(tmp_path / "inner").inside("pause")
    inner.write("inner")
    furnish(bundle, machine).bind(programs.PROJECT, str(programs.PROJECT), "ro")
    (machine / "inner").mkdir()
    bundle.bind(inner.directory, "/inner")
    words = shlex.join([*programs.runtime_command(), "--root", "/run/inner", "run", "--detach"])
    call = f"{words} --bundle /inner inner </dev/null >/run/said 2>&1"
    said = '{"cmd": "started"}'
    script = f"if {call}; then echo '{said}'; read x; else cat /run/said; fi"
    with created_by(driver, bundle.args("/bin/sh", "-c", script), stdin=go[0]) as box:
        groups = groups_of(box)
        box.start()
        box.expect("started")
        end_and_look(box, groups, end, go[1])


@pytest.mark.skipif(not SYSTEMD.exists(), reason="no systemd to run")
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("halted", [False, True], ids=["by_force", "by_itself"])
@pytest.mark.slow
def test_systemd(bundle: Bundle, machine: Path, tmp_path: Path, driver: str, halted: bool) -> None:
    """It has groups for itself and for a unit, which tells when it runs."""
    ready = tmp_path / "ready"
    ready.mkdir()
    for name in ("fifo", "never"):
        os.mkfifo(ready / name)
    unit = machine / "etc/systemd/system/ready.service"
    unit.write_text(UNIT)
    (machine / "ready").mkdir()
    furnish(bundle, machine).bind(ready, "/ready").env(container="oci")
    bundle.set("linux.readonlyPaths", ["/proc/sys"])  # it raises fs.file-max, which is the host's
    bundle.args(str(SYSTEMD), "--unit=ready.service", "--log-target=console")
    told = os.open(ready / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with created_by(driver, bundle) as box:
            groups = groups_of(box)
            box.start()
            assert select.select([told], [], [], scaled(20))[0], box.output + box.error_output
            assert any(path.endswith("/ready.service") for path in made_below(groups))
            end_and_look(box, groups, by_signal if halted else by_force, HALT)
    finally:
        os.close(told)


def by_signal(box: Box, number: int, *, held: bool) -> None:
    box.kill(number)
    box.wait(20)
    box.delete()


UNIT = """[Unit]
DefaultDependencies=no
[Service]
ExecStart=/bin/sh -c 'echo up >/ready/fifo; read x </ready/never'
"""
