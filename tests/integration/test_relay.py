"""Between the caller's stdio and the container's: `run` and `exec` in the foreground, on terminals, pipes and sockets."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lib import programs
from tests.lib.box import Box
from tests.lib.bundle import Bundle
from tests.lib.console import OwnTerminal
from tests.lib.exec_calls import running
from tests.lib.patience import scaled


def words_for(box: Box, verb: str, *program: str) -> list[str]:
    """`run` of the bundle with that program on a terminal, or `exec --tty` of it in a running container."""
    command = [*programs.runtime_command(), *box.globals, verb]
    if verb == "exec":
        return [*command, "--tty", box.id, *program]
    box.bundle.args(*program).set("process.terminal", True)
    box.bundle.write(box.id)
    return [*command, "--bundle", str(box.bundle.directory), box.id]


def own_session() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def on(own: OwnTerminal, words: list[str], **streams: Any) -> subprocess.Popen[bytes]:
    """The command as a shell starts it on that terminal, but for the streams given."""
    given: dict[str, Any] = {"stdout": own.slave, "stderr": own.slave, **streams}
    return subprocess.Popen(words, stdin=own.slave, preexec_fn=own_session, **given)


class Stage:
    """A container for either verb: `run` makes its own."""

    def __init__(self, bundle: Bundle, verb: str) -> None:
        self.bundle, self.verb = bundle, verb
        self.context: Any = running(bundle) if verb == "exec" else Box(bundle)

    def __enter__(self) -> Callable[..., list[str]]:
        box = self.context.__enter__()
        return lambda *program: words_for(box, self.verb, *program)

    def __exit__(self, *problem: Any) -> None:
        self.context.__exit__(*problem)


both = pytest.mark.parametrize("verb", ["run", "exec"])


def shell(script: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", script)


@both
def test_newlines_through_a_pipe(bundle: Bundle, verb: str) -> None:
    """The terminal is the program's; what comes out of it into a file has no carriage returns."""
    with OwnTerminal() as own, Stage(bundle.shell(""), verb) as words:
        process = on(own, words(*shell("echo one; echo two")), stdout=subprocess.PIPE)
        assert process.communicate(timeout=scaled(20))[0] == b"one\ntwo\n"
        assert process.returncode == 0


@both
def test_a_slow_reader_gets_all_of_it(bundle: Bundle, verb: str) -> None:
    """Also where somebody has made the pipe non-blocking: EAGAIN is no reason to lose output."""
    size = 1 << 20
    with OwnTerminal() as own, Stage(bundle.shell(""), verb) as words:
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        script = f"head -c {size} /dev/zero | tr '\\000' x; echo END"
        process = on(own, words(*shell(script)), stdout=writer)
        os.close(writer)
        got = bytearray()
        while data := os.read(reader, 1000 if len(got) < 50_000 else 65536):
            got += data
        os.close(reader)
        assert process.wait(scaled(20)) == 0
        assert bytes(got) == b"x" * size + b"END\n"


@both
def test_the_end_is_that_of_the_process(bundle: Bundle, verb: str) -> None:
    """Somebody else still has the terminal open, and is not waited for."""
    bundle.shell("").without_namespace("pid")
    with OwnTerminal() as own, Stage(bundle, verb) as words:
        process = on(own, words(*shell("trap '' HUP; sleep 1000 & echo $! done")))
        pid = int(own.read_until("done").split()[0])
        try:
            assert process.wait(scaled(20)) == 0
        finally:
            end(pid)


def end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # the container took it along


@both
def test_input_nobody_reads_stops_nothing_else(bundle: Bundle, verb: str) -> None:
    """More is typed than a terminal holds: output still comes, and a signal still goes through."""
    script = (
        "trap 'exit 7' TERM; stty raw -echo; echo ready; while :; do echo more; sleep 0.1; done"
    )
    with OwnTerminal() as own, Stage(bundle.shell(""), verb) as words:
        process = on(own, words(*shell(script)))
        own.read_until("ready")
        type_all_it_takes(own)
        seen = len(own.data)
        while len(own.data) < seen + 50:
            assert select.select([own.fd], [], [], scaled(20))[0], "no output any more"
            own.data += os.read(own.fd, 65536)
        process.send_signal(signal.SIGTERM)
        assert process.wait(scaled(20)) == 7


def type_all_it_takes(own: OwnTerminal) -> None:
    """Until neither the terminal nor the runtime behind it takes any more for a while."""
    while select.select([], [own.fd], [], scaled(0.3))[1]:
        try:
            os.write(own.fd, b"z" * 4096)
        except BlockingIOError:
            return


