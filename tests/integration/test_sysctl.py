"""linux.sysctl: what belongs to a namespace of the container, and nothing else (R-14)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lib.box import refused, run
from tests.lib.bundle import Bundle
from tests.lib.tripwire import Tripwire

pytestmark = pytest.mark.covers("linux.sysctl")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("net.ipv4.ip_forward", "1"),
        ("net/ipv4/ip_forward", "1"),
        ("net.ipv4.ping_group_range", "1\t7"),
        ("net.core.somaxconn", "321"),
        ("net.ipv4.conf.lo.forwarding", "1"),
        ("kernel.msgmax", "4000"),
        ("kernel.sem", "200\t20000\t20\t100"),
        ("kernel.shm_rmid_forced", "1"),
        ("kernel.shmmax", "1000000"),
        ("fs.mqueue.msg_max", "7"),
    ],
)
def test_a_sysctl_is_set(bundle: Bundle, name: str, value: str) -> None:
    bundle.set("linux", {**bundle.get("linux"), "sysctl": {name: value.replace("\t", " ")}})
    path = "/proc/sys/" + name.replace(".", "/")
    line = run(bundle.inside("cat", path)).lines[0]
    assert line["data"].strip() == value


@pytest.mark.parametrize("value", ["321\n", "321\n\n"])
def test_newlines_at_its_end_are_not_part_of_a_value(bundle: Bundle, value: str) -> None:
    """As `$(cat FILE)` in reverse: what was read from /proc/sys can be written back."""
    bundle.set("linux.sysctl", {"net.core.somaxconn": value})
    outcome = run(bundle.inside("cat", "/proc/sys/net/core/somaxconn"))
    assert outcome.lines[0]["data"] == "321\n"
    assert run(bundle.set("linux.sysctl", {"kernel.domainname": "a.example\n"})).code == 0


def test_a_newline_within_a_value(bundle: Bundle) -> None:
    refused(bundle.set("linux.sysctl", {"net.core.somaxconn": "321\n322"}))


def test_the_domain_name_as_a_sysctl(bundle: Bundle) -> None:
    bundle.set("linux.sysctl", {"kernel.domainname": "example.org"})
    assert run(bundle).facts.domainname == "example.org"


@pytest.mark.parametrize(
    "name",
    [
        "kernel.core_pattern",
        "kernel/core_pattern",
        "kernel.hostname",
        "vm.overcommit_memory",
        "fs.file-max",
        "kernel.msg_nothing",
        "net/../kernel/core_pattern",
        "net.ipv4/../x",
        "net.ipv4.no_such_thing",
        "user.max_user_namespaces",
        "",
    ],
)
def test_everything_else_is_refused(bundle: Bundle, name: str) -> None:
    with Tripwire():
        refused(bundle.set("linux.sysctl", {name: "1"}))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("network", "net.ipv4.ip_forward"),
        ("ipc", "kernel.msgmax"),
        ("ipc", "fs.mqueue.msg_max"),
        ("uts", "kernel.domainname"),
    ],
)
def test_a_sysctl_needs_the_namespace_it_belongs_to(bundle: Bundle, kind: str, name: str) -> None:
    with Tripwire():
        refused(bundle.without_namespace(kind).set("linux.sysctl", {name: "1"}))


def test_the_hosts_network_by_path_is_still_the_hosts(bundle: Bundle) -> None:
    with Tripwire():
        refused(
            bundle.namespace("network", "/proc/self/ns/net").set(
                "linux.sysctl", {"net.core.somaxconn": "1"}
            )
        )


def test_a_value_the_kernel_refuses(bundle: Bundle) -> None:
    assert "invalid argument" in refused(
        bundle.set("linux.sysctl", {"kernel.shm_rmid_forced": "7"})
    )


def test_an_image_with_a_false_proc_directory(bundle: Bundle, tmp_path: Path) -> None:
    """What is written goes to procfs, whatever the image has prepared below /proc."""
    bundle.file("proc/sys/net/ipv4/ip_forward", "untouched")
    bundle.set("linux.sysctl", {"net.ipv4.ip_forward": "1"})
    assert run(bundle.inside("cat", "/proc/sys/net/ipv4/ip_forward")).lines[0]["data"] == "1\n"
    assert (bundle.rootfs / "proc/sys/net/ipv4/ip_forward").read_text() == "untouched"
