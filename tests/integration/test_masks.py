"""linux.maskedPaths and linux.readonlyPaths."""

from __future__ import annotations

import pytest

from tests.lib.box import refused, report, run
from tests.lib.bundle import Bundle

pytestmark = pytest.mark.covers("linux.maskedPaths", "linux.readonlyPaths")


def test_a_masked_file_reads_empty(bundle: Bundle) -> None:
    bundle.file("etc/secret", "x").set("linux.maskedPaths", ["/etc/secret", "/proc/keys"])
    lines = run(
        bundle.inside(
            "cat", "/etc/secret", "--", "write", "/etc/secret", "y", "--", "cat", "/proc/keys"
        )
    ).lines
    assert lines[0]["data"] == "" and lines[2]["data"] == ""
    assert (bundle.rootfs / "etc/secret").read_text() == "x"


def test_a_mask_is_the_null_device(bundle: Bundle) -> None:
    bundle.file("etc/secret", "x").set("linux.maskedPaths", ["/etc/secret"])
    line = run(bundle.inside("stat", "/etc/secret")).lines[0]
    assert (line["type"], line["major"], line["minor"]) == ("char", 1, 3)


def test_a_masked_directory_is_empty_and_readonly(bundle: Bundle) -> None:
    bundle.file("data/secret", "x").set("linux.maskedPaths", ["/data", "/proc/scsi", "/proc/acpi"])
    outcome = run(bundle.inside("ls", "/data", "--", "create", "/data/x", "y", "--", "report"))
    assert outcome.lines[0]["entries"] == {}
    assert outcome.lines[1]["errno"] == "EROFS"
    mount = outcome.facts.mount("/data")
    assert mount.kind == "tmpfs" and "ro" in mount.options


def test_what_is_not_there_needs_no_mask(bundle: Bundle) -> None:
    bundle.set("linux.maskedPaths", ["/not/there", "/etc/none"]).set(
        "linux.readonlyPaths", ["/not/there"]
    )
    points = {mount.point for mount in report(bundle).mounts}
    assert points == {"/", "/proc", "/dev", "/dev/pts"}


def test_a_path_masked_twice(bundle: Bundle) -> None:
    bundle.file("etc/secret", "x").set(
        "linux.maskedPaths", ["/etc/secret", "/etc/secret", "/proc/keys"]
    )
    assert run(bundle.inside("cat", "/etc/secret")).lines[0]["data"] == ""


def test_a_masked_path_through_a_link_stays_in_the_root(bundle: Bundle) -> None:
    bundle.file("real/secret", "x").link("alias", "/real").set(
        "linux.maskedPaths", ["/alias/secret"]
    )
    assert run(bundle.inside("cat", "/real/secret")).lines[0]["data"] == ""


def test_readonly_paths(bundle: Bundle) -> None:
    bundle.file("data/file", "x").set("linux.readonlyPaths", ["/data", "/proc/sys", "/etc/passwd"])
    words = "create /data/new y -- write /data/file y -- write /etc/passwd y -- create /new y"
    lines = run(bundle.inside(*words.split())).lines
    assert [line["errno"] for line in lines] == ["EROFS", "EROFS", "EROFS", ""]


def test_a_readonly_path_keeps_the_other_flags(bundle: Bundle) -> None:
    bundle.mount("/data", "tmpfs", "tmpfs", "nosuid", "noexec", "nodev").set(
        "linux.readonlyPaths", ["/data"]
    )
    options = report(bundle).mount("/data").options
    assert {"ro", "nosuid", "noexec", "nodev"} <= options


def test_the_root_as_a_readonly_path(bundle: Bundle) -> None:
    """Of all of it, and not of what is mounted below."""
    bundle.set("linux.readonlyPaths", ["/"]).mount("/data", "tmpfs", "tmpfs")
    tried = run(bundle.inside("trywrite")).lines[0]["mounts"]
    assert tried["/"] == "EROFS" and tried["/data"] == ""


def test_sysctls_are_readonly(bundle: Bundle) -> None:
    bundle.set("linux.readonlyPaths", ["/proc/sys", "/proc/irq"]).privileged()
    words = "write /proc/sys/kernel/domainname x -- write /proc/irq/default_smp_affinity 3"
    assert [line["errno"] for line in run(bundle.inside(*words.split())).lines] == [
        "EROFS",
        "EROFS",
    ]


@pytest.mark.parametrize("member", ["maskedPaths", "readonlyPaths"])
def test_masks_need_a_mount_namespace(bundle: Bundle, member: str) -> None:
    """Else the host's own paths would be hidden."""
    refused(bundle.without_namespace("mount").set("mounts", []).set(f"linux.{member}", ["/etc"]))


@pytest.mark.parametrize("member", ["maskedPaths", "readonlyPaths"])
def test_a_relative_path_is_refused(bundle: Bundle, member: str) -> None:
    refused(bundle.set(f"linux.{member}", ["etc"]))