BACKGROUND = """
import os, signal, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
ready, told = os.pipe()
child = os.fork()
if child == 0:
    os.setpgid(0, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv(sys.argv[1], sys.argv[1:])
_, status = os.waitpid(child, os.WUNTRACED)
assert os.WIFSTOPPED(status) and os.WSTOPSIG(status) == signal.SIGTTOU, status
os.tcsetpgrp(0, child)
os.killpg(child, signal.SIGCONT)
_, status = os.waitpid(child, 0)
os.tcsetpgrp(0, os.getpgrp())
sys.exit(os.waitstatus_to_exitcode(status))
"""


@both
def test_a_background_job_stops_until_it_is_in_the_foreground(bundle: Bundle, verb: str) -> None:
    """As any job that sets the mode of its terminal (termios(3), SIGTTOU)."""
    with OwnTerminal() as own, Stage(bundle.shell(""), verb) as words:
        program = words("/inside", "echo", "ready", "--", "read", "--", "exit", "6")
        process = on(own, [sys.executable, "-c", BACKGROUND, *program])
        own.read_until("ready")
        own.write("typed\n")
        assert process.wait(scaled(20)) == 6


REOPEN = "echo a > /dev/stdout; echo b > /dev/stderr; echo c"


def plain(box: Box, verb: str, user: int) -> list[str]:
    command = [*programs.runtime_command(), *box.globals, verb]
    if verb == "exec":
        return [*command, "--user", str(user), box.id, *shell(REOPEN)]
    box.bundle.shell(REOPEN).set("process.user", {"uid": user, "gid": user})
    box.bundle.write(box.id)
    return [*command, "--bundle", str(box.bundle.directory), box.id]


@both
@pytest.mark.parametrize("user", [0, 1000])
def test_a_socket_can_be_opened_by_its_name(bundle: Bundle, verb: str, user: int) -> None:
    """As under a service manager: the program writes to /dev/stdout, which is none of its descriptors."""
    with running(bundle.shell("")) if verb == "exec" else Box(bundle) as box:
        ours, theirs = socket.socketpair()
        process = subprocess.Popen(
            plain(box, verb, user), stdin=theirs, stdout=theirs, stderr=theirs
        )
        theirs.close()
        got = b""
        while data := ours.recv(4096):
            got += data
        ours.close()
        assert process.wait(scaled(20)) == 0 and sorted(got.split()) == [b"a", b"b", b"c"]


@both
def test_a_file_of_root_stays_roots(bundle: Bundle, verb: str, tmp_path: Path) -> None:
    with (
        running(bundle.shell("")) if verb == "exec" else Box(bundle) as box,
        (tmp_path / "out").open("wb") as out,
    ):
        words = plain(box, verb, 1000)
        assert (
            subprocess.run(
                words, check=False, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            ).returncode
            == 0
        )
    assert sorted((tmp_path / "out").read_text().split()) == ["a", "b", "c"]
    assert (tmp_path / "out").stat().st_uid == 0


def test_a_file_of_a_detached_container_is_its_users(bundle: Bundle, tmp_path: Path) -> None:
    """Nobody stands between: its owner is changed, or the program could not open it again."""
    bundle.shell(REOPEN.replace("> ", ">> ")).set("process.user", {"uid": 1000, "gid": 1000})
    with Box(bundle) as box, (tmp_path / "out").open("ab") as out:
        bundle.write(box.id)
        pid_file = box.scratch / "pid"
        words = ["create", "--bundle", str(bundle.directory), "--pid-file", str(pid_file), box.id]
        subprocess.run(
            [*programs.runtime_command(), *box.globals, *words],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
        box.adopt(int(pid_file.read_text()))
        box.start()
        assert box.wait() == 0
    assert (tmp_path / "out").read_text().split() == ["a", "b", "c"]
    assert (tmp_path / "out").stat().st_uid == 1000


def test_input_through_a_pipe_ends(bundle: Bundle) -> None:
    """A socket as stdin, shut by its writer: the program sees the end of its input."""
    bundle.shell("wc -c")
    with Box(bundle) as box:
        bundle.write(box.id)
        ours, theirs = socket.socketpair()
        words = ["run", "--bundle", str(bundle.directory), box.id]
        process = subprocess.Popen(
            [*programs.runtime_command(), *box.globals, *words],
            stdin=theirs,
            stdout=subprocess.PIPE,
        )
        theirs.close()
        ours.sendall(b"x" * 300_000)
        ours.shutdown(socket.SHUT_WR)
        assert process.communicate(timeout=scaled(20))[0].strip() == b"300000"
        ours.close()
