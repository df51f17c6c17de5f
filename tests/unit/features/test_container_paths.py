"""Devices, masks, read-only paths, sysctls, seccomp as data: what the init does below the root."""

from __future__ import annotations

import os
from typing import Any

import pytest

from pyruntime.errors import SpecError, StepError
from pyruntime.features import devices, sysctl
from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.plan.step import DIRECTORY, END, MAKE_DIRECTORY
from tests.lib.plans import findings, planned, spec, without_namespace, words

ENOENT = 2
CHAR, BLOCK, FIFO = 0o20000, 0o60000, 0o10000


# Devices


@pytest.mark.parametrize("major", [0, 1, 255, 256, 4095])
@pytest.mark.parametrize("minor", [0, 1, 255, 256, 4096, (1 << 20) - 1])
def test_device_numbers(major: int, minor: int) -> None:
    number = devices.makedev(major, minor)
    assert number == os.makedev(major, minor)
    assert (os.major(number), os.minor(number)) == (major, minor)


def nodes(document: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Name in /dev → (mode, device number) of the first mknodat of each device."""
    found = {}
    for step in planned(document).at(moments.DEVICES):
        calls = [words(op) for op in step.ops]
        call = next(call for call in calls if call[0] == "mknodat")
        found[step.text.removeprefix("make device ").strip("`")] = (call[3], call[4])
    return found


DEFAULTS = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
}


def test_the_default_devices() -> None:
    wanted = {f"/dev/{name}": (CHAR | 0o666, os.makedev(*pair)) for name, pair in DEFAULTS.items()}
    assert nodes(spec()) == wanted


def device(**members: Any) -> dict[str, Any]:
    entry = {"path": "/dev/x", "type": "c", "major": 10, "minor": 200, **members}
    return spec(linux__devices=[{key: value for key, value in entry.items() if value is not None}])


@pytest.mark.parametrize(("kind", "bits"), [("c", CHAR), ("u", CHAR), ("b", BLOCK), ("p", FIFO)])
@pytest.mark.parametrize(
    ("mode", "wanted"), [(None, 0o666), (0, 0), (0o600, 0o600), (0o107777, 0o7777)]
)
def test_types_and_modes(kind: str, bits: int, mode: int | None, wanted: int) -> None:
    made = nodes(device(type=kind, fileMode=mode))["/dev/x"]
    assert made == (bits | wanted, os.makedev(10, 200))


def test_a_fifo_has_no_number() -> None:
    assert nodes(device(type="p", major=None, minor=None))["/dev/x"] == (FIFO | 0o666, 0)


@pytest.mark.parametrize(("uid", "gid"), [(0, 0), (5, 0), (0, 6), (2147483647, 1)])
def test_owners(uid: int, gid: int) -> None:
    calls = planned(device(uid=uid, gid=gid)).named("/linux/devices/0", "fchownat")
    wanted = [("x", uid, gid, lib.AT_SYMLINK_NOFOLLOW)]
    assert [call[1:] for call in calls] == (wanted if uid or gid else [])


def test_a_device_replaces_a_default_of_its_name() -> None:
    made = nodes(device(path="/dev//./null", major=7, minor=8))
    assert made["/dev/null"] == (CHAR | 0o666, os.makedev(7, 8))
    assert len(made) == len(DEFAULTS)


def test_directories_are_made_beneath_the_root() -> None:
    calls = planned(device(path="/a/b/node")).calls("/linux/devices/0")
    assert calls[0][0] == "RESOLVE" and calls[0][2:4] == ("/a/b", MAKE_DIRECTORY | DIRECTORY)
    assert {call[2] for call in calls if call[0] in ("mknodat", "unlinkat", "statx")} == {"node"}


def test_two_devices_of_one_path() -> None:
    one = device()
    twice = spec(linux__devices=[*one["linux"]["devices"]] * 2)
    assert not findings(twice)
    other = spec(linux__devices=[*one["linux"]["devices"], *device(minor=5)["linux"]["devices"]])
    assert list(findings(other)) == ["/linux/devices/1/path"]


def test_what_stands_there_is_proved_and_never_opened() -> None:
    """config-linux.md, Devices: a file that does not match the requested device is an error."""
    calls = planned(device()).calls("/linux/devices/0")
    names = [call[0] for call in calls]
    assert not {"openat", "openat2", "unlinkat"} & set(names)
    assert calls[names.index("statx")][3] & lib.AT_SYMLINK_NOFOLLOW


def test_what_stands_where_a_default_device_is_to_be_is_replaced() -> None:
    calls = planned(spec()).calls("/linux/devices")
    names = [call[0] for call in calls]
    assert not {"openat", "openat2"} & set(names)
    assert (
        names.index("statx") < names.index("unlinkat") < len(names) - names[::-1].index("mknodat")
    )


@pytest.mark.parametrize("options", [["bind"], ["rbind", "ro"]])
def test_a_dev_of_the_engines_own_is_left_alone(options: list[str]) -> None:
    mount = {"destination": "/dev/", "source": "/x", "options": options}
    assert not nodes(spec(mounts=[mount]))
    assert not planned(spec(mounts=[mount])).at(moments.DEV_LINKS)


def test_devices_without_a_mount_namespace() -> None:
    assert nodes(spec(linux__namespaces=without_namespace("mount")))


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"path": "dev/x"}, "/path"),
        ({"path": "/"}, "/path"),
        ({"path": "/dev/.."}, "/path"),
        ({"path": "/a\0"}, "/path"),
        ({"major": None}, ""),
        ({"minor": None}, ""),
    ],
)
def test_rules_of_devices(members: dict[str, Any], place: str) -> None:
    assert set(findings(device(**members))) == {f"/linux/devices/0{place}"}


@pytest.mark.parametrize(
    ("major", "minor"),
    [
        (-1, 0),
        (0, -1),
        (4096, 3),
        (4097, 3),
        (1, 1 << 20),
        (1 << 32, 0),
        (0, 1 << 32),
        (1 << 62, 0),
    ],
)
def test_numbers_no_device_has(major: int, minor: int) -> None:
    """The kernel would make another device: 4097:3 becomes null."""
    assert findings(device(major=major, minor=minor))


# Masks and read-only paths


def paths(name: str, *listed: str) -> dict[str, Any]:
    return spec(**{f"linux__{name}": list(listed)})


@pytest.mark.parametrize("name", ["maskedPaths", "readonlyPaths"])
def test_a_missing_path_is_passed_over(name: str) -> None:
    plan = planned(paths(name, "/proc/x"))
    first = plan.of(f"/linux/{name}/0")[0].ops[0]
    assert words(first)[2] == "/proc/x"
    assert first[3] == ENOENT and first[4] == END, "only a missing one"


def test_the_source_of_a_mask_is_proved() -> None:
    """The host's own null device, never a link (CVE-2025-31133)."""
    calls = planned(paths("maskedPaths", "/proc/x")).calls("/linux/maskedPaths")
    opened = calls[0]
    assert opened[:3] == ("openat", lib.AT_FDCWD, "/dev/null") and opened[3] & lib.O_NOFOLLOW
    proofs = [call[4] for call in calls if call[0] == "EXPECT"]
    assert proofs[:3] == [CHAR, 1, 3]


def test_masks_are_made_once_for_each_place() -> None:
    plan = planned(paths("maskedPaths", "/proc/x", "/proc//x/", "/proc/y"))
    targets = [
        words(step.ops[0])[2] for step in plan.at(moments.MASKS) if step.text.startswith("mask")
    ]
    assert targets == ["/proc/x", "/proc/y"]


def test_a_read_only_path_keeps_what_lies_on_it() -> None:
    calls = planned(paths("readonlyPaths", "/proc/sys")).calls("/linux/readonlyPaths/0")
    names = [call[0] for call in calls]
    cloned = calls[names.index("open_tree")]
    assert cloned[3] & lib.AT_RECURSIVE
    assert calls[names.index("mount_setattr")][4] == (1, 0, 0, 0)


@pytest.mark.parametrize("name", ["maskedPaths", "readonlyPaths"])
@pytest.mark.parametrize("path", ["", "proc/x", "/a\0b"])
def test_rules_of_paths(name: str, path: str) -> None:
    assert set(findings(paths(name, "/ok", path))) == {f"/linux/{name}/1"}


# Sysctls


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        ("net.ipv4.ip_forward", ["net", "ipv4", "ip_forward"]),
        ("net/ipv4/ip_forward", ["net", "ipv4", "ip_forward"]),
        ("net.ipv4.conf.eth0/100.forwarding", ["net", "ipv4", "conf", "eth0.100", "forwarding"]),
        ("net/ipv4/conf/eth0.100/forwarding", ["net", "ipv4", "conf", "eth0.100", "forwarding"]),
        ("kernel", ["kernel"]),
    ],
)
def test_segments(key: str, wanted: list[str]) -> None:
    assert sysctl.segments(key) == wanted


