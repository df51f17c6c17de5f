"""process.terminal and process.consoleSize: by --console-socket, and interactively by `run`."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import termios
from pathlib import Path

import pytest

from tests.lib import programs
from tests.lib.box import Box, refused
from tests.lib.bundle import Bundle
from tests.lib.console import ConsoleSocket, OwnTerminal
from tests.lib.facts import Facts, parse_lines
from tests.lib.patience import scaled

pytestmark = pytest.mark.covers("process.terminal", "process.consoleSize")


@pytest.fixture
def terminal(bundle: Bundle) -> Bundle:
    return bundle.set("process.terminal", True)


def lines(text: str) -> list[dict[str, object]]:
    return parse_lines(text)


def test_console_socket(terminal: Bundle, tmp_path: Path) -> None:
    """One descriptor is sent, the master of a pty of the container's own devpts."""
    terminal.inside("report", "--", "echo", "ready", "--", "read", "--", "echo", "end")
    with ConsoleSocket(tmp_path / "console") as console, Box(terminal) as box:
        box.create("--console-socket", str(console.path))
        master = console.accept()
        box.start()
        text = master.read_until("ready\n")
        facts = Facts(lines(text)[0])
        for number in (0, 1, 2):
            entry = facts.fd(number)
            assert entry is not None and entry["tty"] == 1 and entry["major"] == 136
            assert entry["link"] in ("/dev/pts/0", "/dev/console")
        assert {entry["fd"] for entry in facts.fds} == {0, 1, 2}
        assert facts.controlling_tty == 1
        assert facts.dev["console"]["type"] == "char" and facts.dev["console"]["major"] == 136
        assert facts.mount("/dev/console").kind == "devpts"
        master.write("typed\n")
        assert '"data":"typed\\n"' in master.read_until("end\n").replace("\\u000a", "\\n")
        assert box.wait() == 0


def test_beside_a_mount_of_the_config_on_the_console(terminal: Bundle, tmp_path: Path) -> None:
    """As from runc, the terminal lies on top."""
    terminal.bind("/dev/null", "/dev/console").inside("report", "--", "echo", "ready")
    with ConsoleSocket(tmp_path / "console") as console, Box(terminal) as box:
        box.create("--console-socket", str(console.path))
        master = console.accept()
        box.start()
        facts = Facts(lines(master.read_until("ready\n"))[0])
        assert facts.dev["console"]["major"] == 136
        box.wait()


def test_the_name_sent_is_the_ptys(terminal: Bundle, tmp_path: Path) -> None:
    with ConsoleSocket(tmp_path / "console") as console, Box(terminal.inside("pause")) as box:
        box.create("--console-socket", str(console.path))
        console.accept()
        assert console.name in ("/dev/pts/0", "/dev/ptmx")


@pytest.mark.parametrize("size", [(25, 80), (50, 132), (1, 1)])
def test_console_size(terminal: Bundle, tmp_path: Path, size: tuple[int, int]) -> None:
    terminal.set("process.consoleSize", {"height": size[0], "width": size[1]}).inside("winsize")
    with ConsoleSocket(tmp_path / "console") as console, Box(terminal) as box:
        box.create("--console-socket", str(console.path))
        master = console.accept()
        assert master.size == size
        box.start()
        line = lines(master.read_until("}\n"))[0]
        assert (line["rows"], line["columns"]) == size
        box.wait()


def test_console_size_without_a_terminal_is_ignored(bundle: Bundle) -> None:
    bundle.set("process.consoleSize", {"height": 10, "width": 10})
    with Box(bundle) as box:
        assert box.run().code == 0


def test_the_size_can_be_changed_by_the_engine(terminal: Bundle, tmp_path: Path) -> None:
    with ConsoleSocket(tmp_path / "console") as console, Box(terminal.inside("winch")) as box:
        box.create("--console-socket", str(console.path))
        master = console.accept()
        box.start()
        master.read_until("ready")
        master.resize(33, 44)
        assert '"rows":33' in master.read_until('"columns":44')
        box.wait()


def test_a_user_owns_its_terminal(terminal: Bundle, tmp_path: Path) -> None:
    terminal.set("process.user", {"uid": 1000, "gid": 5}).inside("report", "--", "echo", "ready")
    with ConsoleSocket(tmp_path / "console") as console, Box(terminal) as box:
        box.create("--console-socket", str(console.path))
        master = console.accept()
        box.start()
        facts = Facts(lines(master.read_until("ready\n"))[0])
        entry = facts.fd(0)
        assert entry is not None and entry["uid"] == 1000
        box.wait()


def test_job_control(terminal: Bundle, tmp_path: Path) -> None:
    """The container leads a session on its terminal: ^C reaches it."""
    with ConsoleSocket(tmp_path / "console") as console, Box(terminal.inside("wait", "4")) as box:
        box.create("--console-socket", str(console.path))
        master = console.accept()
        box.start()
        master.read_until("wait")
        master.write("\x03")
        master.read_until('"signal":2')
        assert box.wait() == 4


