"""In a user namespace: devices by bind, volumes, proc and sysfs, and a runtime that itself sits in one
(config-linux.md, Default Devices; security: R-09, R-12)."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lib import kernel, programs
from tests.lib.box import Box, refused, report, run
from tests.lib.bundle import Bundle
from tests.lib.facts import Facts
from tests.lib.namespaces import SUBORDINATE, Keeper, Map, inode, map_users, parse_map
from tests.lib.ordinary_user import Person, PersonBox, own, rootless

pytestmark = pytest.mark.covers("linux.namespaces.type", "linux.uidMappings", "linux.gidMappings")

FIRST = SUBORDINATE[0].host
DEVICES = {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9, "tty": 0}
SYS = {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec"]}
PERSON = Person()


# Devices


def check_devices(seen: Facts) -> None:
    for name, minor in DEVICES.items():
        entry = seen.dev[name]
        major = 5 if name == "tty" else 1
        assert (entry["type"], entry["major"], entry["minor"]) == ("char", major, minor), name
        assert "nodev" not in seen.mount(f"/dev/{name}").options


USES = (
    "report", "--", "write", "/dev/null", "x", "--", "open", "/dev/zero", "rw", "--",
    "open", "/dev/urandom", "r", "--", "open", "/dev/full", "rw",
)  # fmt: skip


def test_devices_are_the_real_ones(mapped: Bundle) -> None:
    with Box(mapped.inside(*USES)) as box:
        outcome = box.run(check=True)
    check_devices(outcome.facts)
    assert [line["errno"] for line in outcome.lines[1:]] == [""] * 4


@pytest.mark.parametrize("maps", [PERSON.maps, PERSON.single], ids=["ranges", "one id"])
def test_devices_of_an_ordinary_user(person: Person, maps: tuple[Map, ...]) -> None:
    bundle = rootless(person.bundle().inside(*USES), person, maps)
    with PersonBox(bundle, person) as box:
        outcome = box.run(check=True)
    check_devices(outcome.facts)
    assert [line["errno"] for line in outcome.lines[1:]] == [""] * 4


KMSG = {"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666}


def of_a_person(person: Person, entry: dict[str, object]) -> PersonBox:
    bundle = rootless(person.bundle(), person, person.maps)
    return PersonBox(bundle.set("linux.devices", [entry]), person)


def test_a_device_of_the_config_is_the_hosts(person: Person) -> None:
    with of_a_person(person, KMSG) as box:
        found = box.run(check=True).facts.dev["kmsg"]
    assert (found["type"], found["major"], found["minor"]) == ("char", 1, 11)


@pytest.mark.parametrize(
    "entry", [{**KMSG, "path": "/dev/nothing-of-the-kind"}, {**KMSG, "minor": 3}]
)
def test_a_device_the_host_does_not_have(person: Person, entry: dict[str, object]) -> None:
    """Or that is another there: what would be bound is not what was asked for."""
    with of_a_person(person, entry) as box:
        assert box.create(check=False).code == 1


# What shows a namespace that is joined


SIOCSIFNAME = 0x8923
RENAME = """
import fcntl, os, socket, struct, sys
from tests.lib import kernel
kernel.setns(os.open(sys.argv[1], os.O_RDONLY))
request = struct.pack("16s16s", b"lo", sys.argv[2].encode())
fcntl.ioctl(socket.socket(), int(sys.argv[3]), request)
"""


def rename_loopback(path: str, name: str) -> None:
    """Another network namespace shows that it is one; its loopback is down."""
    words = [sys.executable, "-c", RENAME, path, name, str(SIOCSIFNAME)]
    subprocess.run(words, check=True, cwd=programs.PROJECT)


def test_sysfs_of_a_joined_network(mapped: Bundle) -> None:
    """With a new user namespace it is that network's, made before; never the host's."""
    mapped.add("mounts", SYS).inside("ls", "/sys/class/net", "--", "cat", "/proc/net/dev")
    with Keeper("network") as other:
        rename_loopback(other.path("network"), "onlyhere")
        names, devices = run(mapped.namespace("network", other.path("network"))).lines
    assert list(names["entries"]) == ["onlyhere"] and "onlyhere:" in devices["data"]


def test_procfs_of_a_joined_pid_namespace_is_never_the_hosts(mapped: Bundle) -> None:
    """The kernel gives a procfs of it to nobody in the new user namespace."""
    with Keeper("pid") as other:
        message = refused(mapped.namespace("pid", other.path("pid")))
    assert "/mounts/0" in message and "operation not permitted" in message


def test_procfs_where_the_joined_pid_namespace_is_ours(mapped: Bundle) -> None:
    seen = report(mapped.namespace("pid", "/proc/self/ns/pid"))
    assert seen.mount("/proc").kind == "proc" and seen.pid > 1


def test_no_device_can_be_made(mapped: Bundle) -> None:
    mapped.privileged().inside("device", "/dev/mine", "c", "1", "3")
    with Box(mapped) as box:
        made = box.run(check=True).lines[0]
    assert (made["stage"], made["errno"]) == ("mknod", "EPERM")


# Volumes


@pytest.fixture
def locked(where: Path) -> Iterator[Path]:
    """A volume whose mount says nosuid, nodev, noexec, with a device in it."""
    volume = where / "volume"
    volume.mkdir()
    flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    kernel.mount("tmpfs", str(volume), "tmpfs", flags)
    os.mknod(volume / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    (volume / "null").chmod(0o666)
    yield volume
    kernel.umount(str(volume))


def test_what_is_locked_of_a_volume_stays(mapped: Bundle, locked: Path) -> None:
    """The container's mount namespace belongs to a lesser user namespace: flags of the source are locked."""
    mapped.bind(locked, "/mine").inside("report", "--", "write", "/mine/null", "x")
    with Box(mapped) as box:
        outcome = box.run(check=True)
    assert {"nosuid", "nodev", "noexec"} <= outcome.facts.mount("/mine").options
    assert outcome.lines[1]["errno"] == "EACCES"


