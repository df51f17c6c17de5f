"""Many execs at once, a container that dies meanwhile, and the states nobody should meet but somebody will."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time

import pytest

from tests.lib import leaks, programs
from tests.lib.box import Box
from tests.lib.bundle import Bundle
from tests.lib.exec_calls import Background, attached, inside, refused, running
from tests.lib.groups import group_of
from tests.lib.patience import deadline as scaled_deadline


def members(box: Box) -> list[str]:
    return (group_of(box, "pids") / "cgroup.procs").read_text().split()


@pytest.mark.slow
def test_fifty_at_once(bundle: Bundle) -> None:
    with running(bundle, patience=60) as box:
        execs = [Background(box, "ID", "/inside", "exit", str(number)) for number in range(50)]
        ended = [each.wait() for each in execs]
        wrong = [str(outcome) for number, outcome in enumerate(ended) if outcome.code != number]
        assert not wrong, wrong
        assert members(box) == [str(box.pid)] and box.status == "running"


@pytest.mark.slow
def test_the_container_dies_while_they_come(bundle: Bundle) -> None:
    """Each one ran and was killed, or is told that there is no container: nothing hangs, nothing stays."""
    with running(bundle, patience=60) as box:
        execs = [Background(box, "ID", "/inside", "pause") for _ in range(12)]
        execs[0].expect("pause")
        box.kill("KILL")
        for each in execs:
            outcome = each.wait()
            assert outcome.code in (137, 255), str(outcome)
            if outcome.code == 255:
                told = ("cannot exec in a stopped container", "container not running")
                assert any(words in outcome.err for words in told), str(outcome)
        box.wait()
        assert "cannot exec in a stopped container" in refused(box, "ID", "/inside", "pause")


def test_a_container_that_is_being_made(bundle: Bundle) -> None:
    """Its init is there and has not yet changed its root: nobody joins that."""
    command = " ".join(programs.runtime_command())
    with Box(bundle.inside("pause")) as box:
        told = box.scratch / "told"
        script = (
            f"{command} --root {box.root} exec {box.id} /inside exit 0 2>{told}; echo $? >>{told}"
        )
        bundle.hook("createRuntime", "/bin/sh", "-c", script)
        box.create()
        assert told.read_text().splitlines()[-1] == "255"
        box.start()
        box.expect("pause")
        assert inside(box, "exit", "4").code == 4


def test_a_zombie_of_an_init(bundle: Bundle) -> None:
    """Ended and not yet waited for by its parent: there is nobody to join."""
    with running(bundle) as box:
        os.kill(box.pid, signal.SIGKILL)
        assert box.ended(10)
        assert "cannot exec in a stopped container" in refused(box, "ID", "/inside", "pause")


def test_exec_in_an_exec(bundle: Bundle) -> None:
    """A second one does not care for the first."""
    with running(bundle) as box, Background(box, "ID", "/inside", "wait", "5") as first:
        first.expect("wait")
        assert inside(box, "exit", "6").code == 6
        first.send(signal.SIGTERM)
        assert first.wait().code == 5


@pytest.mark.parametrize("name", ["state.json", "config.json"])
def test_a_damaged_state(bundle: Bundle, name: str) -> None:
    with running(bundle) as box:
        path = box.root / box.id / name
        kept = path.read_bytes()
        try:
            for text in (b"", b"{", b"[]", b"null", kept[: len(kept) // 2]):
                path.write_bytes(text)
                outcome = attached(box, "ID", "/inside", "exit", "0")
                assert outcome.code == 255 and "internal error" not in outcome.err, str(outcome)
        finally:
            path.write_bytes(kept)


def test_a_forged_pid(bundle: Bundle) -> None:
    """R-30: a number that is somebody else's now is not joined."""
    with running(bundle) as box:
        path = box.root / box.id / "state.json"
        kept = path.read_text()
        forged = kept.replace(f":{box.pid},", f":{os.getpid()},")
        assert forged != kept
        path.write_text(forged)
        outcome = attached(box, "ID", "/inside", "report")
        path.write_text(kept)
        assert outcome.code == 255 and outcome.out == "", str(outcome)


def test_an_attached_exec_that_is_killed_leaves_its_process(bundle: Bundle) -> None:
    """SIGKILL cannot be forwarded; the process is the container's and ends with it."""
    with running(bundle) as box:
        back = Background(box, "ID", "/inside", "pause")
        back.expect("pause")
        (other,) = set(members(box)) - {str(box.pid)}
        back.process.kill()
        back.process.wait()
        assert set(members(box)) == {str(box.pid), other}
        box.kill("KILL")
        assert os.waitpid(int(other), 0)[1] == signal.SIGKILL, (
            "it is the subreaper's, an engine's, now"
        )
        box.wait()


@pytest.mark.slow
@pytest.mark.parametrize("milliseconds", range(0, 24, 3))
def test_killed_on_its_way(bundle: Bundle, milliseconds: int) -> None:
    """Wherever SIGKILL meets it: no half-made process stays in the container."""
    with running(bundle) as box:
        back = Background(box, "ID", "/inside", "exit", "0")
        pidfd = os.pidfd_open(back.process.pid)
        try:
            select.select([pidfd], [], [], milliseconds / 1000)
        finally:
            os.close(pidfd)
        back.process.kill()
        back.process.wait()
        # They are the subreaper's to bury, and a pid namespace waits for that. A stage may still have had a clone to make.
        deadline = scaled_deadline(10)
        while left := leaks.children() - {box.pid}:
            assert time.monotonic() < deadline, "a half-made process stays"
            for pid in left:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
            select.select([], [], [], 0.005)
        assert members(box) == [str(box.pid)]
