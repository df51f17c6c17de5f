"""No lock is held while hooks run: a hook may call the runtime for its own container, and other verbs do not wait."""

from __future__ import annotations

import os
import select
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lib import programs
from tests.lib.box import Box
from tests.lib.bundle import Bundle
from tests.lib.patience import scaled

HOST = ("prestart", "createRuntime", "poststart")
KINDS = ("createRuntime", "createContainer", "startContainer", "poststart")


class Gate:
    """A hook that says it is there and waits until it may go on, all by fifos in a directory both sides see."""

    def __init__(self, place: Path, seen: str) -> None:
        self.script = f"echo here > {seen}/came; read word < {seen}/go"
        for name in ("came", "go"):
            os.mkfifo(place / name)
            (place / name).chmod(0o666)
        self.came = os.open(place / "came", os.O_RDWR | os.O_NONBLOCK)
        self.go = os.open(place / "go", os.O_RDWR | os.O_NONBLOCK)

    def wait(self) -> None:
        ready, _, _ = select.select([self.came], [], [], scaled(20))
        assert ready and os.read(self.came, 10) == b"here\n"

    def open(self) -> None:
        os.write(self.go, b"on\n")

    def close(self) -> None:
        os.close(self.came)
        os.close(self.go)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    place = tmp_path / "gate"
    place.mkdir()
    one = Gate(place, str(place))
    yield one
    one.close()


def gated(bundle: Bundle, kind: str, gate: Gate) -> Bundle:
    bundle.shell("exec sleep 1000").bind(Path(bundle.directory).parent / "gate", "/gate")
    script = gate.script
    if kind == "startContainer":
        place = str(Path(bundle.directory).parent / "gate")
        script = script.replace(place, "/gate")
    return bundle.hook(kind, "sh", "-c", script, path="/bin/sh")


def under_way(box: Box, kind: str, gate: Gate):  # type: ignore[no-untyped-def]
    """The verb that runs the hook, which has come."""
    if kind in ("startContainer", "poststart"):
        box.create()
        words = [*box.globals, "start", box.id]
    else:
        box.bundle.write(box.id)
        words = [*box.globals, "create", "--bundle", str(box.bundle.directory), box.id]
    process, out, err = box.spawn(*words)
    gate.wait()
    return process, out, err, words


@pytest.mark.parametrize("kind", KINDS)
def test_a_forced_delete(bundle: Bundle, gate: Gate, kind: str) -> None:
    """It does not wait for the hook, and leaves nothing for the verb to undo."""
    with Box(gated(bundle, kind, gate)) as box:
        *call, words = under_way(box, kind, gate)
        box.delete("--force")
        assert os.listdir(box.root) == []
        gate.open()
        outcome = box.finish(*call, words)
        assert "Traceback" not in outcome.message
        assert outcome.code == (0 if kind == "poststart" else 1), str(outcome)
        assert os.listdir(box.root) == []
        assert "does not exist" in box.call("state", box.id).message


@pytest.mark.parametrize("kind", KINDS)
def test_the_other_verbs(bundle: Bundle, gate: Gate, kind: str) -> None:
    with Box(gated(bundle, kind, gate)) as box:
        *call, words = under_way(box, kind, gate)
        expected = {"startContainer": "created", "poststart": "running"}.get(kind, "creating")
        assert box.status == expected
        box.call("update", "--pids-limit", "50", box.id, check=True)
        refused = box.delete(check=False)
        assert refused.code == 1 and f"not stopped: {expected}" in refused.message, str(refused)
        again = box.start(check=False)
        assert again.code == 1, str(again)
        gate.open()
        outcome = box.finish(*call, words)
        assert outcome.code == 0, str(outcome)
        if kind in ("startContainer", "poststart"):
            assert box.status == "running"
        else:
            box.start()
        limit = box.call("exec", box.id, "cat", "/proc/self/cgroup")
        assert limit.code == 0, str(limit)


@pytest.mark.parametrize("kind", HOST)
@pytest.mark.parametrize("verb", ["state", "update --pids-limit 50", "kill", "delete"])
def test_a_hook_calls_back(bundle: Bundle, tmp_path: Path, kind: str, verb: str) -> None:
    """Nothing hangs; what the status allows is done."""
    said = tmp_path / "said"
    with Box(bundle.inside("pause")) as box:
        words = [*programs.runtime_command(), "--root", str(box.root), *verb.split(), box.id]
        script = f"cat > /dev/null; {shlex.join(words)} >{said} 2>&1; echo status $? >>{said}"
        bundle.hook(kind, "sh", "-c", script, path="/bin/sh")
        box.create()
        box.start()
        done = verb in ("state", "update --pids-limit 50") or (verb, kind) == ("kill", "poststart")
        assert said.read_text().endswith(f"status {0 if done else 1}\n"), said.read_text()


@pytest.mark.parametrize("kind", HOST)
def test_a_hook_deletes_its_container(bundle: Bundle, tmp_path: Path, kind: str) -> None:
    with Box(bundle.inside("pause")) as box:
        words = [*programs.runtime_command(), "--root", str(box.root), "delete", "--force", box.id]
        bundle.hook(kind, "sh", "-c", f"{shlex.join(words)} 2>{tmp_path}/err", path="/bin/sh")
        outcome = box.create(check=False)
        if kind == "poststart":
            outcome = box.start(check=False)
        assert outcome.code == (0 if kind == "poststart" else 1), str(outcome)
        assert (tmp_path / "err").read_text() == ""
        assert os.listdir(box.root) == []


def test_poststop_hooks(bundle: Bundle, gate: Gate) -> None:
    """The container is gone by then: another delete says so at once."""
    with Box(gated(bundle, "poststop", gate)) as box:
        box.create()
        box.kill("KILL")
        box.wait()
        words = [*box.globals, "delete", box.id]
        call = box.spawn(*words)
        gate.wait()
        assert "does not exist" in box.delete(check=False).message
        gate.open()
        assert box.finish(*call, words).code == 0