def test_what_is_locked_of_a_volume_stays_beside_others(mapped: Bundle, locked: Path) -> None:
    options = report(mapped.bind(locked, "/mine", "ro")).mount("/mine").options
    assert {"nosuid", "nodev", "noexec", "ro"} <= options


def test_a_source_only_the_host_can_reach(mapped: Bundle, where: Path) -> None:
    """Root of the host asks for it; the container's root could not even look there."""
    volume = where / "private/volume"
    volume.mkdir(parents=True)
    (volume / "file").write_text("text")
    (where / "private").chmod(0o700)
    mapped.bind(volume, "/mine").inside("report", "--", "cat", "/mine/file")
    with Box(mapped) as box:
        outcome = box.run(check=True)
    assert outcome.lines[1]["data"] == "text"


def test_a_source_an_ordinary_user_cannot_reach(person: Person, where_private: Path) -> None:
    bundle = person.bundle().bind(where_private, "/mine")
    with PersonBox(rootless(bundle, person, person.maps), person) as box:
        outcome = box.create(check=False)
        assert outcome.code == 1 and "permission denied" in outcome.message, str(outcome)


@pytest.fixture
def where_private(person: Person) -> Path:
    volume = person.home.parent / "private/volume"
    volume.mkdir(parents=True)
    volume.parent.chmod(0o700)
    return volume


def test_a_root_beneath_a_directory_of_the_hosts_root(where: Path) -> None:
    """As /var/lib/containers is: nobody but root may pass."""
    (where / "private").mkdir(mode=0o700)
    bundle = map_users(Bundle(where / "private/bundle"), SUBORDINATE)
    own(bundle.rootfs, FIRST)
    assert report(bundle).pid == 1


# proc and sysfs


def test_sysfs_with_a_network_of_its_own(mapped: Bundle) -> None:
    assert report(mapped.add("mounts", SYS)).mount("/sys").kind == "sysfs"


def test_sysfs_beside_somebody_elses_network(mapped: Bundle) -> None:
    """The kernel refuses a new one: the host's is bound, and nothing below it can be written."""
    mapped.without_namespace("network").add("mounts", SYS).privileged()
    mapped.inside("report", "--", "trywrite")
    with Box(mapped) as box:
        outcome = box.run(check=True)
    below = [each for each in outcome.facts.mounts if (each.point + "/").startswith("/sys/")]
    assert below and below[0].kind == "sysfs"
    for each in below:
        assert "ro" in each.options, each
    tried = outcome.lines[1]["mounts"]
    assert {tried[each.point] for each in below if each.point in tried} <= {"EROFS", "EACCES"}


def test_proc_beside_somebody_elses_processes(mapped: Bundle) -> None:
    """No pid namespace of its own, so no procfs of its own: the host's is bound."""
    seen = report(mapped.without_namespace("pid"))
    assert seen.mount("/proc").kind == "proc"
    assert seen.namespaces["pid"] == inode("pid")


def test_proc_where_the_hosts_is_covered(mapped: Bundle) -> None:
    """A new procfs would show what was covered; the kernel says no, and nothing else will do."""
    kernel.mount("/dev/null", "/proc/version", flags=kernel.MS_BIND)
    try:
        words = refused(mapped)
    finally:
        kernel.umount("/proc/version")
    assert "operation not permitted" in words


def test_masks_and_readonly_paths(mapped: Bundle) -> None:
    mapped.set("linux.maskedPaths", ["/proc/version", "/proc/fs"]).privileged()
    mapped.set("linux.readonlyPaths", ["/proc/sys"])
    mapped.inside("cat", "/proc/version", "--", "write", "/proc/sys/kernel/msgmax", "1")
    with Box(mapped) as box:
        masked, fixed = box.run(check=True).lines
    assert (masked["data"], masked["errno"]) == ("", "")
    assert fixed["errno"] == "EROFS"


# The runtime itself sits in a user namespace, as under rootless podman


@dataclass(frozen=True)
class Insider(Person):
    """Root of the keeper's user namespace, which is nobody on the host."""

    keeper_pid: int = 0

    def become(self) -> None:
        pidfd = os.pidfd_open(self.keeper_pid)
        kernel.setns(pidfd, kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS)
        os.close(pidfd)
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)


@pytest.mark.parametrize("maps", [(), (Map(0, 1000, 100),)], ids=["its own", "one more"])
def test_a_runtime_in_a_user_namespace(where: Path, maps: tuple[Map, ...]) -> None:
    """With the user namespace it is in, and with one below that."""
    bundle = Bundle(where / "bundle").set("linux.cgroupsPath", None).inside(*USES)
    if maps:
        map_users(bundle, maps)
    with Keeper("user", "mount") as keeper:
        own(where, FIRST)
        if maps:
            own(bundle.rootfs, FIRST + 1000)
        with PersonBox(bundle, Insider(uid=FIRST, keeper_pid=keeper.pid)) as box:
            outcome = box.run(check=True)
    seen = outcome.facts
    wanted = maps or SUBORDINATE
    assert parse_map(seen.report["files"]["/proc/self/uid_map"]) == list(wanted)
    assert seen.pid == 1 and seen.uid == [0, 0, 0]
    check_devices(seen)
    assert [line["errno"] for line in outcome.lines[1:]] == [""] * 4
    assert outcome.err == ""
