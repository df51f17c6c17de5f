"""Signals that end the runtime while it makes a container undo it; `run` forwards what its caller has blocked."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.lib import leaks, programs
from tests.lib.box import unique_id
from tests.lib.bundle import Bundle
from tests.lib.exec_calls import running
from tests.lib.patience import deadline, scaled

ENDING = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"]


def call(
    bundle: Bundle, root: Path, verb: str, *, before: str = "", mask: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """Starts the verb in a shell that first runs `before`; the signals have their defaults."""
    bundle.write(unique_id())
    words = [*programs.runtime_command(), "--root", str(root), verb]
    words += ["--bundle", str(bundle.directory), "one"]
    ready = ["env", "--default-signal", *mask, "sh", "-c", f'{before}\nexec "$@"', "sh"]
    return subprocess.Popen(
        [*ready, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def await_hook(fifo: int, process: subprocess.Popen[bytes]) -> None:
    """Returns when the hook has written; fails when it has not in time."""
    ready, _, _ = select.select([fifo], [], [], scaled(20))
    assert ready and os.read(fifo, 10) == b"here\n", process.poll()


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[int]:
    """TMP/fifo, open for reading: a hook that writes to it shows how far the creation has come."""
    os.mkfifo(tmp_path / "fifo")
    fd = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    yield fd
    os.close(fd)


@pytest.mark.parametrize("name", ENDING)
@pytest.mark.parametrize("verb", ["create", "run"])
def test_it_is_undone(bundle: Bundle, fifo: int, tmp_path: Path, verb: str, name: str) -> None:
    """No record, no group, no process, no hook; and the caller sees which signal it was."""
    script = f"echo here > {tmp_path}/fifo; exec sleep 1000"
    bundle.hook("createRuntime", "/bin/sh", "-c", script)
    before = leaks.children()
    process = call(bundle, tmp_path / "root", verb)
    await_hook(fifo, process)
    process.send_signal(getattr(signal, name))
    _, said = process.communicate(timeout=scaled(20))
    assert process.returncode == -getattr(signal, name), said
    assert os.listdir(tmp_path / "root") == []
    assert leaks.children() == before


@pytest.mark.parametrize("name", ENDING)
def test_an_exec_is_undone(bundle: Bundle, tmp_path: Path, name: str) -> None:
    """Its process is in the container already and waits for somebody to take its pidfd: it does not stay."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "socket"))
    server.listen(0)
    first = socket.socket(socket.AF_UNIX)
    first.connect(str(tmp_path / "socket"))  # and the queue is full
    with running(bundle) as box:
        words = ["exec", "--pidfd-socket", str(tmp_path / "socket"), box.id, "/inside", "pause"]
        process = subprocess.Popen(
            ["env", "--default-signal", *programs.runtime_command(), *box.globals, *words],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        stop = deadline(20)
        while not children.read_text() and time.monotonic() < stop:
            select.select([], [], [], 0.01)
        assert children.read_text(), "no process was made"
        process.send_signal(getattr(signal, name))
        _, said = process.communicate(timeout=scaled(20))
        assert process.returncode == -getattr(signal, name), said
        assert json.loads(box.call("ps", "--format", "json", box.id).out) == [box.pid]
    first.close()
    server.close()


def test_one_that_the_caller_ignores(bundle: Bundle, fifo: int, tmp_path: Path) -> None:
    """As nohup does."""
    os.mkfifo(tmp_path / "go")
    script = f"echo here > {tmp_path}/fifo; read word < {tmp_path}/go"
    bundle.inside("echo", "done").hook("createRuntime", "/bin/sh", "-c", script)
    process = call(bundle, tmp_path / "root", "run", before="trap '' HUP")
    await_hook(fifo, process)
    process.send_signal(signal.SIGHUP)
    (tmp_path / "go").write_text("on\n")
    out, said = process.communicate(timeout=scaled(20))
    assert (process.returncode, out) == (0, b"done\n"), said


def test_a_blocked_signal_is_forwarded(bundle: Bundle, tmp_path: Path) -> None:
    """The mask of the caller is no reason to keep a signal from the container."""
    process = call(
        bundle.inside("wait", "5"), tmp_path / "root", "run", mask=["--block-signal=TERM"]
    )
    assert process.stdout is not None
    assert b"wait" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=scaled(20))
    assert process.returncode == 5, said
