"""linux.namespaces: new, inherited, joined by path; the loopback interface of a new network namespace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.lib.box import Box, refused, report
from tests.lib.bundle import Bundle
from tests.lib.fixtures import cgroup_layout

pytestmark = pytest.mark.covers("linux.namespaces.type", "linux.namespaces.path")

KINDS = {
    "pid": "pid",
    "network": "net",
    "ipc": "ipc",
    "uts": "uts",
    "mount": "mnt",
    "cgroup": "cgroup",
}
IFF_UP = 1


def own(name: str) -> str:
    return os.readlink(f"/proc/self/ns/{name}")


@pytest.mark.parametrize("kind", KINDS)
def test_a_listed_namespace_is_new(bundle: Bundle, kind: str) -> None:
    assert report(bundle.namespace(kind)).namespaces[KINDS[kind]] != own(KINDS[kind])


@pytest.mark.parametrize("kind", ["pid", "network", "ipc", "uts", "cgroup"])
def test_a_missing_namespace_is_the_callers(bundle: Bundle, kind: str) -> None:
    assert report(bundle.without_namespace(kind)).namespaces[KINDS[kind]] == own(KINDS[kind])


def test_user_and_time_are_not_touched(bundle: Bundle) -> None:
    seen = report(bundle).namespaces
    assert seen["user"] == own("user") and seen["time"] == own("time")


@pytest.mark.parametrize("kind", ["pid", "network", "ipc", "uts"])
def test_joining_by_path(bundle: Bundle, tmp_path: Path, kind: str) -> None:
    """As the containers of a pod do."""
    with Box(Bundle(tmp_path / "first").inside("pause")) as first:
        first.create()
        path = f"/proc/{first.pid}/ns/{KINDS[kind]}"
        with Box(bundle.namespace(kind, path)) as second:
            facts = second.run(check=True).facts
            assert facts.namespaces[KINDS[kind]] == os.readlink(path)
            assert (facts.pid == 1) == (kind != "pid")
            if kind == "uts":
                assert facts.hostname == os.uname().nodename


def test_joining_everything_of_another_container(bundle: Bundle, tmp_path: Path) -> None:
    with Box(Bundle(tmp_path / "first").inside("pause").hostname("first")) as first:
        first.create()
        for kind in ("pid", "network", "ipc", "uts"):
            bundle.namespace(kind, f"/proc/{first.pid}/ns/{KINDS[kind]}")
        with Box(bundle) as second:
            second.create()
            second.start()
            assert second.wait() == 0
            assert second.facts.hostname == "first"


def test_loopback_is_up_in_a_new_network_namespace(bundle: Bundle) -> None:
    interfaces = report(bundle).interfaces
    assert interfaces["lo"] & IFF_UP


def test_loopback_of_a_joined_network_namespace_is_left_alone(bundle: Bundle) -> None:
    facts = report(bundle.namespace("network", "/proc/self/ns/net"))
    assert not facts.interfaces["lo"] & IFF_UP, "the tests' own network namespace has lo down"


def test_the_cgroup_namespace_starts_at_the_containers_cgroup(bundle: Bundle) -> None:
    paths = report(bundle.namespace("cgroup")).cgroups
    if cgroup_layout() != "v2":  # beside v1 hierarchies the unified one is nobody's
        paths.pop("", None)
    assert set(paths.values()) == {"/"}, paths


def test_the_containers_init_is_pid_1(bundle: Bundle) -> None:
    facts = report(bundle)
    assert (facts.pid, facts.ppid) == (1, 0)


@pytest.mark.parametrize(
    "path", ["/dev/null", "/proc/self/ns/nothing", "/etc/passwd", "relative/ns"]
)
def test_a_path_that_is_no_namespace_is_refused(bundle: Bundle, path: str) -> None:
    refused(bundle.namespace("ipc", path))


def test_a_fifo_as_namespace_path_does_not_hang(bundle: Bundle, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refused(bundle.namespace("ipc", str(tmp_path / "pipe")), patience=3)


def test_a_path_of_another_type_is_refused(bundle: Bundle) -> None:
    refused(bundle.namespace("ipc", "/proc/self/ns/uts"))


def test_a_duplicate_type_is_refused(bundle: Bundle) -> None:
    refused(bundle.add("linux.namespaces", {"type": "ipc"}))


def test_an_unknown_type_is_refused(bundle: Bundle) -> None:
    refused(bundle.add("linux.namespaces", {"type": "nope"}))