def set_to(key: str, value: str = "1", *missing: str) -> dict[str, Any]:
    return spec(linux__sysctl={key: value}, linux__namespaces=without_namespace(*missing))


def pointer(key: str) -> str:
    return "/linux/sysctl/" + key.replace("~", "~0").replace("/", "~1")


ALLOWED = {
    "net.core.somaxconn": "network",
    "net/ipv4/ip_forward": "network",
    "net.ipv4.conf.eth0/100.forwarding": "network",
    "kernel.msgmax": "ipc",
    "kernel.sem": "ipc",
    "kernel.shm_rmid_forced": "ipc",
    "fs.mqueue.msg_max": "ipc",
    "fs/mqueue/queues_max": "ipc",
    "kernel.domainname": "uts",
}


@pytest.mark.parametrize("key", ALLOWED)
def test_what_belongs_to_a_namespace_needs_it(key: str) -> None:
    assert findings(set_to(key)) == {}
    assert "namespace" in findings(set_to(key, "1", ALLOWED[key]))[pointer(key)]


HOSTILE = [
    "net/../kernel/core_pattern", "net.ipv4/../x", "net/./x", "net..x", "net//x", "", ".", "/", "..", "../x",
    "/net/core/somaxconn", ".net.core", "net.", "net/", "net.core.\n", "net.core.\x7f", "net.core.\x1b[2J",
    "kernel.core_pattern", "kernel/core_pattern", "kernel.hostname", "kernel", "kernel.shmmax.x",
    "kernel.modprobe", "kernel.shm", "fs.file-max", "fs", "fs.mqueuex.a", "vm.swappiness", "vm/overcommit_memory",
    "dev.tty", "netx.core", "NET.core.somaxconn", "user.max_user_namespaces", "abi.x", "debug.exception-trace",
    "kernel/../net/core/somaxconn", "fs/mqueue/../file-max",
]  # fmt: skip


