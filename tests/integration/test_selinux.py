"""process.selinuxLabel and linux.mountLabel by effect, under a policy of a few types (tests/vm/selinux.cil).

No distribution's policy is needed, and none would do: labels, not rules, are what a runtime is asked for. The policy
is loaded in the machine of `make vm VM=--selinux`; elsewhere these tests are skipped.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from tests.lib.box import Box, refused, run
from tests.lib.bundle import Bundle
from tests.lib.exec_calls import Detached, attached, inside, process_file, running

CURRENT = Path("/proc/self/attr/current")


def of(path: str | Path) -> str:
    return Path(path).read_text().strip("\0\n")


def has_policy() -> bool:
    try:
        return ":base_t:" in of(CURRENT)
    except OSError:
        return False


pytestmark = [
    pytest.mark.covers("process.selinuxLabel", "linux.mountLabel"),
    pytest.mark.skipif(not has_policy(), reason='needs the policy of `make vm VM="--selinux"`'),
]
BASE = "system_u:system_r:base_t:s0"
LABEL = "system_u:system_r:container_t:s0:c1,c2"
OTHER = "system_u:system_r:container_t:s0:c3"
FILES = "system_u:object_r:container_file_t:s0:c1,c2"
KEYCTL, GET_SECURITY, SESSION_KEYRING = (250 if platform.machine() == "x86_64" else 219), 17, -3
NO_PRIVILEGES = [True, False]


def label(pid: int) -> str:
    return of(f"/proc/{pid}/attr/current")


def label_inside(box: Box, path: str) -> str:
    return os.getxattr(f"/proc/{box.pid}/root{path}", "security.selinux").decode().strip("\0")


@pytest.fixture
def labelled(bundle: Bundle) -> Bundle:
    return bundle.set("process.selinuxLabel", LABEL)


@pytest.mark.parametrize("no_new_privileges", NO_PRIVILEGES)
def test_the_process(labelled: Bundle, no_new_privileges: bool) -> None:
    labelled.set("process.noNewPrivileges", no_new_privileges)
    with Box(labelled.inside("pause")) as box:
        box.create()
        assert label(box.pid) == BASE, "it takes effect with the program"
        box.start()
        box.expect("pause")
        assert label(box.pid) == LABEL


def test_without_a_label(bundle: Bundle) -> None:
    with running(bundle) as box:
        assert label(box.pid) == BASE


def test_the_session_keyring(labelled: Bundle) -> None:
    """The kernel tells the length of its label. Who joins the container joins its keyring."""
    words = ["syscall", str(KEYCTL), str(GET_SECURITY), str(SESSION_KEYRING), "0", "0"]
    outcome = run(labelled.inside(*words))
    assert outcome.lines[0]["value"] == len(LABEL) + 1, str(outcome)
    with running(labelled) as box:
        assert inside(box, *words).lines[0]["value"] == len(LABEL) + 1
        other = inside(box, *words, flags=("--process-label", OTHER))
        assert other.lines[0]["value"] == len(LABEL) + 1


def test_in_a_user_namespace(mapped: Bundle) -> None:
    with running(mapped.set("process.selinuxLabel", LABEL)) as box:
        assert label(box.pid) == LABEL
        assert label_of_joined(box) == LABEL


def label_of_joined(box: Box, *flags: str) -> str:
    """As the host sees it."""
    with Detached(box, *flags, "ID", "/inside", "pause") as joined:
        joined.expect("pause")
        return label(joined.pid)


@pytest.mark.parametrize("no_new_privileges", NO_PRIVILEGES)
def test_a_process_that_joins(labelled: Bundle, no_new_privileges: bool) -> None:
    labelled.set("process.noNewPrivileges", no_new_privileges)
    with running(labelled) as box:
        assert label_of_joined(box) == LABEL
        assert label_of_joined(box, "--process-label", OTHER) == OTHER


def test_a_process_file(labelled: Bundle) -> None:
    process = {"cwd": "/", "args": ["/inside", "cat", "/proc/self/attr/current"]}
    with running(labelled) as box:
        outcome = attached(box, "--process", process_file(box, process), "ID")
        assert outcome.lines[0]["data"].strip("\0") == LABEL
        process["selinuxLabel"] = OTHER  # type: ignore[assignment]
        outcome = attached(box, "--process", process_file(box, process), "ID")
        assert outcome.lines[0]["data"].strip("\0") == OTHER


def test_mounts(bundle: Bundle, tmp_path: Path) -> None:
    """New file systems but proc and sysfs; a bind is not labelled anew."""
    before = os.getxattr(tmp_path, "security.selinux")
    bundle.set("linux.mountLabel", FILES).dir("masked").set("linux.maskedPaths", ["/masked"])
    bundle.mount("/data", "tmpfs", "tmpfs", "size=1m").mount("/sys", "sysfs", "sysfs", "ro")
    bundle.mount("/dev/mqueue", "mqueue", "mqueue").bind(tmp_path, "/bound")
    with running(bundle) as box:
        places = (
            "/dev",
            "/dev/pts",
            "/dev/pts/ptmx",
            "/dev/null",
            "/data",
            "/dev/mqueue",
            "/masked",
        )
        found = {place: label_inside(box, place) for place in places}
        assert found == dict.fromkeys(places, FILES)
        assert "container_file_t" not in label_inside(box, "/proc") + label_inside(box, "/sys")
        assert os.getxattr(f"/proc/{box.pid}/root/bound", "security.selinux") == before
    assert os.getxattr(tmp_path, "security.selinux") == before


@pytest.mark.parametrize("path", ["process.selinuxLabel", "linux.mountLabel"])
def test_a_label_the_policy_does_not_know(bundle: Bundle, path: str) -> None:
    assert "invalid argument" in refused(bundle.set(path, "system_u:system_r:no_such_t:s0"))