def test_a_long_socket_path(terminal: Bundle, tmp_path: Path) -> None:
    """More than the 107 bytes sun_path holds: engines on deep directories."""
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    here = os.getcwd()
    os.chdir(deep)
    try:
        console = ConsoleSocket(Path("console"))
    finally:
        os.chdir(here)
    console.path = deep / "console"
    with console, Box(terminal.inside("pause")) as box:
        box.create("--console-socket", str(deep / "console"))
        assert console.accept().fd > 2


def test_a_terminal_without_a_socket_is_refused(terminal: Bundle) -> None:
    words = "cannot allocate tty if runc will detach without setting console socket"
    assert words.replace("runc ", "") in refused(terminal).replace("runc ", "").replace(
        "pyruntime ", ""
    )


def test_a_socket_without_a_terminal_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    with ConsoleSocket(tmp_path / "console") as console, Box(bundle) as box:
        outcome = box.create("--console-socket", str(console.path), check=False)
        assert outcome.code == 1 and "console socket" in outcome.err


@pytest.mark.parametrize("kind", ["missing", "file", "nobody listens"])
def test_a_socket_that_is_none(terminal: Bundle, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "console"
    if kind == "file":
        path.write_text("")
    if kind == "nobody listens":
        with ConsoleSocket(path) as console:
            console.socket.close()
            path.rename(tmp_path / "kept")
            path.touch()
        (tmp_path / "kept").rename(path)
    with Box(terminal) as box:
        outcome = box.create("--console-socket", str(path), check=False)
        assert outcome.code == 1 and "Traceback" not in outcome.err
        assert box.call("state", box.id).code == 1


def spawn_interactive(box: Box, own: OwnTerminal) -> subprocess.Popen[bytes]:
    """Starts `run` on a terminal as a shell would: a session of its own with that controlling terminal."""
    box.bundle.write(box.id)

    def take_terminal() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    return subprocess.Popen(
        [
            *programs.runtime_command(),
            *box.globals,
            "run",
            "--bundle",
            str(box.bundle.directory),
            box.id,
        ],
        stdin=own.slave,
        stdout=own.slave,
        stderr=own.slave,
        preexec_fn=take_terminal,
    )


def test_run_on_a_terminal(terminal: Bundle) -> None:
    terminal.inside("winsize", "--", "echo", "ready", "--", "read", "--", "exit", "6")
    with OwnTerminal(31, 91) as own, Box(terminal) as box:
        process = spawn_interactive(box, own)
        text = own.read_until("ready\n")
        assert (lines(text)[0]["rows"], lines(text)[0]["columns"]) == (31, 91)
        own.write("typed\n")
        own.read_until('"read"')
        assert process.wait(scaled(20)) == 6


def test_run_forwards_the_window_size(terminal: Bundle) -> None:
    with OwnTerminal() as own, Box(terminal.inside("winch", "--", "exit", "0")) as box:
        process = spawn_interactive(box, own)
        own.read_until("ready")
        own.resize(44, 55)
        process.send_signal(signal.SIGWINCH)
        assert '"rows":44' in own.read_until('"columns":55')
        assert process.wait(scaled(20)) == 0


def test_run_passes_control_c_to_the_container(terminal: Bundle) -> None:
    """The user's terminal is raw: ^C is a byte for the container's terminal, not a signal for the runtime."""
    with OwnTerminal() as own, Box(terminal.inside("wait", "4")) as box:
        process = spawn_interactive(box, own)
        own.read_until('"wait"')
        own.write("\x03")
        own.read_until('"signal":2')
        assert process.wait(scaled(20)) == 4


def test_run_gives_the_terminal_back_as_it_was(terminal: Bundle) -> None:
    with OwnTerminal() as own, Box(terminal.inside("echo", "hello")) as box:
        before = termios.tcgetattr(own.slave)
        process = spawn_interactive(box, own)
        own.read_until("hello")
        assert process.wait(scaled(20)) == 0
        assert termios.tcgetattr(own.slave) == before


def test_a_large_output_arrives_whole(terminal: Bundle) -> None:
    terminal.shell("i=0; while [ $i -lt 3000 ]; do echo line-$i; i=$((i+1)); done; echo the-end")
    with OwnTerminal() as own, Box(terminal) as box:
        process = spawn_interactive(box, own)
        text = own.read_until("the-end\n")
        assert [line for line in text.splitlines() if line.startswith("line-")] == [
            f"line-{n}" for n in range(3000)
        ]
        assert process.wait(scaled(20)) == 0


def test_run_detached_with_a_socket(terminal: Bundle, tmp_path: Path) -> None:
    with (
        ConsoleSocket(tmp_path / "console") as console,
        Box(terminal.inside("echo", "hello")) as box,
    ):
        box.run("--detach", "--console-socket", str(console.path), check=True)
        console.accept().read_until("hello")
        assert box.wait() == 0