@pytest.mark.parametrize("key", HOSTILE)
def test_everything_else_is_refused(key: str) -> None:
    assert set(findings(set_to(key))) == {pointer(key)}


@pytest.mark.parametrize("value", ["1\n2", "a\0", "\x1b", "\x7f", "1\r"])
def test_values_hold_no_control_characters(value: str) -> None:
    """A line break smuggled in a second setting (CVE-2022-0811)."""
    assert set(findings(set_to("net.core.somaxconn", value))) == {
        "/linux/sysctl/net.core.somaxconn"
    }


@pytest.mark.parametrize("value", ["", "1", "1\t2", "|/bin/x %e", "é"])
def test_a_value_is_written_through_our_own_procfs(value: str) -> None:
    plan = planned(set_to("net.ipv4.conf.eth0/100.forwarding", value))
    calls = plan.calls("/linux/sysctl/net.ipv4.conf.eth0~1100.forwarding")
    opened, written = calls[0], next(call for call in calls if call[0] == "write")
    assert opened[1:3] == ("<procfs>", "sys/net/ipv4/conf/eth0.100/forwarding")
    rules = opened[3][2]
    for wanted in (lib.RESOLVE_BENEATH, lib.RESOLVE_NO_SYMLINKS, lib.RESOLVE_NO_XDEV):
        assert rules & wanted
    assert written[2:] == (value.encode(), len(value.encode()))
    assert [call[4] for call in calls if call[0] == "EXPECT"] == [len(value.encode())], "all of it"
    assert plan.at(moments.PROCFS)


def test_no_procfs_unless_somebody_needs_it() -> None:
    assert not planned().at(moments.PROCFS)


# Seccomp


def filtered(**members: Any) -> dict[str, Any]:
    profile = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [], **members}
    return spec(linux__seccomp=profile)


