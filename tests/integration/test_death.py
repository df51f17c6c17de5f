"""Whether a container has ended is told by its process and not by what a procfs shows of it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lib import kernel
from tests.lib.box import Box, Stream
from tests.lib.bundle import Bundle
from tests.lib.ordinary_user import Person, PersonBox, rootless
from tests.lib.patience import deadline


class HiddenBox(PersonBox):
    """Every call sees a procfs with `options`; without a person it is root's."""

    options = ""

    def spawn(self, *words: str) -> tuple[subprocess.Popen[bytes], Stream, Stream]:
        self.prepare = lambda: (cover(self.options), self.person.become())[0]
        return Box.spawn(self, *words)


def cover(options: str) -> None:
    """For preexec_fn: a mount namespace whose procfs has these options."""
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount("proc", "/proc", "proc", 0, options)


def later() -> None:
    """For preexec_fn: a time namespace, which counts for what is executed."""
    here = os.open("/proc/self/timens_offsets", os.O_WRONLY)
    kernel.unshare(kernel.CLONE_NEWTIME)
    os.write(here, b"boottime 1000 300000000")
    os.close(here)


def threads_have_pidfds() -> bool:
    """PIDFD_THREAD (Linux 6.9); pidfd_open(2)."""
    try:
        os.close(os.pidfd_open(os.getpid(), os.O_EXCL))
    except OSError:
        return False
    return True


def lives(box: Box, *, is_joined: bool = True) -> None:
    """Every verb finds the container alive; `delete` alone ends nothing."""
    assert box.status == "running"
    box.kill(0)
    if is_joined:
        outcome = box.call("exec", box.id, "/inside", "echo", "here")
        assert (outcome.code, outcome.out) == (0, "here\n"), str(outcome)
    outcome = box.delete(check=False)
    assert outcome.code == 1 and "that is not stopped: running" in outcome.message, str(outcome)
    assert not box.ended(0)


def await_zombie(pid: int) -> None:
    """The kernel tells the other threads a moment before /proc shows it."""
    end = deadline(10)
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < end


@pytest.mark.parametrize("spaces", ["own", "host's"])
def test_the_main_thread_has_ended(bundle: Bundle, spaces: str) -> None:
    """The others run on: the process lives, and `exec` follows one of them."""
    if spaces == "host's":
        bundle.without_namespace("pid")
    with Box(bundle.inside("leave")) as box:
        box.create()
        box.start()
        box.expect("leave", errno="")
        await_zombie(box.pid)
        lives(box, is_joined=threads_have_pidfds())
        box.kill("KILL")
        assert box.wait() == 137
        assert box.status == "stopped"
        box.delete()


def _lives_until_it_is_ended(box: Box) -> None:
    assert box.status == "created"
    box.start()
    lives(box)
    box.kill("TERM")
    assert box.wait() == 5


@pytest.mark.parametrize(
    "seen",
    [later, lambda: cover("subset=pid"), lambda: (cover("subset=pid"), later())[0]],
    ids=["another time namespace", "processes alone", "both"],
)
def test_a_caller_that_sees_it_differently(bundle: Bundle, seen: Callable[[], None]) -> None:
    with Box(bundle.inside("wait", "5")) as box:
        box.create()
        box.prepare = seen
        _lives_until_it_is_ended(box)
        assert box.status == "stopped"
        box.delete()


def test_a_creator_in_another_time_namespace(bundle: Bundle) -> None:
    with Box(bundle.inside("wait", "5"), prepare=later) as box:
        box.create()
        box.prepare = None
        _lives_until_it_is_ended(box)


@pytest.mark.parametrize("level", [1, 2])
def test_hidden_from_an_ordinary_user(
    person: Person, monkeypatch: pytest.MonkeyPatch, level: int
) -> None:
    """An init that waits cannot be looked into, and hidepid hides it from its own creator."""
    monkeypatch.setattr(HiddenBox, "options", f"hidepid={level}")
    bundle = rootless(person.bundle().inside("wait", "5"), person, person.maps)
    with HiddenBox(bundle, person) as box:
        box.create()
        assert box.status == "created"
        outcome = box.delete(check=False)
        assert outcome.code == 1 and "that is not stopped: created" in outcome.message
        box.start()
        lives(box)
        box.kill("TERM")
        assert box.wait() == 5
        assert box.status == "stopped"
        box.delete()


def test_a_hidden_init_that_waits_is_killed(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HiddenBox, "options", "hidepid=2")
    bundle = rootless(person.bundle().inside("exit", "0"), person, person.maps)
    with HiddenBox(bundle, person) as box:
        box.create()
        box.kill("KILL")
        assert box.wait() == 137
        assert box.status == "stopped"


def test_hooks_of_a_hidden_init(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are given its number in its own namespace."""
    monkeypatch.setattr(HiddenBox, "options", "hidepid=2")
    bundle = person.bundle().shell("cat /state")
    bundle.hook("startContainer", "sh", "-c", "cat > /state", path="/bin/sh")
    with HiddenBox(rootless(bundle, person, person.maps), person) as box:
        outcome = box.run()
        assert outcome.code == 0 and '"pid":1,' in outcome.out.replace(" ", ""), str(outcome)
