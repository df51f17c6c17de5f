"""SIGKILL anywhere in a verb: `delete --force` finds everything again (security: R-49).

Every system call of the runtime, and every one of the init while the runtime waits for it, is a place to die at.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lib.bundle import Bundle
from tests.lib.killing import Intruder, Undertaker, Victim
from tests.lib.namespaces import SUBORDINATE, map_users
from tests.lib.ordinary_user import own, place

SEED = 20261124
STRIDE = 17
PARTS = ("host", "init", "clone", "init-dies", "clone-dies")
EXEC = ("exec", "ID", "/inside", "exit", "0")
HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


@pytest.fixture
def rich(tmp_path: Path) -> Bundle:
    """Limits, hooks, masks, seccomp, devices: whatever makes something that outlives a process."""
    bundle = Bundle(tmp_path / "bundle").shell("exit 0")
    bundle.set("linux.resources", {"memory": {"limit": 64 << 20}, "pids": {"limit": 100}})
    bundle.set("linux.maskedPaths", ["/proc/kcore", "/proc/acpi"])
    bundle.set("linux.readonlyPaths", ["/proc/sys"])
    bundle.set("linux.devices", [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}])
    bundle.set("linux.seccomp", {"defaultAction": "SCMP_ACT_ALLOW"})
    bundle.set("linux.sysctl", {"net.core.somaxconn": "99"})
    bundle.set("process.rlimits", [{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 64}])
    bundle.mount("/data", "tmpfs", "tmpfs")
    bundle.hostname("web")
    for kind in HOOKS:
        path = "/bin/busybox" if kind == "startContainer" else "/bin/true"
        bundle.hook(kind, "true", path=path)
    return bundle


@pytest.fixture
def staged() -> Iterator[Bundle]:
    """The other spawn shape: namespaces entered by a stage, the rest played by its clone; maps and offsets written."""
    with place() as top:
        bundle = map_users(Bundle(top / "bundle").shell("exit 0"), SUBORDINATE)
        bundle.namespace("time").namespace("cgroup")
        bundle.set("linux.timeOffsets", {"monotonic": {"secs": 7}})
        bundle.set("linux.resources", {"memory": {"limit": 64 << 20}, "pids": {"limit": 100}})
        bundle.set("linux.maskedPaths", ["/proc/kcore"]).set("linux.readonlyPaths", ["/proc/sys"])
        bundle.set("process.rlimits", [{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 64}])
        bundle.bind("/etc/hostname", "/etc/hostname").hostname("web")
        for kind in HOOKS:
            path = "/bin/busybox" if kind == "startContainer" else "/bin/true"
            bundle.hook(kind, "true", path=path)
        own(bundle.rootfs, SUBORDINATE[0].host)
        yield bundle


def chosen(total: int, seed: int) -> list[int]:
    """Every STRIDE-th place from a seeded one on, and the last, which comes after everything was made."""
    first = random.Random(seed).randrange(1, STRIDE + 1)
    return sorted({*range(first, total + 1, STRIDE), total})


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["create", "run"])
@pytest.mark.parametrize("side", ["host", "init"])
def test_some_places(rich: Bundle, verb: str, side: str) -> None:
    with Victim(rich, verb) as victim:
        total = victim.calls(side)
        assert total > 50
        left = victim.survivors(side, chosen(total, SEED))
    assert not left, "\n".join(left)


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["create", "run"])
@pytest.mark.parametrize("side", PARTS)
def test_some_places_of_a_staged_spawn(staged: Bundle, verb: str, side: str) -> None:
    with Victim(staged, verb) as victim:
        total = victim.calls(side)
        assert total > 20
        left = victim.survivors(side, chosen(total, SEED))
    assert not left, "\n".join(left)


@pytest.mark.slow
@pytest.mark.parametrize("side", PARTS)
def test_some_places_of_exec(staged: Bundle, side: str) -> None:
    """Into a user namespace, with every other kind; the container goes on as if nobody had come."""
    staged.inside("pause").set("hooks", {})
    with Intruder(staged, *EXEC) as intruder:
        total = intruder.calls(side)
        assert total > 5
        left = intruder.survivors(side, chosen(total, SEED))
    assert not left, "\n".join(left)


@pytest.mark.nightly
@pytest.mark.parametrize("side", PARTS)
def test_every_place_of_exec(staged: Bundle, side: str) -> None:
    staged.inside("pause").set("hooks", {})
    with Intruder(staged, *EXEC) as intruder:
        total = intruder.calls(side)
        left = intruder.survivors(side, list(range(1, total + 1)))
    print(f"exec: {total} system calls of {side}, {len(left)} with something left")
    assert not left, "\n".join(left)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "after"),
    [
        (("update", "--pids-limit", "42", "--memory", "64m", "ID"), ()),
        (("pause", "ID"), ("resume", "ID")),
    ],
    ids=["update", "pause"],
)
def test_every_place_of_another_verb(
    rich: Bundle, words: tuple[str, ...], after: tuple[str, ...]
) -> None:
    with Intruder(rich.inside("pause"), *words, after=after) as intruder:
        total = intruder.calls("host")
        assert total > 20
        left = intruder.survivors("host", list(range(1, total + 1)))
        intruder.calls("host")  # the next one works
    assert not left, "\n".join(left)


@pytest.mark.slow
def test_some_places_of_delete(rich: Bundle) -> None:
    with Undertaker(rich.inside("pause")) as undertaker:
        total = undertaker.calls("host")
        assert total > 50
        left = undertaker.survivors("host", chosen(total, SEED))
    assert not left, "\n".join(left)


@pytest.mark.nightly
def test_every_place_of_delete(rich: Bundle) -> None:
    with Undertaker(rich.inside("pause")) as undertaker:
        total = undertaker.calls("host")
        left = undertaker.survivors("host", list(range(1, total + 1)))
    print(f"delete: {total} system calls of the host, {len(left)} with something left")
    assert not left, "\n".join(left)


@pytest.mark.nightly
@pytest.mark.parametrize("verb", ["create", "run"])
@pytest.mark.parametrize("side", PARTS)
def test_every_place_of_a_staged_spawn(staged: Bundle, verb: str, side: str) -> None:
    with Victim(staged, verb) as victim:
        total = victim.calls(side)
        left = victim.survivors(side, list(range(1, total + 1)))
    print(f"{verb}: {total} system calls of {side}, {len(left)} with something left")
    assert not left, "\n".join(left)


@pytest.mark.nightly
@pytest.mark.parametrize("verb", ["create", "run"])
@pytest.mark.parametrize("side", ["host", "init"])
def test_every_place(rich: Bundle, verb: str, side: str) -> None:
    with Victim(rich, verb) as victim:
        total = victim.calls(side)
        left = victim.survivors(side, list(range(1, total + 1)))
    print(f"{verb}: {total} system calls of the {side}, {len(left)} with something left")
    assert not left, "\n".join(left)