def test_a_filter_is_handed_to_the_kernel_whole() -> None:
    call = planned(filtered(syscalls=[{"names": ["read"], "action": "SCMP_ACT_ALLOW"}])).named(
        "/linux/seccomp", "seccomp")[0]  # fmt: skip
    count, program = call[2]
    assert call[0] == lib.SECCOMP_SET_MODE_FILTER
    assert len(program) == 8 * count > 8


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        (None, 4),
        ([], 0),
        (["SECCOMP_FILTER_FLAG_LOG"], 2),
        (["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG"], 2),
    ],
)
def test_flags_of_a_filter(flags: list[str] | None, wanted: int) -> None:
    """TSYNC is taken and left out, as runc does: the init has one thread."""
    document = filtered(**({} if flags is None else {"flags": flags}))
    assert planned(document).named("/linux/seccomp", "seccomp")[0][1] == wanted


@pytest.mark.parametrize(
    "profile", [{}, {"syscalls": []}, {"architectures": ["SCMP_ARCH_X86"]}, None]
)
def test_no_filter(profile: Any) -> None:
    assert not planned(spec(linux__seccomp=profile)).of("/linux/seccomp")


ASK = {"names": ["read"], "action": "SCMP_ACT_NOTIFY"}


def test_a_listener_belongs_to_a_path() -> None:
    assert "/linux/seccomp/listenerPath" in findings(filtered(syscalls=[ASK]))
    assert "/linux/seccomp/listenerPath" in findings(filtered(syscalls=[ASK], listenerPath="a\0"))
    assert "/linux/seccomp/listenerMetadata" in findings(filtered(listenerMetadata="x"))
    assert not findings(filtered(syscalls=[ASK], listenerPath="/l", listenerMetadata="x"))


@pytest.mark.parametrize("late", [True, False])
def test_a_listener_is_asked_for_by_its_number(late: bool) -> None:
    """With the right to trace the init, the host takes it: after the filter come write, read and close alone."""
    document = filtered(syscalls=[ASK], listenerPath="/l")
    document["process"]["noNewPrivileges"] = late
    plan = planned(document)
    load, keep = plan.of("/linux/seccomp")[0], plan.of("/linux/seccomp/listenerPath")[0]
    assert load.moment == keep.moment == moments.SECCOMP
    assert [words(op)[0] for op in load.ops] == ["seccomp", "SYNC"]
    assert words(load.ops[0])[2] & 8 and words(load.ops[1])[1:] == (
        plan.site.socket_fd,
        ord("S"),
        "<listener>",
    )
    assert [words(op) for op in keep.ops] == [("close", "<listener>")]
    assert plan.steps.index(keep) == plan.steps.index(load) + 1


def test_a_listener_is_sent_by_an_init_nobody_may_trace() -> None:
    plan = planned(filtered(syscalls=[ASK], listenerPath="/l"), capabilities=0)
    names = [call[0] for call in plan.calls("/linux/seccomp")]
    assert names == ["seccomp", "STORE", "sendmsg", "SYNC"]
    rule = {"names": ["sendmsg"], "action": "SCMP_ACT_NOTIFY"}
    with pytest.raises(SpecError, match="CAP_SYS_PTRACE"):
        planned(filtered(syscalls=[rule], listenerPath="/l"), capabilities=0)
    assert planned(filtered(syscalls=[rule], listenerPath="/l")).of("/linux/seccomp")


def test_a_listener_nobody_asks_for_is_not_made() -> None:
    plan = planned(filtered(listenerPath="/l", flags=["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]))
    assert [call[0] for call in plan.calls("/linux/seccomp")] == ["seccomp"]
    assert plan.named("/linux/seccomp", "seccomp")[0][1] == 0


@pytest.mark.parametrize(
    ("number", "flags", "wanted"),
    [
        (16, [], "in force already"),
        (22, ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"], "5.19"),
        (22, [], None),
    ],
)
def test_a_listener_the_kernel_refuses(number: int, flags: list[str], wanted: str | None) -> None:
    step = planned(filtered(syscalls=[ASK], listenerPath="/l", flags=flags)).of("/linux/seccomp")[0]
    assert step.failure is not None
    error = step.failure(number, b"")
    assert isinstance(error, StepError) and error.errno == number
    assert (error.hint is None) if wanted is None else (wanted in (error.hint or ""))


@pytest.mark.parametrize(("domain", "number"), [("LINUX", 0), ("LINUX32", 8)])
def test_personality(domain: str, number: int) -> None:
    plan = planned(spec(linux__personality={"domain": domain}))
    assert plan.calls("/linux/personality") == [("personality", number)]
