"""pause and resume: whom they stop, what other verbs say meanwhile, and what they refuse."""

from __future__ import annotations

import os
import select
import time

import pytest

from tests.lib.box import Box
from tests.lib.bundle import Bundle
from tests.lib.patience import deadline as scaled_deadline

NOT_RUNNING = "container not running"
COUNTER = "while :; do echo x >> /count; done"


def grows(box: Box) -> bool:
    """Whether the program goes on, which it has a moment for."""
    path = box.bundle.rootfs / "count"
    before, end = path.stat().st_size, scaled_deadline(0.3)
    while time.monotonic() < end:
        if path.stat().st_size > before:
            return True
        select.select([], [], [], 0.01)
    return False


def test_nothing_runs_until_resume(bundle: Bundle) -> None:
    with Box(bundle.shell(f': > /count; echo \'{{"cmd": "ready"}}\'; {COUNTER}')) as box:
        box.create()
        box.start()
        box.expect("ready")
        assert grows(box)
        box.call("pause", box.id, check=True)
        assert box.status == "paused"
        assert not grows(box), "every process stands still once pause returns"
        box.call("resume", box.id, check=True)
        assert box.status == "running"
        assert grows(box)


def test_a_forking_crowd_stands_still(bundle: Bundle) -> None:
    """Processes that are being made while the freezer closes are caught too."""
    crowd = 'for n in 1 2 3 4 5 6; do (while :; do /inside exit 0; done) & done; echo \'{"cmd": "ready"}\'; wait'
    with Box(bundle.shell(crowd)) as box:
        box.create()
        box.start()
        box.expect("ready")
        for _ in range(5):
            box.call("pause", box.id, check=True)
            assert box.status == "paused"
            box.call("resume", box.id, check=True)
        assert box.status == "running"


def test_twice(bundle: Bundle) -> None:
    with Box(bundle.inside("pause")) as box:
        box.create()
        box.start()
        box.call("pause", box.id, check=True)
        again = box.call("pause", box.id)
        assert (again.code, again.errors) == (1, [NOT_RUNNING])
        box.call("resume", box.id, check=True)
        again = box.call("resume", box.id)
        assert (again.code, again.errors) == (1, ["container not paused"])


def test_a_created_container(bundle: Bundle) -> None:
    """It can be paused, cannot be started then, and waits for start as before afterwards."""
    with Box(bundle.inside("exit", "3")) as box:
        box.create()
        box.call("pause", box.id, check=True)
        assert box.status == "paused"
        refused = box.start(check=False)
        assert (refused.code, refused.errors) == (
            1,
            ["cannot start a container in the paused state"],
        )
        box.call("resume", box.id, check=True)
        assert box.status == "created"
        box.start()
        assert box.wait() == 3


def test_what_has_stopped(bundle: Bundle) -> None:
    with Box(bundle.inside("exit", "0")) as box:
        box.create()
        box.start()
        box.wait()
        for verb, words in (("pause", NOT_RUNNING), ("resume", "container not paused")):
            outcome = box.call(verb, box.id)
            assert (outcome.code, outcome.errors) == (1, [words])


@pytest.mark.parametrize("verb", ["pause", "resume", "ps"])
def test_an_unknown_id(bundle: Bundle, verb: str) -> None:
    with Box(bundle) as box:
        box.create()
        outcome = box.call(verb, "nobody")
        assert (outcome.code, outcome.errors) == (1, ["container does not exist"])


def test_kill_reaches_a_paused_container(bundle: Bundle) -> None:
    with Box(bundle.inside("pause")) as box:
        box.create()
        box.start()
        box.call("pause", box.id, check=True)
        box.kill("KILL")
        assert box.wait() == 137


def test_another_signal_waits_for_resume(bundle: Bundle) -> None:
    with Box(bundle.inside("wait", "7")) as box:
        box.create()
        box.start()
        box.expect("wait")
        box.call("pause", box.id, check=True)
        box.kill("TERM")
        assert box.status == "paused"
        box.call("resume", box.id, check=True)
        assert box.wait() == 7


def test_delete(bundle: Bundle) -> None:
    with Box(bundle.inside("pause")) as box:
        box.create()
        box.start()
        box.call("pause", box.id, check=True)
        refused = box.delete(check=False)
        assert refused.code == 1
        assert refused.errors == [f"cannot delete container {box.id} that is not stopped: paused"]
        box.delete("--force")
        assert box.wait() == 137


def test_exec_and_list_know(bundle: Bundle) -> None:
    with Box(bundle.inside("pause")) as box:
        box.create()
        box.start()
        box.call("pause", box.id, check=True)
        assert box.call("exec", box.id, "/inside", "exit", "0").code == 255
        line = box.call("list", check=True).out.splitlines()[1]
        assert line.split()[2] == "paused"


def test_an_engine_sends_no_environment(bundle: Bundle) -> None:
    """Podman calls these two with XDG_RUNTIME_DIR alone."""
    with Box(bundle.inside("pause")) as box:
        box.create()
        box.start()
        box.env = {"XDG_RUNTIME_DIR": ""}
        box.call("pause", box.id, check=True)
        box.call("resume", box.id, check=True)
        box.env = None


def test_without_a_cgroup_there_is_no_freezer(bundle: Bundle) -> None:
    with Box(bundle.inside("pause")) as box:
        box.bundle.write(box.id)
        words = ["--cgroup-manager", "disabled", "create", "--bundle", str(bundle.directory)]
        pid_file = box.scratch / "pid"
        outcome = box.call(*words, "--pid-file", str(pid_file), box.id, check=True)
        box.stdout, box.stderr = outcome._out, outcome._err
        box.adopt(int(pid_file.read_text()))
        for verb, word in (("pause", "paused"), ("ps", "listed")):
            told = box.call(verb, box.id)
            assert told.errors == [f"a container without a cgroup of its own cannot be {word}"]
        os.kill(box.pid, 9)
