"""R-02, R-03: /proc and /sys that are faked or hidden; writes meant for procfs.

CVE-2019-16884, CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2025-52881, CVE-2025-54867, CVE-2025-62596.
"""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.lib import hostile
from tests.lib.box import Box, refused
from tests.lib.bundle import Bundle
from tests.lib.patience import deadline as scaled_deadline
from tests.lib.sdnotify import Manager
from tests.lib.tripwire import Tripwire

FAKE: hostile.Tree = {
    "sys": {
        "net": {"ipv4": {"ip_forward": "fake"}},
        "kernel": {"domainname": "fake", "msgmax": "fake"},
    },
    "self": {
        "attr": {"exec": "", "current": ""},
        "fd": {},
        "oom_score_adj": "fake",
        "setgroups": "fake",
    },
    "1": {"oom_score_adj": "fake"},
    "thread-self": {"attr": {"exec": ""}},
    "sysrq-trigger": "fake",
}
SYSCTLS = {"net.ipv4.ip_forward": "1", "kernel.msgmax": "4321"}


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    return hostile.build(tmp_path / "outside", FAKE)


@pytest.mark.parametrize("label", hostile.FORMS)
@pytest.mark.parametrize(("name", "kind"), [("proc", "proc"), ("sys", "sysfs")])
def test_a_link_in_their_place(
    bundle: Bundle, outside: Path, label: str, name: str, kind: str
) -> None:
    hostile.build(bundle.rootfs, hostile.link_form(label, name, outside))
    if kind == "sysfs":
        bundle.mount("/sys", "sysfs", "sysfs", "ro")
    with Tripwire(outside):
        refused(bundle, patience=3)


@pytest.mark.parametrize("kind", ["file", "fifo"])
def test_another_kind_in_their_place(bundle: Bundle, kind: str) -> None:
    hostile.build(bundle.rootfs, {"proc": hostile.Fifo() if kind == "fifo" else "text"})
    refused(bundle, patience=3)


def test_a_link_on_the_way(bundle: Bundle, outside: Path) -> None:
    hostile.build(bundle.rootfs, {"mnt": hostile.Link(str(outside))})
    with Tripwire(outside):
        refused(bundle.mount("/mnt/self/proc", "proc", "proc"))


TARGETS = [
    "/proc",
    "/proc/",
    "//proc/.",
    "/proc/self",
    "/proc/self/attr",
    "/proc/sys",
    "/proc/1/fd",
    "/tmp/../proc",
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", ["bind", "tmpfs"])
def test_over_mounts_are_refused(bundle: Bundle, outside: Path, target: str, kind: str) -> None:
    if kind == "bind":
        bundle.bind(outside, target)
    else:
        bundle.mount(target, "tmpfs", "tmpfs")
    with Tripwire(outside):
        refused(bundle)


@pytest.mark.parametrize("target", ["/alias", "/alias/self/attr", "/alias/sys"])
def test_over_mounts_through_a_link_are_refused(bundle: Bundle, outside: Path, target: str) -> None:
    """The descriptor is judged, not the string (CVE-2023-28642)."""
    hostile.build(bundle.rootfs, {"alias": hostile.Link("proc")})
    with Tripwire(outside):
        refused(bundle.bind(outside, target))


@pytest.mark.parametrize("target", ["/proc/self/attr", "/proc/sys", "/proc"])
def test_the_notify_socket_through_a_link(bundle: Bundle, tmp_path: Path, target: str) -> None:
    """NOTIFY_SOCKET's mount is none of the config's, and its place is the image's as much as any other."""
    hostile.build(bundle.rootfs, {"run": {"notify": hostile.Link(target)}})
    with (
        closing(Manager(str(tmp_path / "manager"))) as manager,
        Box(bundle, env=manager.env) as box,
    ):
        outcome = box.create(check=False)
        assert outcome.code == 1 and "operation not permitted" in outcome.err
        assert "notify socket" in outcome.err


@pytest.mark.parametrize("before", [True, False])
def test_a_false_proc_below_the_real_one(bundle: Bundle, outside: Path, before: bool) -> None:
    """Without a proc mount the config's values must not be written into files of the image."""
    mounts = [mount for mount in bundle.get("mounts") if mount["destination"] != "/proc"]
    bundle.set("mounts", mounts)
    hostile.build(bundle.rootfs / "proc", FAKE)
    if before:
        bundle.mount("/proc/self/later", "tmpfs", "t")
    bundle.set("linux.sysctl", SYSCTLS).set("process.oomScoreAdj", 700)
    with Tripwire(bundle.rootfs / "proc/sys", outside), Box(bundle.inside("pause")) as box:
        outcome = box.create(check=False)
        if outcome.code == 0:
            assert Path(f"/proc/{box.pid}/oom_score_adj").read_text() == "700\n"


def test_sysctls_reach_the_kernel_whatever_the_image_holds(bundle: Bundle) -> None:
    hostile.build(bundle.rootfs / "proc", FAKE)
    bundle.set("linux.sysctl", SYSCTLS).inside(
        "cat", "/proc/sys/net/ipv4/ip_forward", "--", "cat", "/proc/sys/kernel/msgmax"
    )
    with Tripwire(bundle.rootfs / "proc/self"), Box(bundle) as box:
        box.run(check=True)
        assert [line["data"] for line in box.lines] == ["1\n", "4321\n"]


def race(bundle: Bundle, outside: Path, seconds: float, limit: int) -> None:
    """/proc of the image is a directory and a link to a false one in turn, while sysctls are written."""
    hostile.build(bundle.rootfs, {"fake": FAKE, "proclink": hostile.Link("/fake"), "proc": {}})
    bundle.set("linux.sysctl", SYSCTLS).set("process.oomScoreAdj", 700)
    bundle.inside("cat", "/proc/sys/net/ipv4/ip_forward", "--", "report")
    end = scaled_deadline(seconds)
    count = 0
    swapping = hostile.Swapping(bundle.rootfs / "proc", bundle.rootfs / "proclink")
    with Tripwire(bundle.rootfs / "fake/sys", bundle.rootfs / "fake/self", outside), swapping:
        while time.monotonic() < end and count < limit:
            count += 1
            with Box(bundle) as box:
                outcome = box.run()
                assert outcome.code in (0, 1) and "Traceback" not in outcome.err, str(outcome)
    assert count > 3


@pytest.mark.slow
def test_race(bundle: Bundle, outside: Path) -> None:
    race(bundle, outside, 2.5, 10_000)


@pytest.mark.nightly
def test_long_race(bundle: Bundle, outside: Path) -> None:
    race(bundle, outside, 600, 2000)
