"""Profiles and labels asked for where no security module can give them: never passed over in silence.

What AppArmor does with a profile is tested in test_apparmor.py. SELinux needs a policy, which no machine of these
tests has: its steps are tested as data (tests/unit/features/test_labels.py).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.test_apparmor import ENABLED
from tests.lib.box import refused, report
from tests.lib.bundle import Bundle
from tests.lib.exec_calls import refused as exec_refused
from tests.lib.exec_calls import report as exec_report
from tests.lib.exec_calls import running
from tests.lib.programs import runtime_name

no_apparmor = pytest.mark.skipif(
    ENABLED.exists() and ENABLED.read_text()[:1] == "Y", reason="AppArmor is enabled here"
)
no_policy = pytest.mark.skipif(
    Path("/sys/fs/selinux/policy").exists()
    and Path("/proc/self/attr/current").read_text().strip("\0\n") != "kernel",
    reason="SELinux has a policy here",
)
LABEL = "system_u:system_r:container_t:s0:c1,c2"
PARTS = [
    pytest.param("process.apparmorProfile", "web", "apparmor", marks=no_apparmor),
    pytest.param("process.selinuxLabel", LABEL, "selinux", marks=no_policy),
    pytest.param("linux.mountLabel", LABEL, "", marks=no_policy),
]
FLAGS = [
    pytest.param("--apparmor", "apparmor", marks=no_apparmor),
    pytest.param("--process-label", "selinux", marks=no_policy),
]


@pytest.mark.covers("process.apparmorProfile", "process.selinuxLabel", "linux.mountLabel")
@pytest.mark.parametrize(("path", "text", "word"), PARTS)
def test_without_the_module(bundle: Bundle, path: str, text: str, word: str) -> None:
    message = refused(bundle.set(path, text))
    assert word in message.lower()
    if runtime_name() == "pyruntime":
        assert "/" + path.replace(".", "/") in message


@pytest.mark.parametrize(("flag", "word"), FLAGS)
def test_exec_without_the_module(bundle: Bundle, flag: str, word: str) -> None:
    with running(bundle) as box:
        assert word in exec_refused(box, flag, "some_profile", "ID", "/inside", "report").lower()


@no_apparmor
def test_unconfined_asks_for_nothing(bundle: Bundle) -> None:
    assert report(bundle.set("process.apparmorProfile", "unconfined")).uid
    with running(bundle) as box:
        assert exec_report(box, "--apparmor", "unconfined").uid


@pytest.mark.parametrize(
    "path", ["process.apparmorProfile", "process.selinuxLabel", "linux.mountLabel"]
)
@pytest.mark.parametrize("text", ["a\0b", "a\nb", "\x1b[2J"])
def test_control_characters(bundle: Bundle, path: str, text: str) -> None:
    message = refused(bundle.set(path, text))
    assert "\x1b" not in message


@pytest.mark.parametrize(
    "path", ["process.apparmorProfile", "process.selinuxLabel", "linux.mountLabel"]
)
def test_empty_ones_ask_for_nothing(bundle: Bundle, path: str) -> None:
    assert report(bundle.set(path, "")).uid
